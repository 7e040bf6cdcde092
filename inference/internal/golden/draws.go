package golden

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"chorale/inference/internal/graph"
	"chorale/inference/internal/sample"
)

// Summary returns what a device should leave of a row of logits for a draw, where
// its workgroups have lanes invocations. Scores are exact.
func Summary(d *sample.Draw, logits []float32, lanes int) (s sample.Summary) {
	inf := float32(math.Inf(1))
	for i := range sample.Slices {
		s.Leaders[i] = sample.Leader{Score: -inf, Second: -inf, ID: sample.NoID}
		s.Tops[i] = sample.Top{Logit: -inf}
	}
	for id, logit := range logits {
		if !d.Has(uint32(id)) {
			continue
		}
		l, t := &s.Leaders[id/lanes%sample.Slices], &s.Tops[id/lanes%sample.Slices]
		if v := d.Score(uint32(id), logit); l.ID == sample.NoID || v > l.Score {
			*l = sample.Leader{Score: v, Second: l.Score, ID: uint32(id), Logit: logit}
		} else {
			l.Second = max(l.Second, v)
		}
		t.Logit = max(t.Logit, logit)
	}
	if d.Bound() == 0 {
		return s
	}
	var tops []float32
	for i := range s.Tops {
		tops = append(tops, s.Tops[i].Logit)
	}
	slices.Sort(tops)
	for id, v := range logits {
		if !d.Has(uint32(id)) {
			continue
		}
		t := &s.Tops[id/lanes%sample.Slices]
		t.Sum += float32(math.Exp((float64(v) - float64(t.Logit)) / d.Temperature))
		if v >= tops[len(tops)-d.Bound()] {
			if s.Count < sample.Above {
				s.Above[s.Count] = sample.Candidate{ID: uint32(id), Logit: v}
			}
			s.Count++
		}
	}
	return s
}

// Samplings are ways to sample, of every kind.
var Samplings = []sample.Params{
	{}, {Temperature: 1}, {Temperature: 0.3, Seed: 5}, {Temperature: 1.5, TopK: 40}, {Temperature: 1, TopK: 5, TopP: 0.9},
	{Temperature: 1, TopP: 0.95}, {Temperature: 0.7, TopP: 0.5, Seed: 3}, {Temperature: 1, MinP: 0.05}, {Temperature: 2, MinP: 0.3},
	{Temperature: 1, TopK: 64, TopP: 0.9, MinP: 0.02, Seed: 1 << 60}, {Temperature: 1, TopK: 1000}, {Temperature: 1e-12}, {Temperature: 1e-4},
}

// Draws sees that a backend chooses the tokens that package sample takes from the
// logits that the same backend hands out: several sequences in a pass, several
// rows of each, with masks and without.
func Draws(t *testing.T, b graph.Backend, c *graph.Config) {
	random := rand.New(rand.NewPCG(8, 9))
	var chooser sample.Chooser
	var read graph.Readback
	drawn := 0
	var states [8]graph.State
	for i := range states {
		states[i] = newState(t, b, 20)
	}
	for round := range 2 * len(Samplings) {
		var told, chosen []graph.Part
		for i := range 4 {
			ids := words(c, 3+i, uint64(round*10+i))
			p := Samplings[(round+i*(round%2))%len(Samplings)]
			p.Forbid = []uint32{0, uint32(c.Vocab - 1)}
			s, err := sample.New(p, c.Vocab)
			if err != nil {
				t.Fatal(err)
			}
			rows := []int{len(ids) - 3, len(ids) - 1}
			batch := graph.Batch{IDs: ids, Rows: rows}
			told = append(told, graph.Part{State: states[i], Batch: batch, Logits: make([]float32, 2*c.Vocab)})
			chosen = append(chosen, graph.Part{State: states[4+i], Batch: batch, Tokens: make([]uint32, 2),
				Draws: []sample.Draw{s.Draw(uint64(round), nil), s.Draw(uint64(round+1), someIDs(random, c.Vocab))}})
		}
		for _, parts := range [][]graph.Part{told, chosen} {
			if err := b.Forward(context.Background(), parts); err != nil {
				t.Fatal(err)
			}
		}
		for i, p := range chosen {
			for j := range p.Draws {
				want, err := chooser.Choose(&p.Draws[j], told[i].Logits[j*c.Vocab:][:c.Vocab])
				if err != nil {
					t.Fatal(err)
				}
				if got := p.Tokens[j]; got != want {
					t.Errorf("round %d, %+v, row %d: token %d, want %d", round, *p.Draws[j].Params, j, got, want)
				}
				drawn++
			}
			read.Bytes += p.Read.Bytes
			read.Whole += p.Read.Whole
		}
	}
	t.Logf("%d tokens, %d bytes each read back, %d rows read whole", drawn, read.Bytes/int64(drawn), read.Whole)
	s, err := sample.New(sample.Params{}, c.Vocab)
	if err != nil {
		t.Fatal(err)
	}
	part := graph.Part{State: states[0], Batch: graph.Batch{IDs: words(c, 2, 1), Rows: []int{1}},
		Draws: []sample.Draw{s.Draw(0, []uint64{})}, Tokens: make([]uint32, 1)}
	if err := b.Forward(context.Background(), []graph.Part{part}); !errors.Is(err, sample.ErrNoToken) {
		t.Errorf("nothing permitted: %v", err)
	}
}

// someIDs is a mask of some of n ids, at least one.
func someIDs(r *rand.Rand, n int) []uint64 {
	mask := make([]uint64, (n+63)/64)
	for i := range 1 + r.IntN(n) {
		id := r.IntN(n)
		if i == 0 {
			id = 1 + r.IntN(n-2)
		}
		mask[id/64] |= 1 << (id % 64)
	}
	return mask
}
