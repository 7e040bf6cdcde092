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
