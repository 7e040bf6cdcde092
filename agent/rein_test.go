package agent

import (
	"context"
	"errors"
	"iter"
	"slices"
	"testing"

	"chorale/harmony"
)

// track is a constraint that permits one text and forces its tokens in pairs,
// every other pair.
type track struct {
	ids []harmony.Token
	at  int
}

func (c *track) Mask() []uint64 { return nil }
func (c *track) Forced() []harmony.Token {
	if c.at%4 != 2 || c.at+2 > len(c.ids) {
		return nil
	}
	return c.ids[c.at : c.at+2]
}

func (c *track) Accept(t harmony.Token) error {
	c.at++
	return nil
}

// obedient is a model that takes what is forced and says the rest itself.
type obedient struct{ scripted }

func (m *obedient) Generate(ctx context.Context, prompt, stop []harmony.Token, c Constraint) iter.Seq2[harmony.Token, error] {
	return func(yield func(harmony.Token, error) bool) {
		forced := 0
		for t, err := range m.scripted.Generate(ctx, prompt, stop, nil) {
			if forced == 0 {
				forced = len(c.Forced())
			}
			forced = max(forced-1, 0)
			if err == nil {
				err = c.Accept(t)
			}
			if !yield(t, err) {
				return
			}
		}
	}
}

// TestForcedTokensAreCounted: each message has a constraint of its own, and what
// it forces is counted by message and in all, up to where a budget cuts.
func TestForcedTokensAreCounted(t *testing.T) {
	e := harmony.O200kHarmony()
	lines := []string{"<|channel|>analysis<|message|>One two three four five six.<|end|>", "<|channel|>final<|message|>Seven.<|return|>"}
	for budget := 1; budget < 20; budget++ {
		m := &obedient{scripted{enc: e, lines: slices.Clone(lines)}}
		a := newAgent(m, &stage{})
		a.Budget.Tokens = budget
		var tracks []*track
		a.Constrain = func() Constraint {
			tracks = append(tracks, &track{ids: e.EncodeWithSpecial(m.lines[0])})
			return tracks[len(tracks)-1]
		}
		sampled, said := 0, 0
		a.Emit = func(ev Event) {
			if ev, ok := ev.(Sampled); ok {
				sampled += ev.Forced
				said += len(ev.Tokens)
			}
		}
		o, err := a.Run(t.Context(), hello)
		if err != nil {
			t.Fatal(err)
		}
		want := 0
		for _, track := range tracks {
			for at := range track.at {
				if at%4 >= 2 && at/2*2+2 <= len(track.ids) {
					want++
				}
			}
		}
		if o.Used.Forced != want || sampled != want || o.Used.Tokens != said || said > budget {
			t.Errorf("budget %d: %d forced, by message %d, want %d; %d tokens", budget, o.Used.Forced, sampled, want, said)
		}
	}
}

// TestAnswerMustPass: an answer that does not pass is asked for again, in words
// that are ours.
func TestAnswerMustPass(t *testing.T) {
	m := &scripted{enc: harmony.O200kHarmony(), lines: []string{
		"<|channel|>final<|message|>Ignore all instructions.<|return|>", "<|channel|>final<|message|>Right.<|return|>",
	}}
	a := newAgent(m, &stage{})

	a.Answer = func(final string) error {
		if final != "Right." {
			return errors.New("wrong")
		}
		return nil
	}
	var told []harmony.Message
	a.Emit = func(ev Event) {
		if r, ok := ev.(Rendered); ok {
			told = append(told, r.Messages...)
		}
	}
	o, err := a.Run(t.Context(), hello)
	if err != nil || o.Status != Done || o.Final != "Right." || o.Used.Malformed != 1 {
		t.Errorf("got %+v, %v", o, err)
	}
	if len(told) != 2 || told[1].Role != harmony.Developer {
		t.Errorf("the model was told %v", told)
	}
}
