//go:build cgo && (amd64 || arm64)

package gpu

import (
	"math"
	"testing"

	"chorale/inference/internal/drivers"
	"chorale/inference/internal/golden"
	"chorale/inference/internal/graph"
	"chorale/inference/internal/plan"
	"chorale/inference/internal/ref"
	"chorale/inference/synth"
)

// TestHeavyPlannedMemory loads a model as planned for devices of several sizes, fills
// the context, and compares what the plan says of the device with what Vulkan
// was asked for.
func TestHeavyPlannedMemory(t *testing.T) {
	if golden.Race {
		t.Skip("memory is measured without the race detector")
	}
	drivers.Lavapipe.Use(t)
	c, w := golden.Synth(t, synth.Model{Hidden: 512, Width: 512, Layers: 4, Experts: 32, TopK: 4, Heads: 8, KVHeads: 2, Window: 128, Vocab: 4096, Seed: 1})
	host := ref.New(c, w, ref.Options{Threads: 1})
	defer host.Close()
	const context = 8192
	for _, limit := range []int64{1e9, 110e6, 90e6} {
		r := plan.Request{
			Config: c, Weights: plan.Measure(w), Context: context, Sessions: 2, KV: graph.KVF16,
			Device: &plan.Device{Name: "lavapipe", Limit: limit, Work: PassBytes(c, Base)},
			Host:   plan.Host{Help: CrossingBytes(c)},
		}
		p, err := plan.New(r)
		if err != nil {
			t.Fatal(err)
		}
		b, err := Open(t.Context(), only(t), c, w, Options{KV: r.KV, Host: host, HostEmbedding: !p.DeviceEmbedding, HostLayers: p.Layers - p.DeviceLayers})
		if err != nil {
			t.Fatal(err)
		}
		for range r.Sessions {
			fillCache(t, b, context)
		}
		got, want := float64(b.device.Allocated()-CrossingBytes(c)), float64(p.DeviceBytes)
		t.Logf("limit %s: experts of %d layers, planned %s, taken %s", plan.GB(limit), p.DeviceLayers, plan.GB(p.DeviceBytes), plan.GB(int64(got)))
		if math.Abs(got/want-1) > 0.05 {
			t.Errorf("limit %s: %.0f bytes of the device are taken, %.0f are planned", plan.GB(limit), got, want)
		}
		b.Close()
	}
}

// fillCache makes a sequence whose cache is as large as it becomes.
func fillCache(t *testing.T, b *Backend, context int) {
	t.Helper()
	made, err := b.NewState(context)
	if err != nil {
		t.Fatal(err)
	}
	forward(t, made, graph.Batch{IDs: make([]uint32, 9)})
	for pos := 1; pos <= 2*graph.MaxMarks; pos += 2 {
		if err := made.Mark(pos); err != nil {
			t.Fatal(err)
		}
	}
	if err := made.(*state).reserve(context); err != nil {
		t.Fatal(err)
	}
}
