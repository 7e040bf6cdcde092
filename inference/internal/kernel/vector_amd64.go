//go:build goexperiment.simd

package kernel

import (
	"math"
	"simd/archsimd"
	"unsafe"
)

// The vector sets are written with simd/archsimd, but for Mix and products of bytes,
// which are assembly. What the code minds:
//
//   - A legacy SSE instruction amid AVX-512 ones costs a factor of 30 on some
//     processors. So there is no scalar float arithmetic in or after a vector
//     loop, numbers are broadcast as integers, and every kernel ends with
//     ClearAVXUpperBits. TestDisassembly looks for such instructions.
//   - The compiler uses 15 vector registers and reloads what it spills, so a
//     kernel keeps 8 sums.
//   - Bounds checks in the loops cost half the speed. Lengths are checked before
//     the first pointer is made, in the functions that make one.

// vectorSets returns the vector sets that this processor runs.
func vectorSets() []*Set {
	cpu := archsimd.X86
	var sets []*Set
	if cpu.AVX2() && cpu.FMA() && hasF16C() {
		sets = append(sets, avx2)
	}
	if cpu.AVX512() {
		if cpu.AVX512VNNI() {
			avx512.bytes = vnni
		}
		sets = append(sets, avx512)
	}
	return sets
}

// Rows of the panel that lie interleaved, and input rows that meet them at once.
const (
	groupRows = 4
	groupIns  = 2
)

// Columns and input rows are multiplied in blocks, so that four unpacked rows
// stay in the first cache while input rows come from the second.
const (
	blockCols = 512
	blockIns  = 64
)

// lanes are the sums of a group, before their lanes are added.
type lanes [groupIns * groupRows][16]float32

// vectorMultiply returns Set.multiply from two parts: mul adds the products of n
// columns of a group to its lanes, fold adds the lanes up.
func vectorMultiply(mul func(l *lanes, w, x, y *float32, n int), fold func(sums *[groupRows]float32, l *[groupRows][16]float32)) func(*Scratch, Rows) {
	return func(s *Scratch, x Rows) {
		const groups = TileRows / groupRows
		for ins := 0; ins < len(s.Sums); ins += blockIns {
			sums := s.Sums[ins:min(ins+blockIns, len(s.Sums))]
			pairs := (len(sums) + 1) / 2
			if len(s.lanes) < pairs*groups {
				s.lanes = make([]lanes, blockIns/groupIns*groups)
			}
			all := s.lanes[:pairs*groups]
			clear(all)
			for at := 0; at < x.Width; at += blockCols {
				n := min(blockCols, x.Width-at)
				for g := range groups {
					w := s.panel[(g*x.Width+at)*groupRows:][:n*groupRows]
					for j := range pairs {
						a := x.row(ins + 2*j)[at:][:n]
						b := x.row(ins + min(2*j+1, len(sums)-1))[at:][:n]
						mul(&all[j*groups+g], &w[0], &a[0], &b[0], n)
					}
				}
			}
			for j := range sums {
				for g := range groups {
					l := (*[groupRows][16]float32)(all[j/2*groups+g][j%2*groupRows:])
					fold((*[groupRows]float32)(sums[j][g*groupRows:]), l)
				}
			}
		}
	}
}

// mixer is a function of assembly for so many columns.
type mixer[T float32 | uint16] struct {
	columns int
	mix     func(sums *float32, step int, weights *float32, apart int, panel, next *T, run, n int)
}

// vectorMix returns Set.Mix or Set.MixHalves, of numbers of so many bytes, from functions
// for MixRows rows and for MixLeast.
func vectorMix[T float32 | uint16](size int, most, least mixer[T]) func(int, []float32, int, []float32, int, []T, []T, int) {
	return func(rows int, sums []float32, step int, weights []float32, apart int, panel, next []T, run int) {
		n := len(panel) / Panel
		if n == 0 {
			return
		}
		if len(next) == 0 {
			next, run = panel, 0
		}
		for r := 0; r < rows; {
			m, some := &most, MixRows
			if rows-r < MixRows {
				m, some = &least, MixLeast
			}
			_, _ = sums[(r+some-1)*step+Panel-1], weights[(r+some-1)*apart+n-1]
			for at := 0; at < Panel; at += m.columns {
				m.mix(&sums[r*step+at], 4*step, &weights[r*apart], 4*apart, &panel[at], &next[0], size*run, n)
			}
			r += some
		}
	}
}

// scaled has the 16 elements of E2M1 times every scale.
var scaled = func() (t [256][16]float32) {
	for s := range t {
		for c := range 16 {
			t[s][c] = e2m1[c][0] * e8m0[s]
		}
	}
	return t
}()

// byteAt, halfAt and wordAt read a number at a distance of i bytes.
func byteAt(p unsafe.Pointer, i int) byte   { return *(*byte)(unsafe.Add(p, i)) }
func halfAt(p unsafe.Pointer, i int) uint32 { return halfBits(uint32(*(*uint16)(unsafe.Add(p, i)))) }
func wordAt(p unsafe.Pointer, i int) uint32 { return *(*uint32)(unsafe.Add(p, i)) }

// half of a tile has its own stream of rows in a kernel that takes two at a time.
const half = TileRows / 2

// storeFew stores the sums of a row of each half of a tile, for up to four input
// rows, as bits: amid vector code, floats would go by way of legacy SSE.
func storeFew(sums [][TileRows]float32, r int, low, high *[4]float32) {
	for j := range sums {
		s := unsafe.Pointer(&sums[j][r])
		*(*uint32)(s) = wordAt(unsafe.Pointer(low), 4*j)
		*(*uint32)(unsafe.Add(s, 4*half)) = wordAt(unsafe.Pointer(high), 4*j)
	}
}

// q8Run is how many blocks of Q8_0 have their scales widened at once: amid the
// vector loop each would cost the sums a way to memory and back.
const q8Run = 64

// q8Scales widens the scales of blocks from to to.
func q8Scales(bits *[q8Run]uint32, p unsafe.Pointer, from, to int) {
	for i := from; i < to; i++ {
		bits[(i-from)%q8Run] = halfAt(p, 34*i)
	}
}

// rootScale is 1/sqrt(mean + eps) from the lanes of a sum of n squares.
func rootScale(lanes [8]float64, n int, eps float32) float32 {
	sum := (lanes[0] + lanes[4] + (lanes[2] + lanes[6])) + (lanes[1] + lanes[5] + (lanes[3] + lanes[7]))
	return float32(1 / math.Sqrt(sum/float64(n)+float64(eps)))
}

// expTerms are the constants of the exponential, each in every lane: limits, ln2
// in two parts, and the polynomial for e^r on [-ln2/2, ln2/2] from the seventh
// power down to the second and one (Cephes' expf).
var expTerms = func() (t struct {
	least, most, log2e, ln2High, ln2Low [16]float32
	poly                                [7][16]float32
	one, bias                           [8]uint32
}) {
	poly := [7]float32{1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1, 1}
	for i := range 8 {
		t.one[i], t.bias[i] = 1, 127
	}
	for i := range 16 {
		t.least[i], t.most[i], t.log2e[i] = -150, 150, math.Log2E
		t.ln2High[i], t.ln2Low[i] = -0.693359375, 2.12194440e-4
		for j, v := range poly {
			t.poly[j][i] = v
		}
	}
	return t
}()

// halfTerms are the constants of widening a half: its sign, the rest, the largest
// finite number and an infinite one when the rest stands in its new place, and
// the factor that moves the exponent's bias, denormals included.
var halfTerms = func() (t struct{ sign, rest, top, infinite, bias [16]uint32 }) {
	for i := range 16 {
		t.sign[i], t.rest[i], t.top[i], t.infinite[i], t.bias[i] = 0x8000, 0x7fff, 0x0f7fffff, 0x7f800000, math.Float32bits(0x1p112)
	}
	return t
}()

// softmaxRest finds the top of all scores and turns those that fill no vector into
// weights.
func softmaxRest(scores []float32, tops []float32) (top, sum float32) {
	top = tops[0]
	for _, v := range tops[1:] {
		top = max(top, v)
	}
	for _, v := range scores {
		top = max(top, v)
	}
	for i, v := range scores {
		scores[i] = Exp(v - top)
		sum += scores[i]
	}
	return top, sum
}

const oneBits = 0x3f800000 // of 1

// add8 adds the lanes of four sums, neighbours first.
func add8(a, b, c, d archsimd.Float32x8) archsimd.Float32x4 {
	v := a.AddPairsGrouped(b).AddPairsGrouped(c.AddPairsGrouped(d))
	return v.GetLo().Add(v.GetHi())
}
