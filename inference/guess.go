package inference

import (
	"slices"

	"chorale/inference/internal/graph"
	"chorale/inference/internal/lookup"
	"chorale/inference/internal/sample"
	"chorale/inference/internal/schedule"
)

// step is a pass that goes on with a text: tokens that are certain, and what is
// guessed to follow. A token is drawn behind the certain ones and behind each
// guessed one, under the masks that hold there, with the draw that would be made
// there anyhow. The draws decide: the first that is not the guess is the last that
// counts. So the tokens are those that would have been drawn one by one.
type step struct {
	schedule.Work
	certain int
	follow  [][]uint32 // of each guessed token: itself, and what is forced behind it
}

// newStep prepares a step without a guess.
func (t *turn) newStep(certain []uint32) *step {
	return &step{certain: len(certain), Work: schedule.Work{
		Batch:  graph.Batch{IDs: slices.Clip(certain), Pos: len(t.tokens), Rows: []int{len(certain) - 1}},
		Draws:  []sample.Draw{t.sampler.Draw(t.draws, t.constraint.Mask())},
		Tokens: make([]uint32, 1),
	}}
}

// guess adds what is worth trying to a step.
func (t *turn) guess(s *step) {
	t.guessed = nil
	if t.m.plain {
		return
	}
	t.index.Append(s.IDs...)
	g := t.m.said.Find(&t.index, t.index.Find())
	if g.Same == 0 {
		return
	}
	t.guessed = &g
	room := min(lookup.Most, t.m.info.Context-s.Pos) - s.certain
	n, saves := t.passes.Worth(t.hits, &g, s.certain)
	if t.m.eager {
		n = lookup.Most
	}
	if n = min(n, room); n <= 0 {
		return
	}
	certain := *s
	t.try(s, g, n)
	if len(s.follow) > 0 && !t.m.eager && !t.passes.Pays(&s.Work, saves) {
		*s = certain
	}
	t.stats.Guessed += len(s.follow)
}

// try adds up to n guessed tokens. It ends where the constraint or a stop token
// would end the guess.
func (t *turn) try(s *step, g lookup.Guess, n int) {
	c, ok := t.constraint.(Forker)
	if !ok {
		return
	}
	fork := c.Fork()
	if fork == nil {
		return
	}
	for at := 0; at < n; {
		id, ok := g.Token(at)
		if last := &s.Draws[len(s.Draws)-1]; !ok || !last.Has(id) || slices.Contains(t.stop, id) || fork.Accept(id) != nil {
			break
		}
		at++
		follow := []uint32{id}
		same := true
		for forced := fork.Forced(); len(forced) > 0; forced = fork.Forced() {
			for _, id := range forced {
				follow = append(follow, id)
				next, ok := g.Token(at)
				same = same && ok && next == id
				at++
				if fork.Accept(id) != nil || slices.Contains(t.stop, id) {
					return
				}
			}
			if at > n {
				return
			}
		}
		draw := t.sampler.Draw(t.draws+uint64(len(s.Draws)), fork.Mask())
		if draw.Empty() {
			return // the constraint ends here
		}
		s.follow = append(s.follow, follow)
		s.IDs = append(s.IDs, follow...)
		s.Rows = append(s.Rows, len(s.IDs)-1)
		s.Draws = append(s.Draws, draw)
		s.Tokens = append(s.Tokens, 0)
		if !same {
			break
		}
	}
}

// judge notes how good the guess was, tried or not: whether its token number i is
// the one that was drawn in its place.
func (t *turn) judge(i int, drawn uint32) (right bool) {
	if t.guessed == nil {
		return false
	}
	id, ok := t.guessed.Token(i)
	if ok {
		t.hits.Observe(t.guessed, i, id == drawn)
	}
	return ok && id == drawn
}

// Before is how many tokens before what was said help to know it again.
const Before = lookup.Before

// Remember has sessions guess also from what was said elsewhere, in earlier runs for
// one: ids are a message behind the tokens before it, of which [Before] are of use.
func (m *Model) Remember(ids []uint32) {
	if !m.plain {
		m.said.Add(ids, nil)
	}
}
