//go:build goexperiment.simd

package kernel

import (
	"math"
	"simd/archsimd"
	"unsafe"
)

func widen8(dst []float32, halves []uint16) {
	n := len(dst) &^ 7
	if n > 0 {
		_ = halves[len(dst)-1]
		d, p := unsafe.Pointer(&dst[0]), unsafe.Pointer(&halves[0])
		for i := 0; i < n; i += 8 {
			store8(d, 4*i, f16x8(halves8(p, 2*i)))
		}
		archsimd.ClearAVXUpperBits()
	}
	widenScalar(dst[n:], halves[n:])
}

func score8(scores, q, keys []float32) {
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
		var a0, a1, a2, a3, b0, b1, b2, b3 f32x8
		for j := 0; j < 4*d; j += 64 {
			u, v := load8(x, j), load8(x, j+32)
			a0, b0 = load8(p0, j).MulAdd(u, a0), load8(p0, j+32).MulAdd(v, b0)
			a1, b1 = load8(p1, j).MulAdd(u, a1), load8(p1, j+32).MulAdd(v, b1)
			a2, b2 = load8(p2, j).MulAdd(u, a2), load8(p2, j+32).MulAdd(v, b2)
			a3, b3 = load8(p3, j).MulAdd(u, a3), load8(p3, j+32).MulAdd(v, b3)
		}
		var v [4]float32
		add8(a0.Add(b0), a1.Add(b1), a2.Add(b2), a3.Add(b3)).Store(&v)
		copy(scores[i:], v[:n])
	}
	archsimd.ClearAVXUpperBits()
}

func mix8(dst, weights, values []float32) {
	d := len(dst)
	n := d &^ 31
	if n == 0 || len(weights) == 0 {
		mixScalar(dst, weights, values)
		return
	}
	_ = values[d*len(weights)-1]
	for at := 0; at < n; at += 32 {
		p, o, w := unsafe.Pointer(&values[at]), unsafe.Pointer(&dst[at]), unsafe.Pointer(&weights[0])
		a0, a1, a2, a3 := load8(o, 0), load8(o, 32), load8(o, 64), load8(o, 96)
		for i := range len(weights) {
			f := all8(wordAt(w, 4*i)).AsFloat32x8()
			v := unsafe.Add(p, 4*d*i)
			a0 = load8(v, 0).MulAdd(f, a0)
			a1 = load8(v, 32).MulAdd(f, a1)
			a2 = load8(v, 64).MulAdd(f, a2)
			a3 = load8(v, 96).MulAdd(f, a3)
		}
		store8(o, 0, a0)
		store8(o, 32, a1)
		store8(o, 64, a2)
		store8(o, 96, a3)
	}
	archsimd.ClearAVXUpperBits()
	for i, w := range weights {
		axpyScalar(dst[n:], values[i*d+n:(i+1)*d], w)
	}
}

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

func softmax8(scores []float32, scale, sink float32) float32 {
	n := len(scores) &^ 7
	if n == 0 {
		return softmaxScalar(scores, scale, sink)
	}
	p := unsafe.Pointer(&scores[0])
	f, m := broadcast8(scale), broadcast8(sink)
	for i := 0; i < 4*n; i += 32 {
		v := load8(p, i).Mul(f)
		store8(p, i, v)
		m = m.Max(v)
	}
	var tops [8]float32
	m.Store(&tops)
	archsimd.ClearAVXUpperBits()
	top, sum := softmaxRest(scores[n:], scale, sink, tops[:])
	var v [4]float32
	weigh8(p, 4*n, math.Float32bits(top), &v)
	return sum + v[0]
}

// weigh8 turns scores into weights and sets v to their sum.
//
//go:noinline
func weigh8(p unsafe.Pointer, bytes int, top uint32, v *[4]float32) {
	var total f32x8
	m := all8(top).AsFloat32x8()
	for i := 0; i < bytes; i += 32 {
		e := exp8(load8(p, i).Sub(m))
		store8(p, i, e)
		total = total.Add(e)
	}
	add8(total, total, total, total).Store(v)
	archsimd.ClearAVXUpperBits()
}

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
