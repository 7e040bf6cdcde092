package kernel

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// unpackScalar widens by Go's own arithmetic and tables. In the split layout
// the element 2j of a block stands at j and the element 2j+1 at 16+j.
var unpackScalar = [formats]unpacker{unpackBF16, unpackF16, unpackF32, unpackQ8, unpackMXFP4, unpackMXFP4x17}

// halvesOf returns where the even and odd elements of block i go.
func halvesOf(dst []float32, step, i int) (even, odd *[16]float32) {
	return (*[16]float32)(dst[2*i*step:]), (*[16]float32)(dst[(2*i+1)*step:])
}

func unpackBF16(dst []float32, step, n int, data, _ []byte) {
	for i := range n {
		even, odd := halvesOf(dst, step, i)
		src := (*[2 * Block]byte)(data[i*(2*Block):])
		for j := 0; j < 16; j += 2 {
			u := binary.LittleEndian.Uint64(src[4*j:])
			even[j] = math.Float32frombits(uint32(u) << 16)
			odd[j] = math.Float32frombits(uint32(u) & 0xffff0000)
			even[j+1] = math.Float32frombits(uint32(u>>16) & 0xffff0000)
			odd[j+1] = math.Float32frombits(uint32(u>>32) & 0xffff0000)
		}
	}
}

func unpackF16(dst []float32, step, n int, data, _ []byte) {
	for i := range n {
		even, odd := halvesOf(dst, step, i)
		src := (*[2 * Block]byte)(data[i*(2*Block):])
		for j := range 16 {
			u := binary.LittleEndian.Uint32(src[4*j:])
			even[j], odd[j] = Half(uint16(u)), Half(uint16(u>>16))
		}
	}
}

func unpackF32(dst []float32, step, n int, data, _ []byte) {
	for i := range n {
		even, odd := halvesOf(dst, step, i)
		src := (*[4 * Block]byte)(data[i*(4*Block):])
		for j := range 16 {
			u := binary.LittleEndian.Uint64(src[8*j:])
			even[j], odd[j] = math.Float32frombits(uint32(u)), math.Float32frombits(uint32(u>>32))
		}
	}
}

func unpackQ8(dst []float32, step, n int, data, _ []byte) {
	for i := range n {
		even, odd := halvesOf(dst, step, i)
		src := (*[34]byte)(data[i*34:])
		scale := Half(binary.LittleEndian.Uint16(src[:]))
		for j := range 16 {
			even[j] = float32(int8(src[2+2*j])) * scale
			odd[j] = float32(int8(src[3+2*j])) * scale
		}
	}
}

func unpackMXFP4(dst []float32, step, n int, data, scales []byte) {
	for i := range n {
		even, odd := halvesOf(dst, step, i)
		src := (*[16]byte)(data[i*16:])
		scale := e8m0[scales[i]]
		for j, b := range src {
			p := &e2m1[b]
			even[j], odd[j] = p[0]*scale, p[1]*scale
		}
	}
}

func unpackMXFP4x17(dst []float32, step, n int, data, _ []byte) {
	for i := range n {
		even, odd := halvesOf(dst, step, i)
		src := (*[17]byte)(data[i*17:])
		scale := e8m0[src[0]]
		for j := 0; j < 16; j += 2 {
			p, q := &e2m1[src[1+j]], &e2m1[src[2+j]]
			even[j/2], even[8+j/2] = p[0]*scale, p[1]*scale
			odd[j/2], odd[8+j/2] = q[0]*scale, q[1]*scale
		}
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

// e8m0 has 2^(i-127) for every scale byte but 255, which is no number.
var e8m0 = func() (t [256]float32) {
	for i := range t {
		t[i] = float32(math.Ldexp(1, i-127))
	}
	t[255] = float32(math.NaN())
	return t
}()

// Half widens an IEEE half.
func Half(h uint16) float32 { return math.Float32frombits(halfBits(uint32(h))) }

// halfBits returns the bits in f32 of a half.
func halfBits(h uint32) uint32 {
	sign, exp, frac := h&0x8000<<16, h>>10&31, h&0x3ff
	switch {
	case exp == 31: // infinite or not a number
		return sign | 0x7f800000 | frac<<13
	case exp > 0:
		return sign | (exp+112)<<23 | frac<<13
	case frac == 0:
		return sign
	}
	shift := uint32(bits.LeadingZeros32(frac)) - 21 // to the place of the hidden bit
	return sign | (113-shift)<<23 | frac<<shift&0x3ff<<13
}

// ToHalf rounds to the nearest IEEE half, to even on ties; what is too large
// becomes infinite.
func ToHalf(v float32) uint16 {
	u := math.Float32bits(v)
	sign := uint16(u >> 16 & 0x8000)
	u &= 0x7fffffff
	switch {
	case u > 0x7f800000: // not a number: keep it so
		return sign | 0x7e00
	case u >= 0x477ff000: // rounds beyond 65504
		return sign | 0x7c00
	case u < 0x38800000: // denormal: the addition rounds at 2^-24
		return sign | uint16(math.Float32bits(math.Float32frombits(u)+0.5)-0x3f000000)
	}
	return sign | uint16((u+0xfff+u>>13&1-0x38000000)>>13)
}

// Numbers sets dst to numbers of a vector in BF16, F16 or F32 from one on.
func (f Format) Numbers(dst []float32, data []byte, from int) {
	data = data[f.Bytes(from):f.Bytes(from+len(dst))]
	switch f {
	case BF16:
		for i := range dst {
			dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(data[2*i:])) << 16)
		}
	case F16:
		for i := range dst {
			dst[i] = Half(binary.LittleEndian.Uint16(data[2*i:]))
		}
	case F32:
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
		}
	default:
		panic("kernel: a vector in " + f.String())
	}
}
