package kernel

import "sync"

// Set is one implementation of the kernels.
type Set struct {
	Name string // such as "AVX-512"

	unpack [formats]unpacker

	// group is the number of rows that lie interleaved in the panel: 16 columns
	// of each by turns.
	group int

	// dot sets sums to the products of TileRows packed rows with one input row.
	// Where it is nil, rows are unpacked and multiplied.
	dot [formats]func(sums *[TileRows]float32, data, scales []byte, x []float32)

	// dotFew is dot for two to four input rows, as sequences bring that decode
	// together, on BF16: unpacking costs too much for so few. It may be nil.
	dotFew func(sums [][TileRows]float32, data []byte, x Rows)

	// multiply sets s.Sums to the products of s.panel's rows with each input
	// row.
	multiply func(s *Scratch, x Rows)

	// bytes is how rounded input rows are multiplied. It may be nil.
	bytes *byteKernels

	// Widen sets dst to IEEE halves.
	Widen func(dst []float32, halves []uint16)

	// Score sets scores[i] to the product of q with key i. Keys lie one after
	// the other, as long as q.
	Score func(scores, q, keys []float32)

	// Mix adds the values, as long as dst, to dst, each times its weight, in
	// order.
	Mix func(dst, weights, values []float32)

	// Axpy adds v times p to dst.
	Axpy func(dst, v []float32, p float32)

	// Softmax sets each score s to exp(scale*s - top), where top is the largest
	// of all scale*s and the sink, and returns the sum of all and of
	// exp(sink - top).
	Softmax func(scores []float32, scale, sink float32) float32

	// Norm sets dst = x / sqrt(mean(x²) + eps) * gain.
	Norm func(dst, x, gain []float32, eps float32)

	// SwiGLU sets dst from pairs of gate and up in u: with gate at most limit
	// and up within ±limit, gate * sigmoid(alpha*gate) * (up + 1).
	SwiGLU func(dst, u []float32, alpha, limit float32)
}

// Scalar is plain Go: any processor, the oracle of the other sets.
var Scalar = &Set{
	Name:     "scalar",
	unpack:   unpackScalar,
	group:    1,
	multiply: multiplyScalar,
	bytes:    scalarBytes,
	Widen:    widenScalar,
	Score:    scoreScalar,
	Mix:      mixScalar,
	Axpy:     axpyScalar,
	Softmax:  softmaxScalar,
	Norm:     normScalar,
	SwiGLU:   swigluScalar,
}

// Sets returns what this build has for this processor, Scalar first and the
// fastest last.
var Sets = sync.OnceValue(func() []*Set { return append([]*Set{Scalar}, vectorSets()...) })

// Best returns the fastest set for this processor.
func Best() *Set {
	all := Sets()
	return all[len(all)-1]
}
