package harmony

import (
	"sync"
	"unicode"
	"unicode/utf8"
)

// o200kPattern is the regular expression that cuts a text into pieces before
// merging, as tiktoken and the tokenizer.json files write it. charClasses.piece
// is that expression by hand: Go's regexp has no lookahead.
const o200kPattern = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?` +
	`|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?` +
	`|\p{N}{1,3}` +
	`| ?[^\s\p{L}\p{N}]+[\r\n/]*` +
	`|\s*[\r\n]+` +
	`|\s+(?!\S)` +
	`|\s+`

// What the pattern asks of a code point. Modifier letters, other letters and
// marks are upper and lower at once.
const (
	upper   = 1 << iota // Lu Lt Lm Lo M
	lower               // Ll Lm Lo M
	letter              // L
	number              // N
	space               // White_Space
	newline             // CR LF
)

// charClasses is the class bits of every code point.
type charClasses [unicode.MaxRune + 1]uint8

var classes = sync.OnceValue(func() *charClasses {
	c := new(charClasses)
	c.set(unicode.Lu, upper|letter)
	c.set(unicode.Lt, upper|letter)
	c.set(unicode.Ll, lower|letter)
	c.set(unicode.Lm, upper|lower|letter)
	c.set(unicode.Lo, upper|lower|letter)
	c.set(unicode.M, upper|lower)
	c.set(unicode.N, number)
	c.set(unicode.White_Space, space)
	for _, d := range unicode16 {
		for r := d.first; r <= d.last; r++ {
			c[r] |= d.class
		}
	}
	c['\r'] |= newline
	c['\n'] |= newline
	return c
})

func (c *charClasses) set(t *unicode.RangeTable, class uint8) {
	for _, r := range t.R16 {
		for x := rune(r.Lo); x <= rune(r.Hi); x += rune(r.Stride) {
			c[x] |= class
		}
	}
	for _, r := range t.R32 {
		for x := rune(r.Lo); x <= rune(r.Hi); x += rune(r.Stride) {
			c[x] |= class
		}
	}
}

// at returns the class of the character at s[i:] and its width. A byte that is
// no UTF-8 is a character of no class.
func (c *charClasses) at(s string, i int) (class uint8, width int) {
	if b := s[i]; b < utf8.RuneSelf {
		return c[b], 1
	}
	r, w := utf8.DecodeRuneInString(s[i:])
	return c[r], w
}

// piece returns the end of the piece that starts at s[i]. The alternatives are
// tried in the pattern's order.
func (c *charClasses) piece(s string, i int) int {
	class, w := c.at(s, i)
	switch {
	case class&letter != 0:
		end, _ := c.word(s, i)
		return contraction(s, end)
	case class&number != 0:
		return c.digits(s, i+w)
	case class&lower != 0: // a mark, which may lead a word or begin one
		if end, first := c.word(s, i+w); first {
			return contraction(s, end)
		}
		end, _ := c.word(s, i)
		return contraction(s, end)
	case class&newline == 0: // anything else may lead a word
		if end, _ := c.word(s, i+w); end > i+w {
			return contraction(s, end)
		}
	}
	if class&space == 0 {
		return c.symbols(s, i+w)
	}
	if s[i] == ' ' && i+1 < len(s) {
		if next, nw := c.at(s, i+1); next&(space|letter|number) == 0 {
			return c.symbols(s, i+1+nw)
		}
	}
	return c.spaces(s, i)
}

// word returns the end of upper* lower+ at s[i:], which is the pattern's first
// alternative, or else of upper+ lower*, or i if neither is there.
func (c *charClasses) word(s string, i int) (end int, first bool) {
	caseless := i // end of the last character of the upper run that is lower too
	end = i
	for end < len(s) {
		class, w := c.at(s, end)
		if class&upper == 0 {
			if class&lower != 0 {
				return c.lowers(s, end+w), true
			}
			break
		}
		end += w
		if class&lower != 0 {
			caseless = end
		}
	}
	if caseless > i {
		return caseless, true // the run gives back the capitals behind it
	}
	return end, false
}

func (c *charClasses) lowers(s string, i int) int {
	for i < len(s) {
		class, w := c.at(s, i)
		if class&lower == 0 {
			break
		}
		i += w
	}
	return i
}

// contraction returns the end of 's 't 're 've 'm 'll 'd at s[i:] in any case,
// or i.
func contraction(s string, i int) int {
	if i+1 >= len(s) || s[i] != '\'' {
		return i
	}
	a := s[i+1] | 0x20
	switch a {
	case 's', 't', 'm', 'd':
		return i + 2
	}
	if i+2 < len(s) {
		switch b := s[i+2] | 0x20; {
		case a == 'r' && b == 'e', a == 'v' && b == 'e', a == 'l' && b == 'l':
			return i + 3
		}
	}
	return i
}

// digits returns the end of a number of which one character lies before i.
func (c *charClasses) digits(s string, i int) int {
	for n := 1; n < 3 && i < len(s); n++ {
		class, w := c.at(s, i)
		if class&number == 0 {
			break
		}
		i += w
	}
	return i
}

// symbols returns the end of [^\s\p{L}\p{N}]*[\r\n/]* at s[i:].
func (c *charClasses) symbols(s string, i int) int {
	for i < len(s) {
		class, w := c.at(s, i)
		if class&(space|letter|number) != 0 {
			break
		}
		i += w
	}
	for i < len(s) && (s[i] == '\r' || s[i] == '\n' || s[i] == '/') {
		i++
	}
	return i
}

// spaces cuts white space at s[i:]: up to its last line end; or all but the
// last character, which leads what follows; or all of it.
func (c *charClasses) spaces(s string, i int) int {
	start, last, lineEnd := i, i, 0
	for i < len(s) {
		class, w := c.at(s, i)
		if class&space == 0 {
			break
		}
		last = i
		i += w
		if class&newline != 0 {
			lineEnd = i
		}
	}
	switch {
	case lineEnd > 0:
		return lineEnd
	case i == len(s) || last == start:
		return i
	}
	return last
}
