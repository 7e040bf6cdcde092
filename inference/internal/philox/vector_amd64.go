//go:build goexperiment.simd

package philox

import "simd/archsimd"

func first(out *[64]uint64, x, y, key uint32) {
	if archsimd.X86.AVX2() {
		firstVector(out, x, y, key)
	} else {
		firstPlain(out, x, y, key)
	}
}

// firstVector has four counters of 64 bits in a vector, of which only the lower halves
// matter. What vector code must avoid stands in inference/internal/kernel, whose test of
// machine code reads this too.
func firstVector(out *[64]uint64, x, y, key uint32) {
	words := archsimd.BroadcastUint64x4
	by, upper := words(factor).AsUint32x8(), words(32)
	next := words(uint64(x)).Add(archsimd.LoadUint64x4(&places))
	for at := 0; at < len(out); at += 16 {
		a := next
		b := a.Add(words(4))
		c := b.Add(words(4))
		d := c.Add(words(4))
		next = d.Add(words(4))
		e := words(uint64(y))
		f, g, h := e, e, e
		k := key
		for range 10 {
			round := words(uint64(k))
			p := a.AsUint32x8().MulEvenWiden(by)
			a, e = p.ShiftRight(upper).Xor(e).Xor(round), p
			p = b.AsUint32x8().MulEvenWiden(by)
			b, f = p.ShiftRight(upper).Xor(f).Xor(round), p
			p = c.AsUint32x8().MulEvenWiden(by)
			c, g = p.ShiftRight(upper).Xor(g).Xor(round), p
			p = d.AsUint32x8().MulEvenWiden(by)
			d, h = p.ShiftRight(upper).Xor(h).Xor(round), p
			k += step
		}
		a.Store((*[4]uint64)(out[at:]))
		b.Store((*[4]uint64)(out[at+4:]))
		c.Store((*[4]uint64)(out[at+8:]))
		d.Store((*[4]uint64)(out[at+12:]))
	}
	archsimd.ClearAVXUpperBits()
}

var places = [4]uint64{0, 1, 2, 3}
