package ref

import (
	"math"
	"slices"
	"testing"

	"chorale/inference/internal/golden"
	"chorale/inference/internal/graph"
	"chorale/inference/synth"
)

// TestBytes compares every register after every operation, with what is multiplied
// rounded to bytes and without. On a processor that does not multiply bytes the
// rounding alone is tested.
func TestBytes(t *testing.T) {
	c, w := golden.Synth(t, synth.Model{Hidden: 288, Width: 96, Layers: 1, Experts: 5, TopK: 4, Heads: 8, KVHeads: 1, Window: 7, Vocab: 77, Seed: 2})
	trace := func(pos, n int, s graph.State) (wrote [][]float32, regs []graph.Reg) {
		batch := graph.Batch{Pos: pos, Rows: []int{n - 1}}
		for i := range n {
			batch.IDs = append(batch.IDs, uint32((pos+i)*37%c.Vocab))
		}
		err := s.Trace(t.Context(), batch, func(r graph.Reg, v []float32) {
			wrote, regs = append(wrote, slices.Clone(v)), append(regs, r)
		})
		if err != nil {
			t.Fatal(err)
		}
		return wrote, regs
	}
	states := map[bool]graph.State{}
	for _, bytes := range []bool{false, true} {
		b := New(c, w, Options{Threads: 2, Bytes: bytes})
		defer b.Close()
		var err error
		if states[bytes], err = b.NewState(64); err != nil {
			t.Fatal(err)
		}
	}
	differs := false
	for _, x := range []struct{ pos, n int }{{0, 1}, {1, 3}, {4, 40}, {44, 1}} {
		want, regs := trace(x.pos, x.n, states[false])
		got, _ := trace(x.pos, x.n, states[true])
		for i := range want {
			var off, size float64
			for j, v := range want[i] {
				d := float64(got[i][j]) - float64(v)
				off, size = off+d*d, size+float64(v)*float64(v)
			}
			e := math.Sqrt(off / max(size, 1e-20))
			if differs = differs || e > 1e-4; !(e <= 4e-2) {
				t.Errorf("%d tokens at %d: write %d, register %d: off by %.2g of its size", x.n, x.pos, i, regs[i], e)
			}
		}
	}
	if !differs {
		t.Error("nothing was rounded")
	}
}
