// Package quantise makes the dense matrices of a model smaller while it is
// loaded: blocks of 32 numbers become bytes with a common scale. It costs
// precision, so it is done where it is asked for.
//
// It leaves alone what is small or small already: the experts, the vectors, the
// routers, whose choices hang on little, and the embedding, of which a token reads
// one row.
package quantise

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"sync"

	"chorale/inference/internal/graph"
	"chorale/inference/internal/kernel"
	"chorale/inference/internal/weights"
)

// Q8 returns the model with its dense matrices in Q8_0, those of them that are not.
// They are made when they are copied to a device or loaded, of the given weights,
// and live in the store that is returned, nil where there are none.
func Q8(w *graph.Weights) (*graph.Weights, *weights.Store, error) {
	q := *w
	q.Layers = slices.Clone(w.Layers)
	all := []**weights.Tensor{&q.Unembedding.W}
	for i := range q.Layers {
		l := &q.Layers[i]
		all = append(all, &l.Query.W, &l.Key.W, &l.Value.W, &l.Out.W)
	}
	var made []weights.Made
	var places []**weights.Tensor
	for i, place := range all {
		t := *place
		if _, ok := formats[t.DType]; !ok || t.Shape[1]%weights.Block != 0 {
			continue
		}
		made = append(made, weights.Made{Name: fmt.Sprintf("%s, matrix %d", t.Name, i), DType: weights.Q8_0, Shape: t.Shape,
			Fill: func(dst []byte, at int) { fill(dst, at, t) }})
		places = append(places, place)
	}
	if len(made) == 0 {
		return w, nil, nil
	}
	store, err := weights.Generate("dense matrices in Q8_0", made)
	if err != nil {
		return nil, nil, err
	}
	for i, m := range made {
		if *places[i], err = store.Tensor(m.Name, m.Shape, weights.Q8_0); err != nil {
			return nil, nil, err
		}
	}
	return &q, store, nil
}

// formats are what is made smaller.
var formats = map[weights.DType]kernel.Format{weights.BF16: kernel.BF16, weights.F16: kernel.F16, weights.F32: kernel.F32}

// piece is how many blocks are made at a time.
const piece = 1 << 14

// fill writes the bytes of a tensor in Q8_0 from one on, on all cores where they
// are many.
func fill(dst []byte, at int, t *weights.Tensor) {
	var all sync.WaitGroup
	for len(dst) > 0 {
		first := at / weights.Q8Bytes
		n := min(len(dst), (first+piece)*weights.Q8Bytes-at)
		part, from := dst[:n], at
		if n == len(dst) {
			some(part, from, t)
		} else {
			all.Go(func() { some(part, from, t) })
		}
		dst, at = dst[n:], at+n
	}
	all.Wait()
}

// some makes the blocks that hold those bytes.
func some(dst []byte, at int, t *weights.Tensor) {
	f := formats[t.DType]
	first, end := at/weights.Q8Bytes, (at+len(dst)-1)/weights.Q8Bytes+1
	size := f.Bytes(weights.Block)
	from := t.Data[first*size : end*size]
	stored := make([]byte, len(from))
	t.Copy(stored, from)
	t.Release(from)
	var block [weights.Q8Bytes]byte
	skip := at % weights.Q8Bytes
	for ; len(dst) > 0; stored = stored[size:] {
		pack(&block, f, stored)
		dst = dst[copy(dst, block[skip:]):]
		skip = 0
	}
}

// pack makes one block: the largest number becomes 127 or -127, the others are
// rounded to the nearest.
func pack(block *[weights.Q8Bytes]byte, f kernel.Format, stored []byte) {
	var values [weights.Block]float32
	f.Numbers(values[:], stored, 0)
	top := float32(0)
	for _, v := range values {
		top = max(top, v, -v)
	}
	scale, inverse := top/127, float32(0)
	if scale > 0 {
		inverse = 1 / scale
	}
	binary.LittleEndian.PutUint16(block[:], kernel.ToHalf(scale))
	for i, v := range values {
		block[2+i] = byte(int8(math.RoundToEven(float64(v * inverse))))
	}
}
