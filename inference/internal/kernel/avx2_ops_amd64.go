//go:build goexperiment.simd

package kernel

import (
	"math"
	"simd/archsimd"
	"unsafe"
)

// broadcast8 has the number in every lane.
func broadcast8(v float32) f32x8 { return all8(math.Float32bits(v)).AsFloat32x8() }

func axpy8(dst, v []float32, p float32) {
	n := len(dst) &^ 7
	if n > 0 {
		_ = v[n-1]
		add8times(unsafe.Pointer(&dst[0]), unsafe.Pointer(&v[0]), 4*n, math.Float32bits(p))
	}
	axpyScalar(dst[n:], v[n:], p)
}

// The loops that follow take numbers as bits: what they would spill of floats,
// they would load by legacy SSE.

//go:noinline
func add8times(d, s unsafe.Pointer, bytes int, p uint32) {
	f := all8(p).AsFloat32x8()
	for i := 0; i < bytes; i += 32 {
		store8(d, i, load8(s, i).MulAdd(f, load8(d, i)))
	}
	archsimd.ClearAVXUpperBits()
}

// keepNaN8 is v, but no number where x is none.
func keepNaN8(v, x f32x8) f32x8 {
	return v.AsInt32x8().Or(x.IsNaN().ToInt32x8()).AsFloat32x8()
}

// exp8 is exp16. It scales in two steps, as 2^k need not be a number of f32.
func exp8(a f32x8) f32x8 {
	c := &expTerms
	x := a.Max(term8(&c.least)).Min(term8(&c.most))
	k := x.Mul(term8(&c.log2e)).RoundToEven()
	r := k.MulAdd(term8(&c.ln2High), x)
	r = k.MulAdd(term8(&c.ln2Low), r)
	p := term8(&c.poly[0])
	p = p.MulAdd(r, term8(&c.poly[1]))
	p = p.MulAdd(r, term8(&c.poly[2]))
	p = p.MulAdd(r, term8(&c.poly[3]))
	p = p.MulAdd(r, term8(&c.poly[4]))
	p = p.MulAdd(r, term8(&c.poly[5]))
	p = p.MulAdd(r, term8(&c.poly[6]))
	p = p.MulAdd(r, term8(&c.poly[6]))
	bias := words8(unsafe.Pointer(&c.bias), 0).AsInt32x8()
	i := k.ConvertToInt32()
	h := i.ShiftRight(words8(unsafe.Pointer(&c.one), 0).AsInt32x8())
	p = p.Mul(h.Add(bias).ShiftAllLeft(23).AsFloat32x8())
	return keepNaN8(p.Mul(i.Sub(h).Add(bias).ShiftAllLeft(23).AsFloat32x8()), a)
}

func term8(t *[16]float32) f32x8 { return load8(unsafe.Pointer(t), 0) }

func norm8(dst, x, gain []float32, eps float32) {
	n := len(x)
	if n%8 != 0 || n == 0 {
		normScalar(dst, x, gain, eps)
		return
	}
	_, _ = dst[n-1], gain[n-1]
	p, d, g := unsafe.Pointer(&x[0]), unsafe.Pointer(&dst[0]), unsafe.Pointer(&gain[0])
	var lo, hi archsimd.Float64x4
	for i := 0; i < 4*n; i += 32 {
		v := load8(p, i)
		a, b := v.GetLo().ConvertToFloat64(), v.GetHi().ConvertToFloat64()
		lo, hi = a.MulAdd(a, lo), b.MulAdd(b, hi)
	}
	var lane [8]float64
	lo.Add(hi).Store((*[4]float64)(lane[:]))
	archsimd.ClearAVXUpperBits()
	f := broadcast8(rootScale(lane, n, eps))
	for i := 0; i < 4*n; i += 32 {
		store8(d, i, load8(p, i).Mul(f).Mul(load8(g, i)))
	}
	archsimd.ClearAVXUpperBits()
}

func swiglu8(dst, u []float32, alpha, limit float32) {
	a, l := math.Float32bits(alpha), math.Float32bits(limit)
	n := len(dst) &^ 7
	if n > 0 {
		_ = u[2*n-1]
		activate8(unsafe.Pointer(&dst[0]), unsafe.Pointer(&u[0]), 4*n, a, l)
	}
	if rest := dst[n:]; len(rest) > 0 { // half a tile of gates and ups is one
		var in [2 * 8]float32
		var out [8]float32
		copy(in[:2*len(rest)], u[2*n:])
		activate8(unsafe.Pointer(&out), unsafe.Pointer(&in), 4*8, a, l)
		copy(rest, out[:])
	}
}

//go:noinline
func activate8(d, p unsafe.Pointer, bytes int, alpha, limit uint32) {
	order := archsimd.LoadUint32x8(&evensFirst)
	const negative = 1 << 31
	most, least := all8(limit).AsFloat32x8(), all8(limit^negative).AsFloat32x8()
	one, slope := all8(oneBits).AsFloat32x8(), all8(alpha^negative).AsFloat32x8()
	for i := 0; i < bytes; i += 32 {
		a, b := load8(p, 2*i).Permute(order), load8(p, 2*i+32).Permute(order)
		v, w := a.Select128FromPair(0, 2, b), a.Select128FromPair(1, 3, b)
		gate, up := v.Min(most), w.Max(least).Min(most)
		y := gate.Div(one.Add(exp8(gate.Mul(slope))))
		store8(d, i, keepNaN8(keepNaN8(y.Mul(up.Add(one)), v), w))
	}
	archsimd.ClearAVXUpperBits()
}
