package graph_test

import (
	"testing"

	"chorale/inference/internal/graph"
	"chorale/inference/synth"
)

// TestSteps holds what a pass reads against the arithmetic of the models' shapes:
// bytes of bf16 matrices with their biases, 17 bytes for 32 of the experts'
// weights, and keys and values.
func TestSteps(t *testing.T) {
	for _, test := range []struct {
		model     string
		load      graph.Load
		megabytes float64 // in all, weights and cache
	}{
		{"20b", graph.Load{Tokens: 1, Rows: 1}, 3708},
		{"120b", graph.Load{Tokens: 1, Rows: 1}, 5003},
		// 12 full layers of 24 see all, the others 128.
		{"20b", graph.Load{Tokens: 1, Pos: 32767, Rows: 1, KV: graph.KVF16}, 3708 + 12*(32768+128)*2048/1e6},
		{"20b", graph.Load{Tokens: 1, Pos: 32767, Rows: 1, KV: graph.KVF32}, 3708 + 12*(32768+128)*4096/1e6},
		// Without logits there is no unembedding.
		{"20b", graph.Load{Tokens: 1}, 3708 - 1158.3},
		// Practically every expert is chosen.
		{"20b", graph.Load{Tokens: 512, Rows: 1, KV: graph.KVF16}, 3708 - 1270.7 + 8*1270.7 + 511*2880*2/1e6 + 24*512*2048/1e6},
	} {
		m := synth.Presets[test.model]
		store, err := m.Weights()
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		c, err := graph.ParseConfig(m.Config())
		if err != nil {
			t.Fatal(err)
		}
		w, err := graph.Bind(store, c)
		if err != nil {
			t.Fatal(err)
		}
		var reads, products int64
		for _, s := range graph.Steps(c, w, test.load) {
			reads, products = reads+s.Reads, products+s.Products
		}
		if got := float64(reads) / 1e6; got < 0.9995*test.megabytes || got > 1.0005*test.megabytes {
			t.Errorf("%s, %+v: %.1f MB, want %.1f", test.model, test.load, got, test.megabytes)
		}
		if products < int64(test.load.Tokens)*1e9 {
			t.Errorf("%s, %+v: %d multiplications", test.model, test.load, products)
		}
	}
}
