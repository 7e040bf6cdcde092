//go:build goexperiment.simd

package kernel

import (
	"math"
	"simd/archsimd"
	"unsafe"
)

func widen16(dst []float32, halves []uint16) {
	n := len(dst) &^ 15
	if n > 0 {
		_ = halves[len(dst)-1]
		d, p := unsafe.Pointer(&dst[0]), unsafe.Pointer(&halves[0])
		for i := 0; i < n; i += 16 {
			h := archsimd.LoadUint16x16((*[16]uint16)(unsafe.Add(p, 2*i))).ExtendToUint32()
			store16(d, 4*i, f16x16(h))
		}
		archsimd.ClearAVXUpperBits()
	}
	widenScalar(dst[n:], halves[n:])
}

func score16(scores, q, keys []float32) {
	d := len(q)
	if d%16 != 0 || d == 0 || len(scores) == 0 {
		scoreScalar(scores, q, keys)
		return
	}
	_ = keys[d*len(scores)-1]
	x, k := unsafe.Pointer(&q[0]), unsafe.Pointer(&keys[0])
	for i := 0; i < len(scores); i += 4 {
		n := min(4, len(scores)-i)
		p0 := unsafe.Add(k, 4*d*i)
		p1, p2, p3 := unsafe.Add(p0, 4*d*min(1, n-1)), unsafe.Add(p0, 4*d*min(2, n-1)), unsafe.Add(p0, 4*d*(n-1))
		var a0, a1, a2, a3 f32x16
		for j := 0; j < 4*d; j += 64 {
			v := load16(x, j)
			a0 = load16(p0, j).MulAdd(v, a0)
			a1 = load16(p1, j).MulAdd(v, a1)
			a2 = load16(p2, j).MulAdd(v, a2)
			a3 = load16(p3, j).MulAdd(v, a3)
		}
		var v [4]float32
		add16(a0, a1, a2, a3).Store(&v)
		copy(scores[i:], v[:n])
	}
	archsimd.ClearAVXUpperBits()
}

func mix16(dst, weights, values []float32) {
	d := len(dst)
	n := d &^ 63
	if n == 0 || len(weights) == 0 {
		mixScalar(dst, weights, values)
		return
	}
	_ = values[d*len(weights)-1]
	for at := 0; at < n; at += 64 {
		p, o, w := unsafe.Pointer(&values[at]), unsafe.Pointer(&dst[at]), unsafe.Pointer(&weights[0])
		a0, a1, a2, a3 := load16(o, 0), load16(o, 64), load16(o, 128), load16(o, 192)
		for i := range len(weights) {
			f := all16(wordAt(w, 4*i)).AsFloat32x16()
			v := unsafe.Add(p, 4*d*i)
			a0 = load16(v, 0).MulAdd(f, a0)
			a1 = load16(v, 64).MulAdd(f, a1)
			a2 = load16(v, 128).MulAdd(f, a2)
			a3 = load16(v, 192).MulAdd(f, a3)
		}
		store16(o, 0, a0)
		store16(o, 64, a1)
		store16(o, 128, a2)
		store16(o, 192, a3)
	}
	archsimd.ClearAVXUpperBits()
	for i, w := range weights {
		axpyScalar(dst[n:], values[i*d+n:(i+1)*d], w)
	}
}

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

func softmax16(scores []float32, scale, sink float32) float32 {
	n := len(scores) &^ 15
	if n == 0 {
		return softmaxScalar(scores, scale, sink)
	}
	p := unsafe.Pointer(&scores[0])
	f, m := broadcast16(scale), broadcast16(sink)
	for i := 0; i < 4*n; i += 64 {
		v := load16(p, i).Mul(f)
		store16(p, i, v)
		m = m.Max(v)
	}
	var tops [16]float32
	m.Store(&tops)
	archsimd.ClearAVXUpperBits()
	top, sum := softmaxRest(scores[n:], scale, sink, tops[:])
	var v [4]float32
	weigh16(p, 4*n, math.Float32bits(top), &v)
	return sum + v[0]
}

// weigh16 turns scores into weights and sets v to their sum.
//
//go:noinline
func weigh16(p unsafe.Pointer, bytes int, top uint32, v *[4]float32) {
	var total f32x16
	m := all16(top).AsFloat32x16()
	for i := 0; i < bytes; i += 64 {
		e := exp16(load16(p, i).Sub(m))
		store16(p, i, e)
		total = total.Add(e)
	}
	add16(total, total, total, total).Store(v)
	archsimd.ClearAVXUpperBits()
}

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
