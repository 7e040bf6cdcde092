package ref

import (
	"math/rand/v2"
	"slices"
	"testing"

	"chorale/inference/internal/golden"
	"chorale/inference/internal/graph"
	"chorale/inference/synth"
)

// TestExpertsAlone lends the experts' operation its registers and compares with
// what the operation does within a pass.
func TestExpertsAlone(t *testing.T) {
	c, w := golden.Synth(t, synth.Presets["tiny-b"])
	b := New(c, w, Options{Threads: 2})
	defer b.Close()
	random := rand.New(rand.NewPCG(7, 7))
	ids := make([]uint32, 23)
	for i := range ids {
		ids[i] = random.Uint32N(uint32(c.Vocab))
	}
	s, err := b.NewState(100)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var last [graph.NumRegs][]float32 // as the tracer saw them last
	var before []float32              // X before the experts
	layer, compared := 0, 0
	err = s.Trace(t.Context(), graph.Batch{IDs: ids}, func(r graph.Reg, v []float32) {
		if r == graph.X && last[graph.Mix] != nil {
			other := New(c, w, Options{Threads: 1})
			defer other.Close()
			l := &w.Layers[layer]
			if err := other.Experts(t.Context(), &l.Up, &l.Down, before, last[graph.Norm], last[graph.Choice], last[graph.Mix]); err != nil {
				t.Error(err)
			}
			if !slices.Equal(before, v) {
				t.Errorf("layer %d: other numbers", layer)
			}
			last[graph.Mix] = nil
			layer++
			compared += len(v)
		}
		if last[r] = slices.Clone(v); r == graph.X {
			before = last[r]
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if compared != c.Layers*len(ids)*c.Hidden {
		t.Errorf("%d numbers compared", compared)
	}
}

// TestHeavyWorkBytes compares with what a full pass of full chunks has taken.
func TestHeavyWorkBytes(t *testing.T) {
	if golden.Race {
		t.Skip("much arithmetic of one thread: make heavy")
	}
	for _, m := range []synth.Model{synth.Presets["tiny-b"], {Hidden: 288, Width: 96, Layers: 1, Experts: 8, TopK: 4, Heads: 8, KVHeads: 8, Window: 7, Vocab: 500, Seed: 1}} {
		c, w := golden.Synth(t, m)
		b := New(c, w, Options{Threads: 1})
		defer b.Close()
		s, err := b.NewState(chunk)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if _, err := s.Forward(t.Context(), graph.Batch{IDs: make([]uint32, chunk), Rows: []int{chunk - 1}}); err != nil {
			t.Fatal(err)
		}
		words := cap(b.pass.inner) + cap(b.pass.outer) + cap(b.pass.input) + graph.MaxParts*c.Vocab
		for r, v := range b.pass.regs {
			n := cap(v)
			if r := graph.Reg(r); r == graph.Last || r == graph.LastN || r == graph.Logits {
				n *= graph.MaxParts
			}
			words += n
		}
		if got, want := float64(4*words), float64(WorkBytes(c, false)); got > want*1.05 || got < want*0.95 {
			t.Errorf("a pass of %+v takes %.0f bytes, want about %.0f", m, got, want)
		}
	}
}
