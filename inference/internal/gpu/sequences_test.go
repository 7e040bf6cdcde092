//go:build cgo && (amd64 || arm64)

package gpu

import (
	"testing"

	"chorale/inference/internal/drivers"
	"chorale/inference/internal/golden"
	"chorale/inference/internal/graph"
)

func TestSequences(t *testing.T) {
	drivers.Lavapipe.Use(t)
	devices, err := Devices()
	if err != nil {
		t.Fatal(err)
	}
	golden.Sequences{
		Load: func(c *graph.Config, w *graph.Weights, kv graph.KVType) (graph.Backend, error) {
			return Open(t.Context(), devices[0], c, w, Options{KV: kv, Validate: true})
		},
		Bytes: func(s graph.State) (n int64) {
			for _, l := range s.(*state).layers {
				n += int64(l.buffer.Size)
			}
			for _, m := range s.(*state).marks {
				if m != nil {
					n += int64(m.Size)
				}
			}
			return n
		},
		Jump: func(s graph.State, pos int) { s.(*state).history.End = pos },
	}.Run(t)
}
