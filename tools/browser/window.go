package browser

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"chorale/tools/browser/internal/pagetext"
)

// A Tokenizer cuts a text into the bytes of the model's tokens, so that
// windows are as long as those the model was trained with. The vocabulary is
// the caller's (o200k for gpt-oss).
type Tokenizer func(text string) []string

// windowEnd is the line after the last of the window at loc: count lines, or
// where count is not positive as many as the view's tokens hold, the line in
// which they end included.
func (s *session) windowEnd(p *page, loc, count int) int {
	total := len(p.lines)
	if count > 0 {
		return loc + min(count, total-loc)
	}
	// The text is tokenised only as far as is surely needed: first for tokens
	// of usual length, then for the longest of the vocabulary.
	for _, perToken := range []int{16, 128} {
		text, whole := numbered(p.lines[loc:], loc, (s.viewTokens+1)*perToken)
		if whole && utf8.RuneCountInString(text) <= s.viewTokens {
			return total
		}
		tokens := s.tokens(text)
		switch {
		case !whole && len(tokens) <= s.viewTokens+64 && perToken == 16:
			continue // where the text was cut, the tokens may be others
		case len(tokens) <= s.viewTokens:
			return total
		}
		end := 0 // in code points
		for _, t := range tokens[:s.viewTokens] {
			end += shownLength(t)
		}
		return min(loc+1+breaksBefore(text, end), total)
	}
	return total
}

// numbered joins lines with their numbers, up to about limit bytes, and
// reports whether these are all.
func numbered(lines []string, first, limit int) (string, bool) {
	var b strings.Builder
	for i, line := range lines {
		if b.Len() > limit {
			return b.String(), false
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteByte('L')
		b.WriteString(strconv.Itoa(first + i))
		b.WriteString(": ")
		b.WriteString(line)
	}
	return b.String(), true
}

// breaksBefore counts the line breaks in the first n code points.
func breaksBefore(text string, n int) int {
	breaks := 0
	for _, r := range text {
		if n--; n < 0 {
			break
		}
		if r == '\n' {
			breaks++
		}
	}
	return breaks
}

// shownLength is the number of code points that a token shows by itself. Of a
// character that tokens part, each part shows as one or more replacement
// characters, one for each maximal piece of a character: the trained window
// counts these.
func shownLength(token string) int {
	n := 0
	for i := 0; i < len(token); n++ {
		r, size := utf8.DecodeRuneInString(token[i:])
		if r != utf8.RuneError || size != 1 {
			i += size
			continue
		}
		i += brokenLength(token[i:])
	}
	return n
}

// brokenLength is the length of the piece of a character that s starts with.
func brokenLength(s string) int {
	want := 1
	switch c := s[0]; {
	case c >= 0xC2 && c <= 0xDF:
		want = 2
	case c >= 0xE0 && c <= 0xEF:
		want = 3
	case c >= 0xF0 && c <= 0xF4:
		want = 4
	}
	n := 1
	for n < want && n < len(s) && s[n]&0xC0 == 0x80 && (n > 1 || secondFits(s[0], s[1])) {
		n++
	}
	return n
}

// secondFits reports whether a second byte can follow the first (Unicode,
// table 3-7).
func secondFits(first, second byte) bool {
	switch first {
	case 0xE0:
		return second >= 0xA0
	case 0xED:
		return second <= 0x9F
	case 0xF0:
		return second >= 0x90
	case 0xF4:
		return second <= 0x8F
	}
	return true
}

// display shows lines [loc, end) of a page, fewer if they would pass limit
// bytes.
func (s *session) display(p *page, cursor, loc, end, limit int) string {
	head := fmt.Sprintf("[%d] %s", cursor, shorten(p.title))
	if address := shownAddress(p.url); address != "" {
		head += " (" + address + ")"
	}
	for {
		body, _ := numbered(p.lines[loc:end], loc, int(^uint(0)>>1))
		text := fmt.Sprintf("%s\n**viewing lines [%d - %d] of %d**\n\n%s", head, loc, end-1, len(p.lines)-1, body)
		if len(text) <= limit || end-loc == 1 {
			return text
		}
		end = loc + max(1, (end-loc)*limit/len(text)-1)
	}
}

// shownAddress is an address with its escapes decoded, except where that would
// forge a line or a link marker.
func shownAddress(address string) string {
	decoded, err := url.PathUnescape(address)
	if err != nil {
		decoded = unescapeSome(address)
	}
	decoded = strings.ToValidUTF8(decoded, "\uFFFD")
	if strings.ContainsAny(decoded, "\n\r") || pagetext.Link.MatchString(decoded) {
		decoded = address
	}
	return shorten(decoded)
}

// unescapeSome decodes the escapes that are well formed and leaves the others.
func unescapeSome(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(n))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
