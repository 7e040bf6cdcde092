//go:build goexperiment.simd

package kernel

import (
	"simd/archsimd"
	"unsafe"
)

// avx512 keeps the 16 lanes of a sum in one vector.
var avx512 = &Set{
	Name:     "AVX-512",
	unpack:   [formats]unpacker{unpackBF16x16, unpackF16x16, unpackF32x16, unpackQ8x16, unpackMXFP4x16, unpackMXFP4x17x16},
	group:    groupRows,
	multiply: vectorMultiply(mul16, fold16),
	dot: [formats]func(*[TileRows]float32, []byte, []byte, []float32){
		BF16: dotBF16x16, Q8_0: dotQ8x16, MXFP4: dotMXFP4x16, MXFP4_17: dotMXFP4x17x16,
	},
	dotMost: [formats]int{MXFP4: 4, MXFP4_17: 3},
	dotTwo: [formats]func(_, _ *[TileRows]float32, _, _ []byte, _, _ []float32){
		MXFP4: dotTwoMXFP4x16,
	},
	dotFew:    dotFew16,
	Mix:       vectorMix(4, mixer[float32]{32, mix16}, mixer[float32]{32, mixFour16}),
	MixHalves: vectorMix(2, mixer[uint16]{32, mixHalves16}, mixer[uint16]{32, mixFourHalves16}),
	Axpy:      axpy16,
	Softmax:   softmax16,
	Norm:      norm16,
	SwiGLU:    swiglu16,
}

type (
	f32x16 = archsimd.Float32x16
	u32x16 = archsimd.Uint32x16
)

// load16, words16 and bytes16 read 16 numbers at a distance of i bytes.
func load16(p unsafe.Pointer, i int) f32x16 {
	return archsimd.LoadFloat32x16((*[16]float32)(unsafe.Add(p, i)))
}

func words16(p unsafe.Pointer, i int) u32x16 {
	return archsimd.LoadUint32x16((*[16]uint32)(unsafe.Add(p, i)))
}

func bytes16(p unsafe.Pointer, i int) u32x16 {
	return archsimd.LoadUint8x16((*[16]byte)(unsafe.Add(p, i))).ExtendToUint32()
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

func mul16(l *lanes, w, x, y *float32, n int) {
	ww, xx, yy, ll := unsafe.Pointer(w), unsafe.Pointer(x), unsafe.Pointer(y), unsafe.Pointer(l)
	a0, a1, a2, a3 := load16(ll, 0), load16(ll, 64), load16(ll, 128), load16(ll, 192)
	b0, b1, b2, b3 := load16(ll, 256), load16(ll, 320), load16(ll, 384), load16(ll, 448)
	for i := 0; i < 4*n; i += 64 {
		r := unsafe.Add(ww, groupRows*i)
		u, v := load16(xx, i), load16(yy, i)
		w := load16(r, 0)
		a0, b0 = w.MulAdd(u, a0), w.MulAdd(v, b0)
		w = load16(r, 64)
		a1, b1 = w.MulAdd(u, a1), w.MulAdd(v, b1)
		w = load16(r, 128)
		a2, b2 = w.MulAdd(u, a2), w.MulAdd(v, b2)
		w = load16(r, 192)
		a3, b3 = w.MulAdd(u, a3), w.MulAdd(v, b3)
	}
	store16(ll, 0, a0)
	store16(ll, 64, a1)
	store16(ll, 128, a2)
	store16(ll, 192, a3)
	store16(ll, 256, b0)
	store16(ll, 320, b1)
	store16(ll, 384, b2)
	store16(ll, 448, b3)
	archsimd.ClearAVXUpperBits()
}

func fold16(sums *[groupRows]float32, l *[groupRows][16]float32) {
	p := unsafe.Pointer(l)
	add16(load16(p, 0), load16(p, 64), load16(p, 128), load16(p, 192)).Store(sums)
	archsimd.ClearAVXUpperBits()
}

// What follows takes a block of 32 weights apart: even elements and odd ones.

// bf16x16 takes 64 bytes and the mask of the upper half of a number.
func bf16x16(w, upper u32x16) (even, odd f32x16) {
	return w.ShiftAllLeft(16).AsFloat32x16(), w.And(upper).AsFloat32x16()
}

// mxfp4x16 takes 16 bytes, the block's scale and the number 4. A permutation
// looks at the low four bits of an index alone. Shifting by the plain number
// would go by way of a legacy SSE instruction.
func mxfp4x16(p unsafe.Pointer, i int, scale byte, four u32x16) (even, odd f32x16) {
	w, t := bytes16(p, i), archsimd.LoadFloat32x16(&scaled[scale])
	return t.Permute(w), t.Permute(w.ShiftRight(four))
}

// evens17 and odds17 have the place of each element in the eight 16-bit words of GGUF's
// block, which stand twice in a vector.
var evens17, odds17 = func() (even, odd [16]uint32) {
	for j := range 16 {
		even[j] = uint32(j / 8 * 4)
		odd[j] = even[j] + 8
	}
	return even, odd
}()

// mxfp4x17x16 takes GGUF's 17 bytes.
func mxfp4x17x16(p unsafe.Pointer, i int, evens, odds u32x16) (even, odd f32x16) {
	t := archsimd.LoadFloat32x16(&scaled[byteAt(p, i)])
	half := archsimd.LoadUint16x8((*[8]uint16)(unsafe.Add(p, i+1))).ExtendToUint32()
	var w u32x16
	w = w.SetLo(half).SetHi(half)
	return t.Permute(w.ShiftRight(evens)), t.Permute(w.ShiftRight(odds))
}

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

func unpackBF16x16(dst []float32, step, n int, data, _ []byte) {
	if n == 0 {
		return
	}
	_, _ = dst[(2*n-1)*step+15], data[64*n-1]
	upper := all16(0xffff0000)
	d, p := unsafe.Pointer(&dst[0]), unsafe.Pointer(&data[0])
	for i := range n {
		even, odd := bf16x16(words16(p, 64*i), upper)
		store16(d, 8*i*step, even)
		store16(d, 8*i*step+4*step, odd)
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

func unpackMXFP4x16(dst []float32, step, n int, data, scales []byte) {
	if n == 0 {
		return
	}
	_, _, _ = dst[(2*n-1)*step+15], data[16*n-1], scales[n-1]
	d, p, s := unsafe.Pointer(&dst[0]), unsafe.Pointer(&data[0]), unsafe.Pointer(&scales[0])
	four := all16(4)
	for i := range n {
		even, odd := mxfp4x16(p, 16*i, byteAt(s, i), four)
		store16(d, 8*i*step, even)
		store16(d, 8*i*step+4*step, odd)
	}
	archsimd.ClearAVXUpperBits()
}

func unpackMXFP4x17x16(dst []float32, step, n int, data, _ []byte) {
	if n == 0 {
		return
	}
	_, _ = dst[(2*n-1)*step+15], data[17*n-1]
	evens, odds := archsimd.LoadUint32x16(&evens17), archsimd.LoadUint32x16(&odds17)
	d, p := unsafe.Pointer(&dst[0]), unsafe.Pointer(&data[0])
	for i := range n {
		even, odd := mxfp4x17x16(p, 17*i, evens, odds)
		store16(d, 8*i*step, even)
		store16(d, 8*i*step+4*step, odd)
	}
	archsimd.ClearAVXUpperBits()
}

// A dot kernel takes three rows at a time, each from another third of the tile:
// three long streams are what the processor fetches ahead best, and three sums
// hide the latency of adding.
const third = TileRows / 3

// store3 stores the sums of a row of each third.
func store3(sums *[TileRows]float32, r int, a, b, c f32x16) {
	var v [4]float32
	add16(a, b, c, c).Store(&v)
	put3(sums, r, &v)
}

// put3 is the end of store3, as bits: a copy of floats would go by way of legacy SSE.
func put3(sums *[TileRows]float32, r int, v *[4]float32) {
	s, p := unsafe.Pointer(&sums[r]), unsafe.Pointer(v)
	*(*uint32)(s) = wordAt(p, 0)
	*(*uint32)(unsafe.Add(s, 4*third)) = wordAt(p, 4)
	*(*uint32)(unsafe.Add(s, 8*third)) = wordAt(p, 8)
}

func dotBF16x16(sums *[TileRows]float32, data, _ []byte, x []float32) {
	n := len(x) / Block
	_, _ = data[TileRows*64*n-1], x[Block*n-1]
	upper := all16(0xffff0000)
	xx := unsafe.Pointer(&x[0])
	for r := range third {
		p := unsafe.Pointer(&data[r*64*n])
		q, s := unsafe.Add(p, third*64*n), unsafe.Add(p, 2*third*64*n)
		var a, b, c f32x16
		for i := 0; i < 64*n; i += 64 {
			u, v := load16(xx, 2*i), load16(xx, 2*i+64)
			ae, ao := bf16x16(words16(p, i), upper)
			be, bo := bf16x16(words16(q, i), upper)
			ce, co := bf16x16(words16(s, i), upper)
			a, b, c = ae.MulAdd(u, a), be.MulAdd(u, b), ce.MulAdd(u, c)
			a, b, c = ao.MulAdd(v, a), bo.MulAdd(v, b), co.MulAdd(v, c)
		}
		store3(sums, r, a, b, c)
	}
	archsimd.ClearAVXUpperBits()
}

// dotFew16 multiplies two rows, one from each half of the tile, with four input
// rows. What is missing of the four is the last one again.
func dotFew16(sums [][TileRows]float32, data []byte, x Rows) {
	n := x.Width / Block
	_ = data[TileRows*64*n-1]
	last := len(sums) - 1
	x0, x1 := unsafe.Pointer(&x.row(0)[0]), unsafe.Pointer(&x.row(1)[0])
	x2, x3 := unsafe.Pointer(&x.row(min(2, last))[0]), unsafe.Pointer(&x.row(last)[0])
	upper := all16(0xffff0000)
	var low, high [4]float32
	for r := range half {
		p := unsafe.Pointer(&data[r*64*n])
		q := unsafe.Add(p, half*64*n)
		var a0, a1, a2, a3, b0, b1, b2, b3 f32x16
		for i := 0; i < 64*n; i += 64 {
			ae, ao := bf16x16(words16(p, i), upper)
			be, bo := bf16x16(words16(q, i), upper)
			v := load16(x0, 2*i)
			a0, b0 = v.MulAdd(ae, a0), v.MulAdd(be, b0)
			v = load16(x1, 2*i)
			a1, b1 = v.MulAdd(ae, a1), v.MulAdd(be, b1)
			v = load16(x2, 2*i)
			a2, b2 = v.MulAdd(ae, a2), v.MulAdd(be, b2)
			v = load16(x3, 2*i)
			a3, b3 = v.MulAdd(ae, a3), v.MulAdd(be, b3)
			v = load16(x0, 2*i+64)
			a0, b0 = v.MulAdd(ao, a0), v.MulAdd(bo, b0)
			v = load16(x1, 2*i+64)
			a1, b1 = v.MulAdd(ao, a1), v.MulAdd(bo, b1)
			v = load16(x2, 2*i+64)
			a2, b2 = v.MulAdd(ao, a2), v.MulAdd(bo, b2)
			v = load16(x3, 2*i+64)
			a3, b3 = v.MulAdd(ao, a3), v.MulAdd(bo, b3)
		}
		add16(a0, a1, a2, a3).Store(&low)
		add16(b0, b1, b2, b3).Store(&high)
		storeFew(sums, r, &low, &high)
	}
	archsimd.ClearAVXUpperBits()
}

func dotQ8x16(sums *[TileRows]float32, data, _ []byte, x []float32) {
	n := len(x) / Block
	_, _ = data[TileRows*34*n-1], x[Block*n-1]
	xx := unsafe.Pointer(&x[0])
	var scales [3][q8Run]uint32
	for r := range third {
		p := unsafe.Pointer(&data[r*34*n])
		q, s := unsafe.Add(p, third*34*n), unsafe.Add(p, 2*third*34*n)
		var a, b, c f32x16
		for from := 0; from < n; from += q8Run {
			to := min(from+q8Run, n)
			q8Scales(&scales[0], p, from, to)
			q8Scales(&scales[1], q, from, to)
			q8Scales(&scales[2], s, from, to)
			for i := from; i < to; i++ {
				u, v := load16(xx, 128*i), load16(xx, 128*i+64)
				ae, ao := q8x16(p, 34*i, scales[0][i-from])
				be, bo := q8x16(q, 34*i, scales[1][i-from])
				ce, co := q8x16(s, 34*i, scales[2][i-from])
				a, b, c = ae.MulAdd(u, a), be.MulAdd(u, b), ce.MulAdd(u, c)
				a, b, c = ao.MulAdd(v, a), bo.MulAdd(v, b), co.MulAdd(v, c)
			}
		}
		store3(sums, r, a, b, c)
	}
	archsimd.ClearAVXUpperBits()
}

func dotMXFP4x16(sums *[TileRows]float32, data, scales []byte, x []float32) {
	n := len(x) / Block
	_, _, _ = data[TileRows*16*n-1], scales[TileRows*n-1], x[Block*n-1]
	four := all16(4)
	xx := unsafe.Pointer(&x[0])
	for r := range third {
		p, f := unsafe.Pointer(&data[r*16*n]), unsafe.Pointer(&scales[r*n])
		q, s := unsafe.Add(p, third*16*n), unsafe.Add(p, 2*third*16*n)
		g, h := unsafe.Add(f, third*n), unsafe.Add(f, 2*third*n)
		var a, b, c f32x16
		for i := range n {
			u, v := load16(xx, 128*i), load16(xx, 128*i+64)
			ae, ao := mxfp4x16(p, 16*i, byteAt(f, i), four)
			be, bo := mxfp4x16(q, 16*i, byteAt(g, i), four)
			ce, co := mxfp4x16(s, 16*i, byteAt(h, i), four)
			a, b, c = ae.MulAdd(u, a), be.MulAdd(u, b), ce.MulAdd(u, c)
			a, b, c = ao.MulAdd(v, a), bo.MulAdd(v, b), co.MulAdd(v, c)
		}
		store3(sums, r, a, b, c)
	}
	archsimd.ClearAVXUpperBits()
}

func dotTwoMXFP4x16(first, second *[TileRows]float32, data, scales []byte, x, y []float32) {
	n := len(x) / Block
	_, _, _, _ = data[TileRows*16*n-1], scales[TileRows*n-1], x[Block*n-1], y[Block*n-1]
	four := all16(4)
	xx, yy := unsafe.Pointer(&x[0]), unsafe.Pointer(&y[0])
	var low, high [4]float32
	for r := range third {
		p, f := unsafe.Pointer(&data[r*16*n]), unsafe.Pointer(&scales[r*n])
		q, s := unsafe.Add(p, third*16*n), unsafe.Add(p, 2*third*16*n)
		g, h := unsafe.Add(f, third*n), unsafe.Add(f, 2*third*n)
		var a, b, c, d, e, k f32x16
		for i := range n {
			ae, ao := mxfp4x16(p, 16*i, byteAt(f, i), four)
			be, bo := mxfp4x16(q, 16*i, byteAt(g, i), four)
			ce, co := mxfp4x16(s, 16*i, byteAt(h, i), four)
			u, v := load16(xx, 128*i), load16(yy, 128*i)
			a, b, c = ae.MulAdd(u, a), be.MulAdd(u, b), ce.MulAdd(u, c)
			d, e, k = ae.MulAdd(v, d), be.MulAdd(v, e), ce.MulAdd(v, k)
			u, v = load16(xx, 128*i+64), load16(yy, 128*i+64)
			a, b, c = ao.MulAdd(u, a), bo.MulAdd(u, b), co.MulAdd(u, c)
			d, e, k = ao.MulAdd(v, d), bo.MulAdd(v, e), co.MulAdd(v, k)
		}
		add16(a, b, c, c).Store(&low)
		add16(d, e, k, k).Store(&high)
		put3(first, r, &low)
		put3(second, r, &high)
	}
	archsimd.ClearAVXUpperBits()
}

func dotMXFP4x17x16(sums *[TileRows]float32, data, _ []byte, x []float32) {
	n := len(x) / Block
	_, _ = data[TileRows*17*n-1], x[Block*n-1]
	evens, odds := archsimd.LoadUint32x16(&evens17), archsimd.LoadUint32x16(&odds17)
	xx := unsafe.Pointer(&x[0])
	for r := range third {
		p := unsafe.Pointer(&data[r*17*n])
		q, s := unsafe.Add(p, third*17*n), unsafe.Add(p, 2*third*17*n)
		var a, b, c f32x16
		for i := range n {
			u, v := load16(xx, 128*i), load16(xx, 128*i+64)
			ae, ao := mxfp4x17x16(p, 17*i, evens, odds)
			be, bo := mxfp4x17x16(q, 17*i, evens, odds)
			ce, co := mxfp4x17x16(s, 17*i, evens, odds)
			a, b, c = ae.MulAdd(u, a), be.MulAdd(u, b), ce.MulAdd(u, c)
			a, b, c = ao.MulAdd(v, a), bo.MulAdd(v, b), co.MulAdd(v, c)
		}
		store3(sums, r, a, b, c)
	}
	archsimd.ClearAVXUpperBits()
}
