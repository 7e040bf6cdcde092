package ref

import (
	"testing"

	"chorale/inference/internal/golden"
	"chorale/inference/internal/graph"
	"chorale/inference/internal/kernel"
)

// TestGoldenFormats runs the formats on every set of kernels that this processor
// has.
func TestGoldenFormats(t *testing.T) {
	if golden.Race {
		t.Skip("numeric goldens run without the race detector")
	}
	for _, k := range kernel.Sets() {
		t.Run(k.Name, func(t *testing.T) {
			suite := golden.Suite{Load: func(c *graph.Config, w *graph.Weights) (graph.Backend, error) {
				b := New(c, w, Options{Threads: 2})
				b.kernels = k
				return b, nil
			}}
			suite.RunFormats(t, golden.Trees(t, models))
		})
	}
}
