//go:build cgo && (amd64 || arm64)

package gpu

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"chorale/inference/internal/drivers"
	"chorale/inference/internal/golden"
	"chorale/inference/internal/graph"
	"chorale/inference/internal/ref"
	"chorale/inference/synth"
)

// shapes are models of one or two layers that are small in all but what they
// are to test.
var shapes = map[string]synth.Model{
	"plain":       {Hidden: 64, Width: 64, Layers: 2, Experts: 8, TopK: 2, Heads: 4, KVHeads: 2, Window: 32, Vocab: 201, Seed: 1},
	"tails":       {Hidden: 288, Width: 96, Layers: 1, Experts: 5, TopK: 4, Heads: 8, KVHeads: 1, Window: 7, Vocab: 77, Seed: 2},
	"wide":        {Hidden: 2880, Width: 160, Layers: 1, Experts: 3, TopK: 1, Heads: 2, KVHeads: 2, Window: 128, Vocab: 33, Seed: 3},
	"group of 16": {Hidden: 160, Width: 32, Layers: 1, Experts: 4, TopK: 4, Heads: 16, KVHeads: 1, Window: 1, Vocab: 40, Seed: 4},
	"one expert":  {Hidden: 96, Width: 32, Layers: 1, Experts: 1, TopK: 1, Heads: 3, KVHeads: 1, Window: 64, Vocab: 65, Seed: 5},
	"128 experts": {Hidden: 32, Width: 32, Layers: 1, Experts: 128, TopK: 4, Heads: 8, KVHeads: 8, Window: 65, Vocab: 64, Seed: 6},
}

// batches are one token, few, and many at a time, so that queries meet the
// window's edges at every offset; and a step back.
var batches = []struct{ pos, n int }{{0, 1}, {1, 3}, {4, 65}, {69, 1}, {70, 64}, {134, 1}, {130, 8}, {138, 1}}

// TestShapes compares every register after every operation with the plain Go
// backend, on both drivers, with kernels cut as for software and for hardware,
// and with bindings so small that tensors are split into windows.
func TestShapes(t *testing.T) {
	for _, driver := range drivers.All {
		for name, s := range shapes {
			t.Run(driver.Name+"/"+name, func(t *testing.T) {
				driver.Use(t)
				c, w := golden.Synth(t, s)
				compareTraces(t, c, w, nil)
				if driver.Name == drivers.Lavapipe.Name {
					compareTraces(t, c, w, func(p *profile) {
						window := p.window
						*p = newProfile(c, false)
						p.window, p.split = window, 64
					})
					compareTraces(t, c, w, func(p *profile) {
						p.window, p.tile = c.Width*c.Hidden, 4 // one expert
						p.cache = 192 * 64 * 4                 // one KV head
						p.segment = 64                         // three of the context
					})
				}
			})
		}
	}
}

func compareTraces(t *testing.T, c *graph.Config, w *graph.Weights, adjust func(*profile)) {
	t.Helper()
	s, want := beside(t, c, w, adjust)
	random := rand.New(rand.NewPCG(1, 2))
	compared := 0
	for _, x := range batches {
		batch := graph.Batch{Pos: x.pos, Rows: []int{x.n - 1}}
		for range x.n {
			batch.IDs = append(batch.IDs, uint32(random.IntN(c.Vocab)))
		}
		switch {
		case x.n == 65:
			for i := range x.n - 1 {
				batch.Rows = slices.Insert(batch.Rows, i, i)
			}
		case x.n > 3:
			batch.Rows = []int{0, 2, x.n - 1}
		}
		compared += compareTrace(t, s, want, batch)
	}
	t.Logf("%d registers compared", compared)
}

// beside opens a model on the device and in plain Go, with a sequence on each.
func beside(t *testing.T, c *graph.Config, w *graph.Weights, adjust func(*profile)) (s, want graph.State) {
	t.Helper()
	b, err := load(t, c, w, adjust)
	if err != nil {
		t.Fatal(err)
	}
	oracle := ref.New(c, w, ref.Options{Threads: 1})
	s, want = newState(t, b), newState(t, oracle)
	t.Cleanup(func() { s.Close(); want.Close(); oracle.Close(); b.Close() })
	return s, want
}

func newState(t *testing.T, b graph.Backend) graph.State {
	t.Helper()
	s, err := b.NewState(150)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

type write struct {
	reg    graph.Reg
	values []float32
}

// trace runs a batch and returns what each operation wrote.
func trace(t *testing.T, s graph.State, b graph.Batch) (all []write) {
	t.Helper()
	err := s.Trace(context.Background(), b, func(r graph.Reg, v []float32) { all = append(all, write{r, slices.Clone(v)}) })
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// same compares what two backends wrote.
func same(t *testing.T, what string, got, want []write) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d registers were written, want %d", what, len(got), len(want))
	}
	for i, w := range want {
		if got[i].reg != w.reg {
			t.Fatalf("%s: write %d is to register %d, want %d", what, i, got[i].reg, w.reg)
		}
		near(t, fmt.Sprintf("%s: write %d, register %d", what, i, w.reg), got[i].values, w.values, 1e-4)
	}
}

func compareTrace(t *testing.T, s, oracle graph.State, b graph.Batch) int {
	t.Helper()
	want := trace(t, oracle, b)
	same(t, fmt.Sprintf("%d tokens at %d", len(b.IDs), b.Pos), trace(t, s, b), want)
	near(t, "logits of Forward", forward(t, s, b), want[len(want)-1].values, 1e-4)
	return len(want)
}
