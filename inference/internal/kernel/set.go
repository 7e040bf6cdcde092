package kernel

import "sync"

// Attention multiplies with Mix alone. Keys lie in panels of Panel keys, a row for
// each of a head's dimensions, and the weights of the rows are a query's numbers:
// the sums are scores, with no lanes to be added in the end. Values lie in panels of
// Panel dimensions, a row for each key, whose weight is the softmax of its score.
const (
	Panel    = 32 // numbers in a row
	MixLeast = 4  // queries come in multiples of this
	SumLanes = 16 // in which weights are summed up
)

// Set is one implementation of the kernels.
type Set struct {
	Name string // such as "AVX-512"

	unpack [formats]unpacker

	// few sets s.Sums to the products of TileRows packed rows with at most fewMost input
	// rows, where that is faster than unpacking: one sequence that decodes, or some. It may
	// be nil.
	few     [formats]func(s *Scratch, data, scales []byte, x Rows)
	fewMost int

	// multiply sets s.Sums to the products of a matrix's rows from one on, TileRows or
	// less, with each input row.
	multiply func(k *Set, s *Scratch, m *Matrix, row, rows int, x Rows)

	// bytes is how rounded input rows are multiplied. It may be nil.
	bytes *byteKernels

	// Mix adds the rows of a panel, which has Panel numbers in each, to so many rows of
	// sums, a multiple of MixLeast, each times a weight of its own: sums[step*g+j] gains
	// weights[apart*g+i] * panel[Panel*i+j], in the order of i. Of several panels that lie
	// one after the other, each is for the sums behind the one before, by the same weights.
	// On its way Mix may have the processor fetch as many numbers of next, if there are any.
	Mix func(rows int, sums []float32, step int, weights []float32, apart, panels int, panel, next []float32)

	// MixHalves is Mix for a panel of IEEE halves. Both give equal bits.
	MixHalves func(rows int, sums []float32, step int, weights []float32, apart, panels int, panel, next []uint16)

	// Axpy adds v times p to dst.
	Axpy func(dst, v []float32, p float32)

	// Softmax goes on with rows of weights by rows of n scores each, a multiple of Panel, at
	// a distance of step. A row's top becomes the largest of it and its scores; keeps is
	// what weights so far must be multiplied by, e to the power of how much larger it was.
	// Each score s becomes a weight, exp(s - top), and a row's sum, in SumLanes numbers
	// that make it together, is that of all, those so far times keeps. A score that is no
	// number, or +Inf, leaves no number as the sum, and anything in the weights.
	Softmax func(rows int, scores []float32, step, n int, tops, sums, keeps []float32)

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

// SumOf adds up the lanes of a sum.
func SumOf(lanes []float32) (sum float32) {
	for _, v := range lanes[:SumLanes] {
		sum += v
	}
	return sum
}
