//go:build goexperiment.simd

package kernel

import (
	"math"
	"simd/archsimd"
	"unsafe"
)

func axpy16(dst, v []float32, p float32) {
	n := len(dst) &^ 15
	if n > 0 {
		_ = v[n-1]
		add16times(unsafe.Pointer(&dst[0]), unsafe.Pointer(&v[0]), 4*n, math.Float32bits(p))
	}
	axpyScalar(dst[n:], v[n:], p)
}

// The loops that follow take numbers as bits: what they would spill of floats,
// they would load by legacy SSE.

//go:noinline
func add16times(d, s unsafe.Pointer, bytes int, p uint32) {
	f := all16(p).AsFloat32x16()
	for i := 0; i < bytes; i += 64 {
		store16(d, i, load16(s, i).MulAdd(f, load16(d, i)))
	}
	archsimd.ClearAVXUpperBits()
}

// broadcast16 has the number in every lane.
func broadcast16(v float32) f32x16 { return all16(math.Float32bits(v)).AsFloat32x16() }

// keepNaN16 is v, but no number where x is none: minimum and maximum lose that.
func keepNaN16(v, x f32x16) f32x16 {
	return v.AsInt32x16().Or(x.IsNaN().ToInt32x16()).AsFloat32x16()
}

// exp16 is Exp in f32, within 2 units in the last place.
func exp16(a f32x16) f32x16 {
	c := &expTerms
	x := a.Max(term16(&c.least)).Min(term16(&c.most))
	k := x.Mul(term16(&c.log2e)).RoundToEvenScaled(0)
	r := k.MulAdd(term16(&c.ln2High), x)
	r = k.MulAdd(term16(&c.ln2Low), r)
	p := term16(&c.poly[0])
	p = p.MulAdd(r, term16(&c.poly[1]))
	p = p.MulAdd(r, term16(&c.poly[2]))
	p = p.MulAdd(r, term16(&c.poly[3]))
	p = p.MulAdd(r, term16(&c.poly[4]))
	p = p.MulAdd(r, term16(&c.poly[5]))
	p = p.MulAdd(r, term16(&c.poly[6]))
	p = p.MulAdd(r, term16(&c.poly[6]))
	return keepNaN16(p.Scale(k), a)
}

func term16(t *[16]float32) f32x16 { return archsimd.LoadFloat32x16(t) }

func norm16(dst, x, gain []float32, eps float32) {
	n := len(x)
	if n%16 != 0 || n == 0 {
		normScalar(dst, x, gain, eps)
		return
	}
	_, _ = dst[n-1], gain[n-1]
	p, d, g := unsafe.Pointer(&x[0]), unsafe.Pointer(&dst[0]), unsafe.Pointer(&gain[0])
	var lo, hi archsimd.Float64x8
	for i := 0; i < 4*n; i += 64 {
		v := load16(p, i)
		a, b := v.GetLo().ConvertToFloat64(), v.GetHi().ConvertToFloat64()
		lo, hi = a.MulAdd(a, lo), b.MulAdd(b, hi)
	}
	var lane [8]float64
	lo.Add(hi).Store(&lane)
	archsimd.ClearAVXUpperBits()
	f := broadcast16(rootScale(lane, n, eps))
	for i := 0; i < 4*n; i += 64 {
		store16(d, i, load16(p, i).Mul(f).Mul(load16(g, i)))
	}
	archsimd.ClearAVXUpperBits()
}

func swiglu16(dst, u []float32, alpha, limit float32) {
	a, l := math.Float32bits(alpha), math.Float32bits(limit)
	n := len(dst) &^ 15
	if n > 0 {
		_ = u[2*n-1]
		activate16(unsafe.Pointer(&dst[0]), unsafe.Pointer(&u[0]), 4*n, a, l)
	}
	if rest := dst[n:]; len(rest) > 0 { // half a tile of gates and ups is one
		var in [2 * 16]float32
		var out [16]float32
		copy(in[:2*len(rest)], u[2*n:])
		activate16(unsafe.Pointer(&out), unsafe.Pointer(&in), 4*16, a, l)
		copy(rest, out[:])
	}
}

//go:noinline
func activate16(d, p unsafe.Pointer, bytes int, alpha, limit uint32) {
	even, odd := archsimd.LoadUint32x16(&evens), archsimd.LoadUint32x16(&odds)
	const negative = 1 << 31
	most, least := all16(limit).AsFloat32x16(), all16(limit^negative).AsFloat32x16()
	one, slope := all16(oneBits).AsFloat32x16(), all16(alpha^negative).AsFloat32x16()
	for i := 0; i < bytes; i += 64 {
		v, w := load16(p, 2*i), load16(p, 2*i+64)
		v, w = v.ConcatPermute(w, even), v.ConcatPermute(w, odd)
		gate, up := v.Min(most), w.Max(least).Min(most)
		y := gate.Div(one.Add(exp16(gate.Mul(slope))))
		store16(d, i, keepNaN16(keepNaN16(y.Mul(up.Add(one)), v), w))
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
