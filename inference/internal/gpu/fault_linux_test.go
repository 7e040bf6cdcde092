//go:build cgo && (amd64 || arm64)

package gpu

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"chorale/inference/internal/drivers"
	"chorale/inference/internal/golden"
	"chorale/inference/internal/graph"
	"chorale/inference/internal/ref"
	"chorale/inference/internal/weights"
	"chorale/inference/synth"
)

// TestTruncatedFile cuts a checkpoint short while it is open. Loading it, and
// computing with it on the host, are errors.
func TestTruncatedFile(t *testing.T) {
	drivers.Lavapipe.Use(t)
	m := synth.Presets["tiny-b"]
	dir := filepath.Join(t.TempDir(), "model")
	if err := m.Write(t.Context(), dir, synth.Output{}); err != nil {
		t.Fatal(err)
	}
	c, w := golden.Open(t, dir)
	host := ref.New(c, w, ref.Options{Threads: 2})
	defer host.Close()
	b := openHost(t, c, w, host, Options{HostEmbedding: true, HostLayers: 2})
	defer b.Close()
	s, alone := newState(t, b), newState(t, host)
	defer s.Close()
	defer alone.Close()
	batch := graph.Batch{IDs: []uint32{5, 9, 200, 0, 77, 31, 8}}
	forward(t, s, batch)
	if err := os.Truncate(filepath.Join(dir, "model.safetensors"), 8192); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Forward(t.Context(), batch); !errors.Is(err, weights.ErrFault) {
		t.Errorf("a pass that the host helps with: %v", err)
	}
	if _, err := alone.Forward(t.Context(), batch); !errors.Is(err, weights.ErrFault) {
		t.Errorf("a pass on the CPU: %v", err)
	}
	if _, err := Open(t.Context(), only(t), c, w, Options{}); !errors.Is(err, weights.ErrFault) {
		t.Errorf("loading: %v", err)
	}
}
