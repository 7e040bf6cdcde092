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
func badUTF8(s string) (good, bad int, cut bool) {
	for i := 0; i < len(s); {
		if s[i] < utf8.RuneSelf {
			i++
			continue
		}
		if r, w := utf8.DecodeRuneInString(s[i:]); r != utf8.RuneError || w > 1 {
			i += w
			continue
		}
		n, cut := badLength(s[i:])
		return i, n, cut
	}
	return len(s), 0, false
}

// badLength measures the bad sequence that s begins with.
func badLength(s string) (n int, cut bool) {
	lo, hi, want := byte(0x80), byte(0xBF), 0
	switch c := s[0]; {
	case 0xC2 <= c && c <= 0xDF:
		want = 2
	case c == 0xE0:
		lo, want = 0xA0, 3
	case c == 0xED:
		hi, want = 0x9F, 3
	case 0xE1 <= c && c <= 0xEF:
		want = 3
	case c == 0xF0:
		lo, want = 0x90, 4
	case c == 0xF4:
		hi, want = 0x8F, 4
	case 0xF1 <= c && c <= 0xF3:
		want = 4
	default:
		return 1, false
	}
	for n = 1; n < want; n++ {
		if n == len(s) {
			return n, true
		}
		if s[n] < lo || s[n] > hi {
			return n, false
		}
		lo, hi = 0x80, 0xBF
	}
	return n, false
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
