package provenance

import (
	"hash/maphash"
	"strings"
	"unicode"
	"unicode/utf8"
)

// index finds values in texts that were added, in time that does not grow with
// the texts: by the rarest word of the value. Words are runs of letters and
// digits.
type index struct {
	texts []string
	words map[uint64][]place
	seed  maphash.Seed
}

// place is where a word begins.
type place struct{ text, at int32 }

func newIndex() *index { return &index{words: map[uint64][]place{}, seed: maphash.MakeSeed()} }

// add adds a text and returns its number.
func (x *index) add(text string) int {
	n := int32(len(x.texts))
	x.texts = append(x.texts, text)
	eachWord(text, func(start, end int) bool {
		key := maphash.String(x.seed, text[start:end])
		x.words[key] = append(x.words[key], place{n, int32(start)})
		return true
	})
	return int(n)
}

// find calls found with each place where the value stands whole, until that
// says to stop.
func (x *index) find(value string, found func(text, at int) bool) {
	var rarest []place
	offset, known := 0, false
	eachWord(value, func(start, end int) bool {
		places := x.words[maphash.String(x.seed, value[start:end])]
		if !known || len(places) < len(rarest) {
			rarest, offset, known = places, start, true
		}
		return len(places) > 0
	})
	for _, p := range rarest {
		text, at := x.texts[p.text], int(p.at)-offset
		if at >= 0 && strings.HasPrefix(text[at:], value) && whole(text, at, at+len(value)) && !found(int(p.text), at) {
			return
		}
	}
}

// minEcho is the length of a word that says something.
const minEcho = 4

// echoes reports whether two words in a row of a value stand so in a text. Of
// the two at least one must be long enough to say something.
func (x *index) echoes(value string) bool {
	from, long, ok := -1, false, false
	eachWord(value, func(start, end int) bool {
		now := end-start >= minEcho
		if from >= 0 && (long || now) {
			x.find(value[from:end], func(int, int) bool { ok = true; return false })
		}
		from, long = start, now
		return !ok
	})
	return ok
}

// eachWord calls f with the bounds of each word, until f says to stop.
func eachWord(s string, f func(start, end int) bool) {
	start := -1
	for i, r := range s {
		if isWord(r) {
			if start < 0 {
				start = i
			}
			continue
		}
		if start >= 0 && !f(start, i) {
			return
		}
		start = -1
	}
	if start >= 0 {
		f(start, len(s))
	}
}

func isWord(r rune) bool {
	if r < utf8.RuneSelf {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_'
	}
	return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r)
}

// joiners hold the parts of addresses, names of files and the like together.
const joiners = ".-@+/:%&=?#~"

func joins(r rune) bool { return strings.ContainsRune(joiners, r) }

// whole reports whether text[start:end] is no part of a greater word or
// address. A joiner at its edge counts where a word follows on its other side:
// "a@b.com" is not whole in "a@b.com.evil.com", but it is in "write to
// a@b.com." A value that begins with a joiner stands behind neither: "/etc" is
// not whole in "my/etc" nor in "./etc".
func whole(text string, start, end int) bool {
	before, size := utf8.DecodeLastRuneInString(text[:start])
	after, next := utf8.DecodeRuneInString(text[end:])
	first, _ := utf8.DecodeRuneInString(text[start:])
	last, _ := utf8.DecodeLastRuneInString(text[:end])
	if size > 0 && isWord(before) && isWord(first) || next > 0 && isWord(after) && isWord(last) {
		return false
	}
	if size > 0 && joins(first) && (isWord(before) || joins(before) && before != ':') || next > 0 && joins(last) && isWord(after) {
		return false
	}
	if size > 0 && joins(before) {
		if r, n := utf8.DecodeLastRuneInString(text[:start-size]); n > 0 && isWord(r) && before != ':' {
			return false
		}
	}
	if next > 0 && joins(after) {
		r, n := utf8.DecodeRuneInString(text[end+next:])
		if n > 0 && isWord(r) && !(after == '.' && unicode.IsLower(last) && unicode.IsUpper(r)) { // the space is missing
			return false
		}
	}
	return true
}
