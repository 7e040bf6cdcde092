package constrain

import "chorale/harmony/constrain/internal/shape"

// A string's text is read in two layers: the bytes between the quotes are decoded
// to characters, and the characters drive the automaton of a [shape.Term]. The
// decoder's state is one word: what it is inside of, and what it has read of it.
//
// Where any text may follow, every JSON escape is allowed. Elsewhere a character
// has one spelling: itself, or the shortest escape if it needs one. So a choice
// that the schema leaves open is never one between two spellings.
type decoder uint32

const (
	atChar decoder = iota
	inEscape
	inHex     // \u and its digits so far
	inPair    // the first half of a surrogate pair is read; a backslash follows
	inPairU   // and u
	inPairHex // and the digits of the second half
	inRune    // a character of several bytes

	kindBits             = 0xf
	freely       decoder = 1 << 4 // any escape
	countShift           = 5      // digits read, or bytes to come
	valueShift           = 8
	longShift            = 29 // length of the character in bytes, less two
	valueMask            = 1<<21 - 1
	shortEscapes         = "\b\f\n\r\t"
)

func pack(kind decoder, free decoder, count, value uint32) decoder {
	return kind | free | decoder(count<<countShift) | decoder(value<<valueShift)
}

func (d decoder) count() uint32 { return uint32(d>>countShift) & 7 }
func (d decoder) value() uint32 { return uint32(d>>valueShift) & valueMask }

// textState is where a string stands: its automaton's state, the decoder, and
// the characters so far if the term counts them.
type textState struct {
	s int32
	d decoder
	n int32
}

// outcome is what a byte does to a string.
type outcome uint8

const (
	refused outcome = iota
	inside
	closed
)

// stepText reads one byte of a string.
func stepText(t *shape.Term, x textState, b byte) (textState, outcome) {
	if x.d == atChar {
		switch {
		case b == '"':
			if t.Accepts(x.s, int(x.n)) {
				return x, closed
			}
			return x, refused
		case b == '\\':
			return startEscape(t, x)
		case b < 0x20:
			return x, refused
		case b < 0x80:
			return stepChar(t, x, rune(b))
		}
		return startRune(t, x, b)
	}
	switch x.d & kindBits {
	case inEscape:
		return stepEscape(t, x, b)
	case inHex:
		return stepHex(t, x, b)
	case inPair:
		if b != '\\' {
			return x, refused
		}
		x.d = pack(inPairU, freely, 0, x.d.value())
		return x, inside
	case inPairU:
		if b != 'u' {
			return x, refused
		}
		x.d = pack(inPairHex, freely, 0, x.d.value()<<10)
		return x, inside
	case inPairHex:
		return stepPairHex(t, x, b)
	}
	return stepRune(t, x, b)
}

// stepChar reads one character.
func stepChar(t *shape.Term, x textState, r rune) (textState, outcome) {
	s := t.DFA.Step(x.s, r)
	n := x.n
	if t.Counts {
		if n++; t.Max < 0 {
			n = min(n, int32(t.Min))
		}
	}
	if !t.Alive(s, int(n)) {
		return x, refused
	}
	return textState{s: s, n: n}, inside
}

func canChar(t *shape.Term, x textState, r rune) bool {
	_, o := stepChar(t, x, r)
	return o == inside
}

// free reports whether any text may follow, up to a length.
func free(t *shape.Term, x textState) bool {
	if t.Counts {
		return t.DFA.Whole(x.s) && (t.Max < 0 || int(x.n) < t.Max)
	}
	return t.DFA.Total(x.s)
}

func startEscape(t *shape.Term, x textState) (textState, outcome) {
	if free(t, x) {
		x.d = inEscape | freely
		return x, inside
	}
	x.d = inEscape
	for r := rune(0); r < 0x20; r++ {
		if canChar(t, x, r) {
			return x, inside
		}
	}
	if canChar(t, x, '"') || canChar(t, x, '\\') {
		return x, inside
	}
	return x, refused
}

func stepEscape(t *shape.Term, x textState, b byte) (textState, outcome) {
	escape := x.d & freely
	switch b {
	case '"', '\\':
		return stepChar(t, x, rune(b))
	case 'b':
		return stepChar(t, x, '\b')
	case 'f':
		return stepChar(t, x, '\f')
	case 'n':
		return stepChar(t, x, '\n')
	case 'r':
		return stepChar(t, x, '\r')
	case 't':
		return stepChar(t, x, '\t')
	case '/':
		if escape != 0 {
			return stepChar(t, x, '/')
		}
	case 'u':
		x.d = pack(inHex, escape, 0, 0)
		if escape != 0 || controlBelow(t, x, 0, 0) {
			return x, inside
		}
	}
	return x, refused
}

// controlBelow reports whether a control character without an escape of its own
// may come whose first digits in hexadecimal are those of value.
func controlBelow(t *shape.Term, x textState, count, value uint32) bool {
	for r := rune(0); r < 0x20; r++ {
		if uint32(r)>>(4*(4-count)) == value && !shortEscape(r) && canChar(t, x, r) {
			return true
		}
	}
	return false
}

func shortEscape(r rune) bool {
	for _, e := range shortEscapes {
		if r == e {
			return true
		}
	}
	return false
}

func hexDigit(b byte) (uint32, bool) {
	switch {
	case b >= '0' && b <= '9':
		return uint32(b - '0'), true
	case b >= 'a' && b <= 'f':
		return uint32(b-'a') + 10, true
	case b >= 'A' && b <= 'F':
		return uint32(b-'A') + 10, true
	}
	return 0, false
}

func stepHex(t *shape.Term, x textState, b byte) (textState, outcome) {
	digit, ok := hexDigit(b)
	escape := x.d & freely
	if !ok || escape == 0 && b >= 'A' && b <= 'F' {
		return x, refused
	}
	count, value := x.d.count()+1, x.d.value()<<4|digit
	switch {
	case escape == 0 && !controlBelow(t, x, count, value):
		return x, refused
	case count == 2 && value >= 0xDC && value <= 0xDF:
		return x, refused // the second half of a pair
	case count < 4:
		x.d = pack(inHex, escape, count, value)
		return x, inside
	case value >= 0xD800 && value < 0xDC00:
		x.d = pack(inPair, escape, 0, value-0xD800)
		return x, inside
	}
	return stepChar(t, x, rune(value))
}

func stepPairHex(t *shape.Term, x textState, b byte) (textState, outcome) {
	digit, ok := hexDigit(b)
	count, value := x.d.count()+1, x.d.value()
	switch {
	case !ok, count == 1 && digit != 0xd, count == 2 && digit < 0xc:
		return x, refused
	case count == 1:
	case count == 2:
		value |= (digit & 3) << 8
	default:
		value |= digit << (4 * (4 - count))
	}
	if count == 4 {
		return stepChar(t, x, rune(value)+0x10000)
	}
	x.d = pack(inPairHex, freely, count, value)
	return x, inside
}

// startRune reads the first byte of a character of several.
func startRune(t *shape.Term, x textState, b byte) (textState, outcome) {
	var more, value uint32
	switch {
	case b >= 0xC2 && b <= 0xDF:
		more, value = 1, uint32(b&0x1F)
	case b >= 0xE0 && b <= 0xEF:
		more, value = 2, uint32(b&0x0F)
	case b >= 0xF0 && b <= 0xF4:
		more, value = 3, uint32(b&0x07)
	default:
		return x, refused
	}
	return partRune(t, x, more+1, more, value)
}

func stepRune(t *shape.Term, x textState, b byte) (textState, outcome) {
	if b&0xC0 != 0x80 {
		return x, refused
	}
	long := uint32(x.d>>longShift) + 2
	return partRune(t, x, long, x.d.count()-1, x.d.value()<<6|uint32(b&0x3F))
}

// partRune takes a character of long bytes of which more are to come.
func partRune(t *shape.Term, x textState, long, more, value uint32) (textState, outcome) {
	lo := rune(value << (6 * more))
	hi := lo | (1<<(6*more) - 1)
	lo = max(lo, [5]rune{2: 0x80, 3: 0x800, 4: 0x10000}[long])
	hi = min(hi, 0x10FFFF)
	if lo > hi || lo >= 0xD800 && hi <= 0xDFFF {
		return x, refused
	}
	if more == 0 {
		return stepChar(t, x, rune(value))
	}
	if !anyAlive(t, x, lo, hi) {
		return x, refused
	}
	x.d = pack(inRune, 0, more, value) | decoder((long-2)<<longShift)
	return x, inside
}

// anyAlive reports whether a character from lo to hi may come.
func anyAlive(t *shape.Term, x textState, lo, hi rune) bool {
	if !t.Counts {
		return t.DFA.AnyIn(x.s, lo, hi)
	}
	alive := false
	t.DFA.EachNext(x.s, func(from, to rune) bool {
		if from <= hi && to >= lo {
			alive = canChar(t, x, from)
		}
		return !alive
	})
	return alive
}
