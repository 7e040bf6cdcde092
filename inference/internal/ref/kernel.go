package ref

import (
	"encoding/binary"
	"math"
)

// Two kernels multiply: six rows by one token, and three rows by two tokens.
// Six sums are what Go's compiler keeps in registers on amd64: with eight it
// spills and takes more than twice the time.

// dot3x2 adds the products of three rows with two tokens to their sums.
func dot3x2(w0, w1, w2, x, y []float32, a, b *[3]float32) {
	n := len(x)
	w0, w1, w2, y = w0[:n], w1[:n], w2[:n], y[:n]
	a0, a1, a2 := a[0], a[1], a[2]
	b0, b1, b2 := b[0], b[1], b[2]
	for i, p := range x {
		q := y[i]
		a0 += w0[i] * p
		b0 += w0[i] * q
		a1 += w1[i] * p
		b1 += w1[i] * q
		a2 += w2[i] * p
		b2 += w2[i] * q
	}
	*a = [3]float32{a0, a1, a2}
	*b = [3]float32{b0, b1, b2}
}

// dot6x1 adds the products of six rows with one token to their sums.
func dot6x1(w0, w1, w2, w3, w4, w5, x []float32, a *[6]float32) {
	n := len(x)
	w0, w1, w2, w3, w4, w5 = w0[:n], w1[:n], w2[:n], w3[:n], w4[:n], w5[:n]
	a0, a1, a2, a3, a4, a5 := a[0], a[1], a[2], a[3], a[4], a[5]
	for i, p := range x {
		a0 += w0[i] * p
		a1 += w1[i] * p
		a2 += w2[i] * p
		a3 += w3[i] * p
		a4 += w4[i] * p
		a5 += w5[i] * p
	}
	*a = [6]float32{a0, a1, a2, a3, a4, a5}
}

// axpy4 adds four scaled rows to dst, in order.
func axpy4(dst, v0, v1, v2, v3 []float32, p0, p1, p2, p3 float32) {
	n := len(dst)
	v0, v1, v2, v3 = v0[:n], v1[:n], v2[:n], v3[:n]
	for i := range dst {
		s := dst[i]
		s += p0 * v0[i]
		s += p1 * v1[i]
		s += p2 * v2[i]
		s += p3 * v3[i]
		dst[i] = s
	}
}

// axpy adds a scaled row to dst.
func axpy(dst, v []float32, p float32) {
	v = v[:len(dst)]
	for i := range dst {
		dst[i] += p * v[i]
	}
}

// bf16 widens the number at index i of b.
func bf16(b []byte, i int) float32 {
	return math.Float32frombits(uint32(binary.LittleEndian.Uint16(b[2*i:])) << 16)
}

// unpackBF16 widens len(dst) numbers.
func unpackBF16(dst []float32, src []byte) {
	src = src[:2*len(dst)]
	for len(dst) >= 4 && len(src) >= 8 {
		u := binary.LittleEndian.Uint64(src)
		dst[0] = math.Float32frombits(uint32(u) << 16)
		dst[1] = math.Float32frombits(uint32(u) & 0xffff0000)
		dst[2] = math.Float32frombits(uint32(u>>16) & 0xffff0000)
		dst[3] = math.Float32frombits(uint32(u>>32) & 0xffff0000)
		dst, src = dst[4:], src[8:]
	}
	for i := range dst {
		dst[i] = bf16(src, i)
	}
}

// e2m1 has the two elements of every MXFP4 byte, low nibble first.
var e2m1 = func() (t [256][2]float32) {
	values := [16]float32{0, .5, 1, 1.5, 2, 3, 4, 6, 0, -.5, -1, -1.5, -2, -3, -4, -6}
	values[8] = float32(math.Copysign(0, -1))
	for i := range t {
		t[i] = [2]float32{values[i&15], values[i>>4]}
	}
	return t
}()

// e8m0 has 2^(i-127) for every scale byte.
var e8m0 = func() (t [256]float32) {
	for i := range t {
		t[i] = float32(math.Ldexp(1, i-127))
	}
	return t
}()

// unpackMXFP4 widens whole blocks: 16 bytes and a scale give 32 numbers, all
// exact.
func unpackMXFP4(dst []float32, blocks, scales []byte) {
	for _, scale := range scales {
		s := e8m0[scale]
		src := (*[16]byte)(blocks)
		out := (*[32]float32)(dst)
		for i, b := range src {
			p := &e2m1[b]
			out[2*i] = p[0] * s
			out[2*i+1] = p[1] * s
		}
		dst, blocks = dst[32:], blocks[16:]
	}
}

// exp is e^x in f32, rounded from f64: 2^k by the exponent's bits, the rest by
// a series on [-ln2/2, ln2/2] with a relative error under 1e-8.
func exp(x float32) float32 {
	switch {
	case x < -104:
		return 0
	case x > 89:
		return float32(math.Inf(1))
	case x != x:
		return x
	}
	k := math.Floor(float64(x)*math.Log2E + 0.5)
	r := float64(x) - k*math.Ln2
	p := 1.0/720 + r*(1.0/5040)
	p = 1.0/120 + r*p
	p = 1.0/24 + r*p
	p = 1.0/6 + r*p
	p = 1.0/2 + r*p
	p = 1 + r*p
	p = 1 + r*p
	return float32(p * math.Float64frombits(uint64(int64(k)+1023)<<52))
}
