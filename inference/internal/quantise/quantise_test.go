package quantise

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"chorale/inference/internal/golden"
	"chorale/inference/internal/kernel"
	"chorale/inference/internal/weights"
	"chorale/inference/synth"
)

// TestQ8 compares every number with what it was made of: it may be off by half a
// step of its block's scale, and by what the scale's own rounding makes. It reads
// the bytes in several ways, which must agree.
func TestQ8(t *testing.T) {
	_, w := golden.Synth(t, synth.Model{Hidden: 64, Width: 64, Layers: 2, Experts: 4, TopK: 2, Heads: 4, KVHeads: 2, Window: 32, Vocab: 20_001, Seed: 1})
	q, store, err := Q8(w)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if q.Layers[0].Router != w.Layers[0].Router || q.Embedding != w.Embedding {
		t.Error("a router or the embedding was changed")
	}
	r := rand.New(rand.NewPCG(1, 1))
	pairs := [][2]*weights.Tensor{{w.Unembedding.W, q.Unembedding.W}}
	for i := range w.Layers {
		a, b := &w.Layers[i], &q.Layers[i]
		pairs = append(pairs, [2]*weights.Tensor{a.Query.W, b.Query.W}, [2]*weights.Tensor{a.Key.W, b.Key.W},
			[2]*weights.Tensor{a.Value.W, b.Value.W}, [2]*weights.Tensor{a.Out.W, b.Out.W})
	}
	for _, p := range pairs {
		was, is := p[0], p[1]
		if is.DType != weights.Q8_0 || !slices.Equal(is.Shape, was.Shape) || is.Bytes() != was.Len()/weights.Block*weights.Q8Bytes {
			t.Fatalf("%s: %s of %v in %d bytes", is.Name, is.DType, is.Shape, is.Bytes())
		}
		all, part := make([]byte, is.Bytes()), make([]byte, min(1000, is.Bytes()))
		is.Copy(all, is.Data)
		for range 20 {
			at := r.IntN(len(all) - len(part) + 1)
			if is.Copy(part, is.Data[at:][:len(part)]); !slices.Equal(part, all[at:][:len(part)]) {
				t.Fatalf("%s: other bytes when read from %d on", is.Name, at)
			}
		}
		if err := is.Load(); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(is.Data, all) {
			t.Fatalf("%s: other bytes in place", is.Name)
		}
		compare(t, was, is)
	}
	if again, none, err := Q8(q); err != nil || none != nil || again != q {
		t.Errorf("what is in Q8_0 was made again: %v", err)
	}
}

func compare(t *testing.T, was, is *weights.Tensor) {
	t.Helper()
	stored := make([]byte, was.Bytes())
	was.Copy(stored, was.Data)
	row, before := make([]float32, is.Shape[1]), make([]float32, is.Shape[1])
	m := kernel.Matrix{Format: kernel.Q8_0, Rows: is.Shape[0], Cols: is.Shape[1], Data: is.Data}
	for r := range is.Shape[0] {
		m.Row(row, r)
		formats[was.DType].Numbers(before, stored, r*len(row))
		for block := range len(row) / weights.Block {
			at := block * weights.Block
			top := 0.0
			for i := range weights.Block {
				top = max(top, math.Abs(float64(before[at+i])))
			}
			for i := range weights.Block {
				want := float64(before[at+i])
				if off := math.Abs(float64(row[at+i]) - want); off > top/127*0.501+top/1024 {
					t.Fatalf("%s, row %d, number %d: %v of %v, in a block up to %v", is.Name, r, at+i, row[at+i], want, top)
				}
			}
		}
	}
}
