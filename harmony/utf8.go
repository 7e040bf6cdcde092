package harmony

import (
	"strings"
	"unicode/utf8"
)

// badUTF8 looks for the first bytes of s that are no UTF-8. It returns how many
// bytes before them are good, and the length of the bad sequence: the maximal
// subpart of Unicode chapter 3.9, one to three bytes. Cut is true if s ends in
// the middle of a character, which more bytes might complete; bad is then the
// length of that beginning. In a good string, bad is 0.
func badUTF8[T string | []byte](s T) (good, bad int, cut bool) {
	for i := 0; i < len(s); {
		if s[i] < utf8.RuneSelf {
			i++
			continue
		}
		n, whole := sequence(s[i:])
		if !whole {
			return i, n, n == len(s)-i && n < want(s[i])
		}
		i += n
	}
	return len(s), 0, false
}

// want is how many bytes a character has that begins with the byte, or 0.
func want(first byte) int {
	switch {
	case 0xC2 <= first && first <= 0xDF:
		return 2
	case 0xE0 <= first && first <= 0xEF:
		return 3
	case 0xF0 <= first && first <= 0xF4:
		return 4
	}
	return 0
}

// sequence measures the character that s begins with, which is not ASCII; if it
// is not whole, those bytes of it that are right, and at least one.
func sequence[T string | []byte](s T) (n int, whole bool) {
	length := want(s[0])
	lo, hi := byte(0x80), byte(0xBF) // of the second byte
	switch s[0] {
	case 0xE0:
		lo = 0xA0
	case 0xED:
		hi = 0x9F
	case 0xF0:
		lo = 0x90
	case 0xF4:
		hi = 0x8F
	}
	for n = 1; n < length; n++ {
		if n == len(s) || s[n] < lo || s[n] > hi {
			return n, false
		}
		lo, hi = 0x80, 0xBF
	}
	return n, length > 0
}

// lossy replaces every bad sequence by U+FFFD.
func lossy(s string) string {
	good, bad, _ := badUTF8(s)
	if bad == 0 {
		return s
	}
	var b strings.Builder
	for bad > 0 {
		b.WriteString(s[:good])
		b.WriteRune(utf8.RuneError)
		s = s[good+bad:]
		good, bad, _ = badUTF8(s)
	}
	b.WriteString(s)
	return b.String()
}

// textStream turns the bytes of tokens, which may end anywhere, into text.
type textStream struct {
	buf      []byte // what came and is not yet text begins at from
	from     int
	replaced bool // a bad sequence was; the owner resets it
}

// add returns the text that the bytes complete. Bad sequences become U+FFFD:
// all that there are, or only the first, the rest waiting for the next bytes,
// as in openai-harmony.
func (s *textStream) add(bytes string, all bool) string {
	if len(s.buf) == 0 {
		if _, bad, _ := badUTF8(bytes); bad == 0 {
			return bytes
		}
	}
	s.buf = append(s.buf, bytes...)
	var text string
	for {
		waiting := s.buf[s.from:]
		good, bad, cut := badUTF8(waiting)
		text += string(waiting[:good])
		if bad > 0 && !cut {
			text += string(utf8.RuneError)
			good += bad
			s.replaced = true
		}
		s.drop(good)
		if bad == 0 || cut || !all {
			return text
		}
	}
}

// drop forgets the first n bytes that wait. It moves the rest to the front only
// when that is no more than what was dropped.
func (s *textStream) drop(n int) {
	s.from += n
	if rest := len(s.buf) - s.from; rest <= s.from {
		s.buf = s.buf[:copy(s.buf, s.buf[s.from:])]
		s.from = 0
	}
}

// flush returns what waits, all that is bad in it replaced.
func (s *textStream) flush() string {
	if len(s.buf) == 0 {
		return ""
	}
	text := lossy(string(s.buf[s.from:]))
	s.buf, s.from, s.replaced = s.buf[:0], 0, true
	return text
}
