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
var batches = []struct{ pos, n int }{{0, 1}, {1, 3}, {4, 65}, {69, 1}, {70, 64}, {134, 1}, {130, 8}, {138, 1}, {93, 40}, {133, 17}}

// TestShapes compares every register after every operation with the plain Go
// backend, on both drivers in every profile, with kernels cut as for software and for
// hardware, and with bindings so small that tensors are split into windows. Unless all
// is asked for, profiles that the driver does not run by itself are held to one shape,
// which divides by nothing, and kernels are cut in other ways for that shape only.
func TestShapes(t *testing.T) {
	wanted := map[string][]step{}
	for _, driver := range drivers.All {
		t.Run(driver.Name, func(t *testing.T) {
			driver.Use(t)
			inProfiles(t, driver, func(t *testing.T, k products, brief bool) {
				for name, s := range shapes {
					if brief && name != "tails" {
						continue
					}
					t.Run(name, func(t *testing.T) {
						c, w := golden.Synth(t, s)
						if wanted[name] == nil {
							wanted[name] = steps(t, c, w)
						}
						compareSteps(t, c, w, k, nil, wanted[name])
						if driver.Name == drivers.Lavapipe.Name && (everyProfile || name == "tails" && (!brief || k.name == Base)) {
							compareCuts(t, c, w, k, wanted[name])
						}
					})
				}
			})
		})
	}
}

// compareCuts cuts kernels as for hardware, and tensors into windows.
func compareCuts(t *testing.T, c *graph.Config, w *graph.Weights, k products, want []step) {
	t.Helper()
	compareSteps(t, c, w, k, func(p *profile) {
		window := p.window
		*p = newProfile(c, false)
		p.products, p.window, p.split = k, window, 64
	}, want)
	compareSteps(t, c, w, k, func(p *profile) {
		p.window, p.tile = c.Width*c.Hidden, 4 // one expert
		p.cache = 192 * 64 * 4                 // one KV head
		p.segment = 64                         // three of the context
		if m := p.matrices; m != nil {
			tiles := *m
			tiles.least = fragment // few tokens as well
			p.matrices = &tiles
		}
	}, want)
}

// TestManyRows has a vocabulary of more rows than a device runs workgroups, each of
// which is a workgroup where kernels are cut as for hardware.
func TestManyRows(t *testing.T) {
	drivers.Lavapipe.Use(t)
	d := description(t)
	c, w := golden.Synth(t, synth.Model{Hidden: 32, Width: 32, Layers: 1, Experts: 2, TopK: 1, Heads: 2, KVHeads: 1, Window: 32, Vocab: 3*int(d.MaxGroups[0]) + 5, Seed: 7})
	b, err := load(t, c, w, func(p *profile) {
		window := p.window
		*p = newProfile(c, false)
		p.products, p.window = subgroupProducts(d.Features.Subgroup), window
	})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	oracle := ref.New(c, w, ref.Options{Threads: 1})
	defer oracle.Close()
	batch := graph.Batch{IDs: []uint32{5}, Rows: []int{0}}
	var all [][]float32
	for _, backend := range []graph.Backend{b, oracle} {
		s := newState(t, backend)
		defer s.Close()
		all = append(all, forward(t, s, batch))
	}
	near(t, "logits", all[0], all[1], Tolerances[Subgroup])

	b.device.MaxGroups[0]--
	s := newState(t, b)
	defer s.Close()
	if _, err := s.Forward(t.Context(), batch); err == nil {
		t.Error("more workgroups were recorded than the device runs")
	}
}

// step is a batch, and what the plain Go backend wrote when it ran it.
type step struct {
	graph.Batch
	want []write
}

// steps runs the batches in plain Go.
func steps(t *testing.T, c *graph.Config, w *graph.Weights) (all []step) {
	t.Helper()
	oracle := ref.New(c, w, ref.Options{Threads: 1})
	defer oracle.Close()
	s := newState(t, oracle)
	defer s.Close()
	random := rand.New(rand.NewPCG(1, 2))
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
		all = append(all, step{batch, trace(t, s, batch)})
	}
	return all
}

// compareSteps runs the steps on the device.
func compareSteps(t *testing.T, c *graph.Config, w *graph.Weights, k products, adjust func(*profile), want []step) {
	t.Helper()
	b, err := load(t, c, w, with(k, adjust))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	s := newState(t, b)
	defer s.Close()
	registers := 0
	for _, x := range want {
		registers += compareStep(t, s, x, k.name)
	}
	t.Logf("%d registers compared", registers)
}

// compareStep runs a step, as a trace and in one go, and returns how many registers
// it compared.
func compareStep(t *testing.T, s graph.State, x step, profile string) int {
	t.Helper()
	what := fmt.Sprintf("%d tokens at %d", len(x.IDs), x.Pos)
	same(t, what, trace(t, s, x.Batch), x, profile)
	within(t, what+": logits of Forward", forward(t, s, x.Batch), x.want[len(x.want)-1].values, profile)
	return len(x.want)
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

// same compares what was written in a step. Of two experts that a token wants alike,
// rounding may bring either first.
func same(t *testing.T, what string, got []write, x step, profile string) {
	t.Helper()
	if len(got) != len(x.want) {
		t.Fatalf("%s: %d registers were written, want %d", what, len(got), len(x.want))
	}
	for i, w := range x.want {
		if got[i].reg != w.reg {
			t.Fatalf("%s: write %d is to register %d, want %d", what, i, got[i].reg, w.reg)
		}
		if rounds(profile) && w.reg == graph.Choice {
			got[i].values, w.values = sorted(got[i].values, len(x.IDs)), sorted(w.values, len(x.IDs))
		}
		within(t, fmt.Sprintf("%s: write %d, register %d", what, i, w.reg), got[i].values, w.values, profile)
	}
}

// within holds numbers to what a profile may be off: each of them where it computes as
// the base does, their mean square where it rounds.
func within(t *testing.T, what string, got, want []float32, profile string) {
	t.Helper()
	if !rounds(profile) {
		near(t, what, got, want, Tolerances[profile])
		return
	}
	if len(got) != len(want) {
		t.Fatalf("%s: %d numbers, want %d", what, len(got), len(want))
	}
	if e := relative(got, want); !(e <= Tolerances[profile]) {
		t.Errorf("%s: off by %.2g of its size", what, e)
	}
}

// sorted puts the choices of each token in order.
func sorted(choices []float32, tokens int) []float32 {
	all := slices.Clone(choices)
	for c := range slices.Chunk(all, len(all)/tokens) {
		slices.Sort(c)
	}
	return all
}
