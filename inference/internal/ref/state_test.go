package ref

import (
	"math/rand/v2"
	"slices"
	"testing"

	"chorale/inference/internal/golden"
	"chorale/inference/internal/graph"
	"chorale/inference/internal/kernel"
)

func TestHeavySequences(t *testing.T) {
	golden.Sequences{
		Load: func(c *graph.Config, w *graph.Weights, kv graph.KVType) (graph.Backend, error) {
			return New(c, w, Options{Threads: 2, KV: kv}), nil
		},
		Bytes: func(s graph.State) (n int64) {
			all := slices.Concat(append(s.(*state).marks[:], s.(*state).cache.layers)...)
			for _, l := range all {
				for _, p := range l.pages {
					n += p.bytes()
				}
			}
			return n
		},
		Jump: func(s graph.State, pos int) { s.(*state).history.End = pos },
	}.Run(t)
}

// TestHeavyAttendFar attends at the last position of a context of 131,072, in both
// types of cache, with and without a window.
func TestHeavyAttendFar(t *testing.T) {
	if golden.Race {
		t.Skip("much arithmetic, and nothing shared")
	}
	const slots = 1 << 17
	random := rand.New(rand.NewPCG(1, 1))
	keys, values := make([]float32, slots*64), make([]float32, slots*64)
	for i := range keys { // numbers that f16 has
		keys[i], values[i] = kernel.Half(kernel.ToHalf(random.Float32()-0.5)), kernel.Half(kernel.ToHalf(random.Float32()-0.5))
	}
	sinks := []float32{0.5, -1}
	for _, kv := range []graph.KVType{graph.KVF32, graph.KVF16} {
		c := &graph.Config{Hidden: 1, Layers: 2, Heads: len(sinks), KVHeads: 1, HeadDim: 64, Window: []int{128, 0}, MaxContext: slots}
		b := New(c, nil, Options{Threads: 1, KV: kv})
		defer b.Close()
		st, err := b.NewState(slots)
		if err != nil {
			t.Fatal(err)
		}
		s := &b.pass
		s.ctx, s.rows = t.Context(), []row{{state: st.(*state), pos: slots - 1}}
		s.regs[graph.Q], s.regs[graph.Ctx] = make([]float32, c.QWidth()), make([]float32, c.QWidth())
		for i := range s.regs[graph.Q] {
			s.regs[graph.Q][i] = 4 * (random.Float32() - 0.5)
		}
		for layer, window := range c.Window {
			for p := range slots {
				st.(*state).cache.layers[layer].put(p, keys[p*64:(p+1)*64], values[p*64:(p+1)*64])
			}
			s.Attend(layer, pack(t, sinks))
			within(t, kv.String(), s.regs[graph.Ctx], golden.Attention(s.regs[graph.Q], keys, values, sinks, slots, window), 1e-6)
		}
	}
}
