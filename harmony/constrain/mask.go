package constrain

import (
	"math/bits"

	"chorale/harmony"
)

// Mask is a set of tokens: token id is bit id%64 of word id/64. The masks that
// this package hands out are shared: read them only, and [Mask.Clone] to change.
type Mask []uint64

// NewMask returns an empty set for tokens below size.
func NewMask(size int) Mask { return make(Mask, (size+63)/64) }

// Has reports whether the token is in the set.
func (m Mask) Has(id harmony.Token) bool {
	w := int64(id / 64)
	return w < int64(len(m)) && m[w]>>(id%64)&1 != 0
}

// Set puts a token into the set.
func (m Mask) Set(id harmony.Token) { m[id/64] |= 1 << (id % 64) }

// Clear takes a token out of the set.
func (m Mask) Clear(id harmony.Token) { m[id/64] &^= 1 << (id % 64) }

// Or puts all tokens of o, of the same size, into the set.
func (m Mask) Or(o Mask) {
	for i, w := range o {
		m[i] |= w
	}
}

// Clone returns a copy that the caller may change.
func (m Mask) Clone() Mask { return append(Mask(nil), m...) }

// Count returns the number of tokens in the set.
func (m Mask) Count() int {
	n := 0
	for _, w := range m {
		n += bits.OnesCount64(w)
	}
	return n
}

// Single returns the token of a set that has just one.
func (m Mask) Single() (harmony.Token, bool) {
	at := -1
	for i, w := range m {
		if w == 0 {
			continue
		}
		if at >= 0 || w&(w-1) != 0 {
			return 0, false
		}
		at = i*64 + bits.TrailingZeros64(w)
	}
	return harmony.Token(at), at >= 0
}
