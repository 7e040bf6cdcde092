//go:build goexperiment.simd

package kernel

import (
	"simd/archsimd"
	"unsafe"
)

// avx2 keeps the 16 lanes of a sum in two vectors. Its products are to the bit
// those of avx512.
var avx2 = &Set{
	Name:     "AVX2",
	unpack:   [formats]unpacker{widen(64, widenBF16_8), unpackF16x8, unpackF32x8, unpackQ8x8, widen(16, widenMXFP4_8), widen(17, widenMXFP4_17_8)},
	multiply: vectorMultiply(mul8, fold8),
	few: [formats]func(*Scratch, []byte, []byte, Rows){
		BF16:     vectorFew(rows8, fewBF16_8x1, fewBF16_8x2),
		Q8_0:     vectorFew(rows8, fewQ8_8x1, fewQ8_8x2, fewQ8_8x3, fewQ8_8x4),
		MXFP4:    vectorFew(rows8, fewMXFP4_8x1, fewMXFP4_8x2, fewMXFP4_8x3, fewMXFP4_8x4),
		MXFP4_17: vectorFew(rows8, fewMXFP4_17_8x1, fewMXFP4_17_8x2, fewMXFP4_17_8x3, fewMXFP4_17_8x4),
	},
	fewMost:   4,
	Mix:       vectorMix(mixer[float32]{4, 16, mixFour8}, mixer[float32]{4, 16, mixFour8}),
	MixHalves: vectorMix(mixer[uint16]{4, 16, mixFourHalves8}, mixer[uint16]{4, 16, mixFourHalves8}),
	Axpy:      axpy8,
	Softmax:   vectorSoftmax(softmaxRows8),
	Norm:      norm8,
	SwiGLU:    vectorSwiGLU(8, activate8),
}

// rows8 is how many packed rows the functions of Set.few take at once.
var rows8 = [groupIns]int{4, 4, 2, 2}

type (
	f32x8 = archsimd.Float32x8
	u32x8 = archsimd.Uint32x8
)

// load8 and words8 read eight numbers at a distance of i bytes.
func load8(p unsafe.Pointer, i int) f32x8 {
	return archsimd.LoadFloat32x8((*[8]float32)(unsafe.Add(p, i)))
}

func words8(p unsafe.Pointer, i int) u32x8 {
	return archsimd.LoadUint32x8((*[8]uint32)(unsafe.Add(p, i)))
}

func store8(p unsafe.Pointer, i int, v f32x8) { v.Store((*[8]float32)(unsafe.Add(p, i))) }

// all8 has the number with these bits in every lane.
func all8(bits uint32) u32x8 { return archsimd.BroadcastUint32x8(bits) }

// mul8 takes two input rows at a time, and eight lanes.
func mul8(l *lanes, panel []float32, x []*float32, at, n int) {
	for j := 0; j < len(x); j += 2 {
		for lane := 0; lane < 16; lane += 8 {
			sums, w, in := &l[0][j][lane], &panel[lane], fourOf(x[j:])
			if j+1 < len(x) {
				multiply8x2(sums, w, in, 4*(at+lane), n, at > 0)
			} else {
				multiply8x1(sums, w, in, 4*(at+lane), n, at > 0)
			}
		}
	}
}

func fold8(sums [][TileRows]float32, r int, l *lanes) {
	var four, two [4]float32
	for j := range sums {
		p := unsafe.Pointer(&l[0][j])
		a, b := load8(p, 0).Add(load8(p, 32)), load8(p, laneRow).Add(load8(p, laneRow+32))
		c, d := load8(p, 2*laneRow).Add(load8(p, 2*laneRow+32)), load8(p, 3*laneRow).Add(load8(p, 3*laneRow+32))
		add8(a, b, c, d).Store(&four)
		a, b = load8(p, 4*laneRow).Add(load8(p, 4*laneRow+32)), load8(p, 5*laneRow).Add(load8(p, 5*laneRow+32))
		add8(a, b, a, b).Store(&two)
		putGroup(&sums[j], r, &four, &two)
	}
	archsimd.ClearAVXUpperBits()
}

// What follows takes a block of 32 weights apart: the even elements of its first
// half and of its second, then the odd ones.

func q8x8(p unsafe.Pointer, i int, up24 u32x8) (e, f, o, q f32x8) {
	scale := all8(halfAt(p, i)).AsFloat32x8()
	up, down := up24.AsInt32x8(), archsimd.BroadcastInt32x8(8)
	v := archsimd.LoadInt16x8((*[8]int16)(unsafe.Add(p, i+2))).ExtendToInt32()
	w := archsimd.LoadInt16x8((*[8]int16)(unsafe.Add(p, i+18))).ExtendToInt32()
	e, f = v.ShiftLeft(up).ShiftRight(up).ConvertToFloat32().Mul(scale), w.ShiftLeft(up).ShiftRight(up).ConvertToFloat32().Mul(scale)
	return e, f, v.ShiftRight(down).ConvertToFloat32().Mul(scale), w.ShiftRight(down).ConvertToFloat32().Mul(scale)
}

// f16x8 widens eight halves.
func f16x8(h u32x8) f32x8 {
	c := &halfTerms
	sign := h.And(words8(unsafe.Pointer(&c.sign), 0)).ShiftAllLeft(16)
	v := h.And(words8(unsafe.Pointer(&c.rest), 0)).ShiftAllLeft(13)
	special := v.AsInt32x8().Greater(words8(unsafe.Pointer(&c.top), 0).AsInt32x8()).ToInt32x8().AsUint32x8().And(words8(unsafe.Pointer(&c.infinite), 0))
	v = v.AsFloat32x8().Mul(words8(unsafe.Pointer(&c.bias), 0).AsFloat32x8()).AsUint32x8()
	return v.Or(sign).Or(special).AsFloat32x8()
}

func store4x8(dst unsafe.Pointer, i, step int, e, f, o, q f32x8) {
	d := unsafe.Add(dst, 8*i*step)
	store8(d, 0, e)
	store8(d, 32, f)
	d = unsafe.Add(d, 4*step)
	store8(d, 0, o)
	store8(d, 32, q)
}

func unpackF16x8(dst []float32, step, n int, data, _ []byte) {
	if n == 0 {
		return
	}
	_, _ = dst[(2*n-1)*step+15], data[64*n-1]
	d, p := unsafe.Pointer(&dst[0]), unsafe.Pointer(&data[0])
	low, sixteen := all8(0xffff), all8(16)
	for i := range n {
		v, w := words8(p, 64*i), words8(p, 64*i+32)
		store4x8(d, i, step, f16x8(v.And(low)), f16x8(w.And(low)), f16x8(v.ShiftRight(sixteen)), f16x8(w.ShiftRight(sixteen)))
	}
	archsimd.ClearAVXUpperBits()
}

func unpackF32x8(dst []float32, step, n int, data, _ []byte) {
	if n == 0 {
		return
	}
	_, _ = dst[(2*n-1)*step+15], data[128*n-1]
	d, p := unsafe.Pointer(&dst[0]), unsafe.Pointer(&data[0])
	order := archsimd.LoadUint32x8(&evensFirst)
	for i := range n {
		a, b := load8(p, 128*i).Permute(order), load8(p, 128*i+32).Permute(order)
		c, e := load8(p, 128*i+64).Permute(order), load8(p, 128*i+96).Permute(order)
		store4x8(d, i, step, a.Select128FromPair(0, 2, b), c.Select128FromPair(0, 2, e), a.Select128FromPair(1, 3, b), c.Select128FromPair(1, 3, e))
	}
	archsimd.ClearAVXUpperBits()
}

// evensFirst puts the even numbers of a vector before the odd ones.
var evensFirst = [8]uint32{0, 2, 4, 6, 1, 3, 5, 7}

func unpackQ8x8(dst []float32, step, n int, data, _ []byte) {
	if n == 0 {
		return
	}
	_, _ = dst[(2*n-1)*step+15], data[34*n-1]
	d, p, up := unsafe.Pointer(&dst[0]), unsafe.Pointer(&data[0]), all8(24)
	for i := range n {
		a, b, c, e := q8x8(p, 34*i, up)
		store4x8(d, i, step, a, b, c, e)
	}
	archsimd.ClearAVXUpperBits()
}
