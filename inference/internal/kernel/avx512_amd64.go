//go:build goexperiment.simd

package kernel

import (
	"simd/archsimd"
	"unsafe"
)

// avx512 keeps the 16 lanes of a sum in one vector.
var avx512 = &Set{
	Name:     "AVX-512",
	unpack:   [formats]unpacker{widen(64, widenBF16_16), unpackF16x16, unpackF32x16, unpackQ8x16, widen(16, widenMXFP4_16), widen(17, widenMXFP4_17_16)},
	multiply: vectorMultiply(mul16, fold16),
	few: [formats]func(*Scratch, []byte, []byte, Rows){
		BF16:     vectorFew(rows16, fewBF16_16x1, fewBF16_16x2, fewBF16_16x3, fewBF16_16x4),
		Q8_0:     vectorFew(rows16, fewQ8_16x1, fewQ8_16x2, fewQ8_16x3, fewQ8_16x4),
		MXFP4:    vectorFew(rows16, fewMXFP4_16x1, fewMXFP4_16x2, fewMXFP4_16x3, fewMXFP4_16x4),
		MXFP4_17: vectorFew(rows16, fewMXFP4_17_16x1, fewMXFP4_17_16x2, fewMXFP4_17_16x3, fewMXFP4_17_16x4),
	},
	fewMost:   12,
	Mix:       vectorMix(mixer[float32]{8, 32, mix16}, mixer[float32]{4, 32, mixFour16}),
	MixHalves: vectorMix(mixer[uint16]{8, 32, mixHalves16}, mixer[uint16]{4, 32, mixFourHalves16}),
	Axpy:      axpy16,
	Softmax:   vectorSoftmax(softmaxRows16),
	Norm:      norm16,
	SwiGLU:    vectorSwiGLU(16, activate16),
}

// rows16 is how many packed rows the functions of Set.few take at once.
var rows16 = [groupIns]int{4, 4, 4, 4}

type (
	f32x16 = archsimd.Float32x16
	u32x16 = archsimd.Uint32x16
)

// load16 and words16 read 16 numbers at a distance of i bytes.
func load16(p unsafe.Pointer, i int) f32x16 {
	return archsimd.LoadFloat32x16((*[16]float32)(unsafe.Add(p, i)))
}

func words16(p unsafe.Pointer, i int) u32x16 {
	return archsimd.LoadUint32x16((*[16]uint32)(unsafe.Add(p, i)))
}

func store16(p unsafe.Pointer, i int, v f32x16) { v.Store((*[16]float32)(unsafe.Add(p, i))) }

// all16 has the number with these bits in every lane. The compiler does not
// move it out of a loop.
func all16(bits uint32) u32x16 { return archsimd.BroadcastUint32x16(bits) }

// halve16 adds the upper eight lanes to the lower ones.
func halve16(v f32x16) archsimd.Float32x8 { return v.GetLo().Add(v.GetHi()) }

// add16 adds the lanes of four sums.
func add16(a, b, c, d f32x16) archsimd.Float32x4 {
	return add8(halve16(a), halve16(b), halve16(c), halve16(d))
}

func mul16(l *lanes, panel []float32, x []*float32, at, n int) {
	multiply16[len(x)-1](&l[0][0][0], &panel[0], fourOf(x), 4*at, n, at > 0)
}

// multiply16 is for one input row, two, and so on.
var multiply16 = [groupIns]func(lanes, panel *float32, x *[groupIns]*float32, at, blocks int, add bool){
	multiply16x1, multiply16x2, multiply16x3, multiply16x4,
}

func fold16(sums [][TileRows]float32, r int, l *lanes) {
	var four, two [4]float32
	for j := range sums {
		p := unsafe.Pointer(&l[0][j])
		add16(load16(p, 0), load16(p, laneRow), load16(p, 2*laneRow), load16(p, 3*laneRow)).Store(&four)
		a, b := load16(p, 4*laneRow), load16(p, 5*laneRow)
		add16(a, b, a, b).Store(&two)
		putGroup(&sums[j], r, &four, &two)
	}
	archsimd.ClearAVXUpperBits()
}

// What follows takes a block of 32 weights apart: even elements and odd ones.

// q8x16 takes GGUF's 34 bytes and the bits of their scale.
func q8x16(p unsafe.Pointer, i int, bits uint32) (even, odd f32x16) {
	scale := all16(bits).AsFloat32x16()
	w := archsimd.LoadInt16x16((*[16]int16)(unsafe.Add(p, i+2))).ExtendToInt32()
	even = w.ShiftAllLeft(24).ShiftAllRight(24).ConvertToFloat32().Mul(scale)
	return even, w.ShiftAllRight(8).ConvertToFloat32().Mul(scale)
}

// f16x16 widens halves.
func f16x16(h u32x16) f32x16 {
	c := &halfTerms
	v := h.And(archsimd.LoadUint32x16(&c.rest)).ShiftAllLeft(13)
	special := archsimd.LoadUint32x16(&c.infinite).Masked(v.Greater(archsimd.LoadUint32x16(&c.top)))
	v = v.AsFloat32x16().Mul(archsimd.LoadUint32x16(&c.bias).AsFloat32x16()).AsUint32x16()
	return v.Or(h.And(archsimd.LoadUint32x16(&c.sign)).ShiftAllLeft(16)).Or(special).AsFloat32x16()
}

func unpackF16x16(dst []float32, step, n int, data, _ []byte) {
	if n == 0 {
		return
	}
	_, _ = dst[(2*n-1)*step+15], data[64*n-1]
	d, p := unsafe.Pointer(&dst[0]), unsafe.Pointer(&data[0])
	low, sixteen := all16(0xffff), all16(16)
	for i := range n {
		w := words16(p, 64*i)
		store16(d, 8*i*step, f16x16(w.And(low)))
		store16(d, 8*i*step+4*step, f16x16(w.ShiftRight(sixteen)))
	}
	archsimd.ClearAVXUpperBits()
}

func unpackF32x16(dst []float32, step, n int, data, _ []byte) {
	if n == 0 {
		return
	}
	_, _ = dst[(2*n-1)*step+15], data[128*n-1]
	d, p := unsafe.Pointer(&dst[0]), unsafe.Pointer(&data[0])
	even, odd := archsimd.LoadUint32x16(&evens), archsimd.LoadUint32x16(&odds)
	for i := range n {
		v, w := load16(p, 128*i), load16(p, 128*i+64)
		store16(d, 8*i*step, v.ConcatPermute(w, even))
		store16(d, 8*i*step+4*step, v.ConcatPermute(w, odd))
	}
	archsimd.ClearAVXUpperBits()
}

func unpackQ8x16(dst []float32, step, n int, data, _ []byte) {
	if n == 0 {
		return
	}
	_, _ = dst[(2*n-1)*step+15], data[34*n-1]
	d, p := unsafe.Pointer(&dst[0]), unsafe.Pointer(&data[0])
	for i := range n {
		even, odd := q8x16(p, 34*i, halfAt(p, 34*i))
		store16(d, 8*i*step, even)
		store16(d, 8*i*step+4*step, odd)
	}
	archsimd.ClearAVXUpperBits()
}

// evens and odds pick every second number of two vectors.
var evens, odds = func() (even, odd [16]uint32) {
	for i := range even {
		even[i], odd[i] = uint32(2*i), uint32(2*i+1)
	}
	return even, odd
}()
