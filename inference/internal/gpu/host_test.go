//go:build cgo && (amd64 || arm64)

package gpu

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"chorale/inference/internal/drivers"
	"chorale/inference/internal/golden"
	"chorale/inference/internal/graph"
	"chorale/inference/internal/ref"
)

// TestHost leaves the embedding and the experts of some layers, or of all, to
// the CPU, and compares every register with the plain Go backend: prefilling and
// decoding, one sequence and several in one pass.
func TestHost(t *testing.T) {
	drivers.Lavapipe.Use(t)
	c, w := golden.Synth(t, shapes["plain"])
	oracle := ref.New(c, w, ref.Options{Threads: 1})
	defer oracle.Close()
	for _, o := range []Options{
		{HostLayers: 1}, {HostLayers: 2}, {HostEmbedding: true}, {HostEmbedding: true, HostLayers: 2},
	} {
		t.Run(fmt.Sprintf("embedding %v, %d layers", o.HostEmbedding, o.HostLayers), func(t *testing.T) {
			b := openHost(t, c, w, oracle, o)
			defer b.Close()
			s, want := newState(t, b), newState(t, oracle)
			defer s.Close()
			defer want.Close()
			registers := 0
			for _, x := range batches {
				batch := graph.Batch{Pos: x.pos, Rows: []int{x.n - 1}}
				for i := range x.n {
					batch.IDs = append(batch.IDs, uint32((x.pos+i)*7919%c.Vocab))
				}
				registers += compareStep(t, s, step{batch, trace(t, want, batch)}, Base)
			}
			t.Logf("%d registers compared", registers)
			compareTogether(t, b, oracle)
		})
	}
}

// openHost opens a model with an oracle as its host, and sees that what stays
// there takes no memory of the device.
func openHost(t *testing.T, c *graph.Config, w *graph.Weights, host Host, o Options) *Backend {
	t.Helper()
	o.Host, o.KV, o.Validate = host, graph.KVF32, true
	b, err := open(t.Context(), only(t), c, w, o, nil)
	if err != nil {
		t.Fatal(err)
	}
	instance := b.instance
	t.Cleanup(func() { silent(t, instance) })
	if _, there := b.model.matrices[w.Embedding]; there == o.HostEmbedding {
		t.Errorf("embedding on the device: %v", there)
	}
	for l := range w.Layers {
		for _, a := range []graph.Affine{w.Layers[l].Up, w.Layers[l].Down} {
			if _, there := b.model.matrices[a.W]; there != (l < len(w.Layers)-o.HostLayers) {
				t.Errorf("experts of layer %d on the device: %v", l, there)
			}
		}
	}
	return b
}

// compareTogether decodes several sequences in one pass.
func compareTogether(t *testing.T, b, oracle graph.Backend) {
	t.Helper()
	const n = 3
	run := func(b graph.Backend) (logits [][]float32) {
		var parts []graph.Part
		for i := range n {
			s, err := b.NewState(64)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			forward(t, s, graph.Batch{IDs: prompt.IDs[:3+i]})
			parts = append(parts, graph.Part{State: s, Batch: graph.Batch{IDs: []uint32{uint32(i)}, Pos: 3 + i, Rows: []int{0}}, Logits: make([]float32, 201)})
		}
		for range 2 { // recorded, then replayed
			if err := b.Forward(t.Context(), parts); err != nil {
				t.Fatal(err)
			}
			for i := range parts {
				logits = append(logits, append([]float32(nil), parts[i].Logits...))
				parts[i].Pos++
			}
		}
		return logits
	}
	got, want := run(b), run(oracle)
	for i := range want {
		near(t, fmt.Sprintf("logits %d of several sequences", i), got[i], want[i], 1e-4)
	}
}

// stubborn is a host that fails.
type stubborn struct {
	*ref.Backend
	err error
}

func (s stubborn) Experts(context.Context, *graph.Affine, *graph.Affine, []float32, []float32, []float32, []float32) error {
	return s.err
}

// TestHostFails has the host fail in the middle of a pass. The error comes
// through, and the next pass finds a working device.
func TestHostFails(t *testing.T) {
	drivers.Lavapipe.Use(t)
	c, w := golden.Synth(t, shapes["plain"])
	oracle := ref.New(c, w, ref.Options{Threads: 1})
	defer oracle.Close()
	host := &stubborn{oracle, errors.New("no")}
	b := openHost(t, c, w, host, Options{HostLayers: 1})
	defer b.Close()
	s := newState(t, b)
	defer s.Close()
	if _, err := s.Forward(t.Context(), prompt); !errors.Is(err, host.err) {
		t.Errorf("the pass ended with %v", err)
	}
	b.host = oracle
	want := newState(t, oracle)
	defer want.Close()
	near(t, "logits after a failure", forward(t, s, prompt), forward(t, want, prompt), 1e-4)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Forward(ctx, prompt); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled pass ended with %v", err)
	}
}
