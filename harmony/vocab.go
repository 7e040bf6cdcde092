package harmony

import "math/bits"

// span is where a token's bytes lie in vocab.text. An empty span is an id
// that the vocabulary does not use.
type span struct{ start, end uint32 }

// vocab holds the bytes of every token and finds a token by its bytes.
//
// Nearly every piece of a text is a token as it stands, so the look-up is what
// encoding costs. Tokens of up to seven bytes are their own 64-bit keys in one
// table, the longer ones are found by a tag of their hash in another.
type vocab struct {
	text        string
	spans       []span
	specialFrom uint32 // where in text the special tokens' names begin

	shortKeys []uint64 // 0 is a free slot
	shortIDs  []Token
	shortBits int

	long     []longSlot // tag 0 is a free slot
	longBits int
}

type longSlot struct {
	tag uint32
	id  Token
}

// maxShort is the longest token that fits into a key beside its length.
const maxShort = 7

// of returns the bytes of a token, or "" if the id is unused.
func (v *vocab) of(t Token) string {
	if int64(t) >= int64(len(v.spans)) {
		return ""
	}
	s := v.spans[t]
	return v.text[s.start:s.end]
}

// reserve makes the tables large enough for so many short and long tokens.
func (v *vocab) reserve(short, long int) {
	v.shortBits = tableBits(short)
	v.longBits = tableBits(long)
	v.shortKeys = make([]uint64, 1<<v.shortBits)
	v.shortIDs = make([]Token, 1<<v.shortBits)
	v.long = make([]longSlot, 1<<v.longBits)
}

// tableBits returns the size of a table for n entries, at most half full, as a
// power of two.
func tableBits(n int) int { return bits.Len(uint(2 * n)) }

// add makes the token findable by its bytes.
func (v *vocab) add(t Token) {
	s := v.spans[t]
	if n := s.end - s.start; n <= maxShort {
		key := shortKey(v.text, int(s.start), int(s.end))
		slot := hash64(key) >> (64 - v.shortBits)
		for v.shortKeys[slot] != 0 {
			slot = (slot + 1) & (1<<v.shortBits - 1)
		}
		v.shortKeys[slot], v.shortIDs[slot] = key, t
		return
	}
	slot, tag := v.longHash(v.text, int(s.start), int(s.end))
	for v.long[slot].tag != 0 {
		slot = (slot + 1) & (1<<v.longBits - 1)
	}
	v.long[slot] = longSlot{tag, t}
}

// find returns the token whose bytes are text[i:j].
func (v *vocab) find(text string, i, j int) (Token, bool) {
	if j-i <= maxShort {
		key := shortKey(text, i, j)
		mask := uint64(1)<<v.shortBits - 1
		for slot := hash64(key) >> (64 - v.shortBits); ; slot = (slot + 1) & mask {
			switch v.shortKeys[slot] {
			case key:
				return v.shortIDs[slot], true
			case 0:
				return 0, false
			}
		}
	}
	slot, tag := v.longHash(text, i, j)
	for ; ; slot = (slot + 1) & (1<<v.longBits - 1) {
		switch e := v.long[slot]; e.tag {
		case tag:
			if s := v.spans[e.id]; v.text[s.start:s.end] == text[i:j] {
				return e.id, true
			}
		case 0:
			return 0, false
		}
	}
}

// shortKey packs text[i:j], at most seven bytes, with its length on top.
func shortKey(text string, i, j int) uint64 {
	n := uint(j - i)
	if i+8 <= len(text) {
		return load64(text, i)&(1<<(8*n)-1) | uint64(n)<<56
	}
	var key uint64
	for k := j - 1; k >= i; k-- {
		key = key<<8 | uint64(text[k])
	}
	return key | uint64(n)<<56
}

// longHash returns the home slot of text[i:j], of eight bytes or more, and its
// tag, which is never 0.
func (v *vocab) longHash(text string, i, j int) (slot uint64, tag uint32) {
	h := uint64(j - i)
	for ; i+8 <= j; i += 8 {
		h = mix(h ^ load64(text, i))
	}
	h = mix(h ^ load64(text, j-8))
	return h >> (64 - v.longBits), uint32(h) | 1
}

const hashFactor = 0x9E3779B97F4A7C15 // 2^64 divided by the golden ratio

func hash64(x uint64) uint64 { return x * hashFactor }

// mix multiplies into 128 bits and folds, so that every input bit reaches the
// upper and the lower end.
func mix(x uint64) uint64 {
	hi, lo := bits.Mul64(x, hashFactor)
	return hi ^ lo
}

// load64 reads eight bytes; the compiler makes one load of it.
func load64(s string, i int) uint64 {
	_ = s[i+7]
	return uint64(s[i]) | uint64(s[i+1])<<8 | uint64(s[i+2])<<16 | uint64(s[i+3])<<24 |
		uint64(s[i+4])<<32 | uint64(s[i+5])<<40 | uint64(s[i+6])<<48 | uint64(s[i+7])<<56
}
