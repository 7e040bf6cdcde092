package ref

import (
	"testing"

	"chorale/inference/internal/golden"
	"chorale/inference/internal/graph"
)

func TestSequences(t *testing.T) {
	golden.Sequences{
		Load: func(c *graph.Config, w *graph.Weights, kv graph.KVType) (graph.Backend, error) {
			return New(c, w, Options{Threads: 2, KV: kv}), nil
		},
		Bytes: func(s graph.State) (n int64) {
			for _, l := range s.(*state).cache.layers {
				for _, p := range l.pages {
					n += p.bytes()
				}
			}
			for _, m := range s.(*state).marks {
				for _, p := range m {
					n += p.bytes()
				}
			}
			return n
		},
		Jump: func(s graph.State, pos int) { s.(*state).history.End = pos },
	}.Run(t)
}
