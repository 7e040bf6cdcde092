package kernel

import "sync"

// Attention multiplies with Mix alone. Keys lie in panels of Panel keys, a row for
// each of a head's dimensions, and the weights of the rows are a query's numbers:
// the sums are scores, with no lanes to be added in the end. Values lie in panels of
// Panel dimensions, a row for each key, whose weight is the softmax of its score.
const (
	Panel    = 32 // numbers in a row
	MixRows  = 8  // queries that share what is loaded: the query heads of a KV head in gpt-oss
	MixLeast = 4  // the same where they are few, as in pocket
)

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

	// dotMost is how many input rows dot and dotTwo take, where that is faster than
	// unpacking; 0 is 1.
	dotMost [formats]int

	// dotTwo is dot for two input rows at once. It may be nil.
	dotTwo [formats]func(first, second *[TileRows]float32, data, scales []byte, x, y []float32)

	// dotFew is dot for two to four input rows, as sequences bring that decode
	// together, on BF16: unpacking costs too much for so few. It may be nil.
	dotFew func(sums [][TileRows]float32, data []byte, x Rows)

	// multiply sets s.Sums to the products of s.panel's rows with each input
	// row.
	multiply func(s *Scratch, x Rows)

	// bytes is how rounded input rows are multiplied. It may be nil.
	bytes *byteKernels

	// Mix adds the rows of a panel, which has Panel numbers in each, to so many rows of
	// sums, a multiple of MixLeast, each times a weight of its own: sums[step*g+j] gains
	// weights[apart*g+i] * panel[Panel*i+j], in the order of i. On its way it may have
	// the processor fetch as many numbers of next, if there are any: four runs at
	// distances of run, for memory gives more where several are read.
	Mix func(rows int, sums []float32, step int, weights []float32, apart int, panel, next []float32, run int)

	// MixHalves is Mix for a panel of IEEE halves. Both give equal bits.
	MixHalves func(rows int, sums []float32, step int, weights []float32, apart int, panel, next []uint16, run int)

	// Axpy adds v times p to dst.
	Axpy func(dst, v []float32, p float32)

	// Softmax sets each score s to exp(s - top), where top is the largest of all, and
	// returns top and the sum. Where all are less than every finite number, top is
	// the least of those.
	Softmax func(scores []float32) (top, sum float32)

	// Norm sets dst = x / sqrt(mean(x²) + eps) * gain.
	Norm func(dst, x, gain []float32, eps float32)

	// SwiGLU sets dst from pairs of gate and up in u: with gate at most limit
	// and up within ±limit, gate * sigmoid(alpha*gate) * (up + 1).
	SwiGLU func(dst, u []float32, alpha, limit float32)
}

// Scalar is plain Go: any processor, the oracle of the other sets.
var Scalar = &Set{
	Name:      "scalar",
	unpack:    unpackScalar,
	group:     1,
	multiply:  multiplyScalar,
	bytes:     scalarBytes,
	Mix:       mixScalar,
	MixHalves: mixHalvesScalar,
	Axpy:      axpyScalar,
	Softmax:   softmaxScalar,
	Norm:      normScalar,
	SwiGLU:    swigluScalar,
}

// Sets returns what this build has for this processor, Scalar first and the
// fastest last.
var Sets = sync.OnceValue(func() []*Set { return append([]*Set{Scalar}, vectorSets()...) })

// Best returns the fastest set for this processor.
func Best() *Set {
	all := Sets()
	return all[len(all)-1]
}
