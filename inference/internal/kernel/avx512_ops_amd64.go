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
