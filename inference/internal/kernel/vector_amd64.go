//go:build goexperiment.simd

package kernel

import (
	"math"
	"simd/archsimd"
	"unsafe"
)

// The vector sets are written with simd/archsimd, but for Mix, Softmax, SwiGLU and most
// products, which are assembly. What the code minds:
//
//   - A legacy SSE instruction amid AVX-512 ones costs a factor of 30 on some
//     processors. So there is no scalar float arithmetic in or after a vector
//     loop, numbers are broadcast as integers, and every kernel ends with
//     ClearAVXUpperBits. A shift by a plain number may be one, too: by a vector of
//     numbers it is none. TestDisassembly looks for such instructions.
//   - The compiler uses 15 vector registers and reloads what it spills. What wants
//     more is assembly.
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

const laneRow = 4 * 16 * groupIns // bytes of a row's lanes

// scaled has the 16 elements of E2M1 times every scale.
var scaled = func() (t [256][16]float32) {
	for s := range t {
		for c := range 16 {
			t[s][c] = e2m1[c][0] * e8m0[s]
		}
	}
	return t
}()

// crossed has the first eight of those, with what a code has in its three lower bits added
// (exclusive or) to those behind the sign.
var crossed = func() (t [256][8]uint32) {
	for s := range t {
		for c := range 8 {
			t[s][c] = math.Float32bits(scaled[s][c]) ^ uint32(c)<<28
		}
	}
	return t
}()

// halfAt reads a half at a distance of i bytes.
func halfAt(p unsafe.Pointer, i int) uint32 { return halfBits(uint32(*(*uint16)(unsafe.Add(p, i)))) }

// putGroup stores the sums of a group of rows, as bits: amid vector code, floats would go by
// way of legacy SSE. The last two are in a vector of their own.
func putGroup(sums *[TileRows]float32, r int, four, two *[4]float32) {
	_ = sums[r+groupRows-1]
	to, from := unsafe.Pointer(&sums[r]), unsafe.Pointer(four)
	*(*uint64)(to) = *(*uint64)(from)
	*(*uint64)(unsafe.Add(to, 8)) = *(*uint64)(unsafe.Add(from, 8))
	*(*uint64)(unsafe.Add(to, 16)) = *(*uint64)(unsafe.Pointer(two))
}

// rootScale is 1/sqrt(mean + eps) from the lanes of a sum of n squares.
func rootScale(lanes [8]float64, n int, eps float32) float32 {
	sum := (lanes[0] + lanes[4] + (lanes[2] + lanes[6])) + (lanes[1] + lanes[5] + (lanes[3] + lanes[7]))
	return float32(1 / math.Sqrt(sum/float64(n)+float64(eps)))
}

// halfTerms are the constants of widening a half: its sign, the rest, the largest
// finite number and an infinite one when the rest stands in its new place, and
// the factor that moves the exponent's bias, denormals included.
var halfTerms = func() (t struct{ sign, rest, top, infinite, bias [16]uint32 }) {
	for i := range 16 {
		t.sign[i], t.rest[i], t.top[i], t.infinite[i], t.bias[i] = 0x8000, 0x7fff, 0x0f7fffff, 0x7f800000, math.Float32bits(0x1p112)
	}
	return t
}()

// add8 adds the lanes of four sums, neighbours first.
func add8(a, b, c, d archsimd.Float32x8) archsimd.Float32x4 {
	v := a.AddPairsGrouped(b).AddPairsGrouped(c.AddPairsGrouped(d))
	return v.GetLo().Add(v.GetHi())
}
