//go:build cgo && (amd64 || arm64)

package gpu

import (
	"math"
	"os"
	"testing"

	"chorale/inference/internal/drivers"
	"chorale/inference/internal/golden"
	"chorale/inference/internal/graph"
	"chorale/inference/internal/plan"
	"chorale/inference/internal/ref"
	"chorale/inference/internal/vk"
	"chorale/inference/internal/weights"
	"chorale/inference/synth"
)

// realBatches prefill a few tokens, decode two, and prefill as many as tiles of tokens
// with the same expert begin at.
var realBatches = []graph.Batch{
	{IDs: []uint32{1, 1999, 77, 1024, 5}, Rows: []int{1, 4}},
	{IDs: []uint32{9}, Pos: 5, Rows: []int{0}},
	{IDs: []uint32{1500}, Pos: 6, Rows: []int{0}},
	{IDs: many(64), Pos: 7, Rows: []int{0, 63}},
}

func many(n int) (ids []uint32) {
	for i := range n {
		ids = append(ids, uint32(i*7919%2048))
	}
	return ids
}

// TestHeavyRealWidths compares every register with the plain Go backend at the widths
// of the real models, with fewer layers, experts and words, and bindings so small
// that every large tensor takes several windows.
func TestHeavyRealWidths(t *testing.T) {
	if golden.Race {
		t.Skip("numeric comparisons at full width run without the race detector")
	}
	compareReal(t, "20b?layers=1&experts=6&vocab=2048", func(p *profile) { p.window = 10 << 20 })
}

// TestRealShapes is TestHeavyRealWidths with nothing cut but the layers, in the base
// as well as in the profile that lavapipe runs by itself. It needs up to 5 GB of memory
// and a few minutes, and runs where AGENT_REAL_SHAPES is set.
func TestRealShapes(t *testing.T) {
	if os.Getenv("AGENT_REAL_SHAPES") == "" {
		t.Skip("takes 5 GB of memory; set AGENT_REAL_SHAPES=1, or make real-shapes")
	}
	for _, spec := range []string{"20b?layers=2", "120b?layers=1"} {
		t.Run(spec, func(t *testing.T) { compareReal(t, spec, nil) })
	}
}

// compareReal runs one backend after the other, so that the weights are in
// memory only once.
func compareReal(t *testing.T, spec string, adjust func(*profile)) {
	drivers.Lavapipe.Use(t)
	m, err := synth.Parse(spec)
	if err != nil {
		t.Fatal(err)
	}
	var want []step
	t.Run("ref", func(t *testing.T) {
		c, w := golden.Synth(t, m)
		oracle := ref.New(c, w, ref.Options{})
		defer oracle.Close()
		s := newState(t, oracle)
		defer s.Close()
		for _, batch := range realBatches {
			want = append(want, step{batch, trace(t, s, batch)})
		}
	})
	c, w := golden.Unloaded(t, m)
	inProfiles(t, drivers.Lavapipe, func(t *testing.T, k products, brief bool) {
		if brief && !(k.name == Base && adjust == nil) {
			t.Skip(asked)
		}
		b, err := load(t, c, w, with(k, adjust))
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		checkResident(t, b, w)
		s := newState(t, b)
		defer s.Close()
		registers := 0
		for _, x := range want {
			registers += compareStep(t, s, x, k.name)
		}
		t.Logf("%s: %d registers compared", spec, registers)
		r := plan.Request{Config: c, Weights: plan.Measure(w), Context: 150, Sessions: 1, KV: b.kv,
			Device: &plan.Device{Name: "lavapipe", Limit: 1 << 40, Work: PassBytes(c, k.name)}}
		p, err := plan.New(r)
		if err != nil {
			t.Fatal(err)
		}
		got, planned := float64(b.device.Allocated()), float64(p.DeviceBytes)
		t.Logf("%.1f MB of the device are taken, %.1f MB are planned", got/1e6, planned/1e6)
		if math.Abs(got/planned-1) > 0.05 {
			t.Error("that is more than 5 % apart")
		}
	})
}

// checkResident sees that every matrix is on the device whole, in windows that
// may be bound.
func checkResident(t *testing.T, b *Backend, w *graph.Weights) {
	t.Helper()
	windows, split := 0, 0
	var bytes int64
	for tensor, m := range b.model.matrices {
		if m == nil {
			continue // part of another one
		}
		rows := 0
		for _, p := range m.parts {
			for _, r := range []vk.Range{p.data, p.scales} {
				if bytes += int64(r.Size); uint64(r.Size) > b.device.MaxBuffer {
					t.Errorf("%s: a window of %d bytes, the device binds %d", tensor.Name, r.Size, b.device.MaxBuffer)
				}
			}
			rows += p.count
			windows++
		}
		if len(m.parts) > 1 {
			split++
		}
		if want := m.rows; tensor.DType != weights.MXFP4 && rows != want || tensor.DType == weights.MXFP4 && rows != tensor.Shape[0] {
			t.Errorf("%s: %d rows or experts on the device", tensor.Name, rows)
		}
	}
	t.Logf("%d matrices of %.2f GB in %d windows, %d of them in more than one", len(b.model.matrices), float64(bytes)/1e9, windows, split)
	if split < 3 {
		t.Errorf("only %d tensors were split", split)
	}
}
