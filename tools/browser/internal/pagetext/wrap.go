package pagetext

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Width is the length of a line, in code points.
const Width = 80

// Lines wraps a text as the trained format does: white space is kept, tabs go
// to the next multiple of 8, and a line may be broken after white space, after
// a hyphen between letters, around a run of dashes, and in a word that is
// longer than a line. This is Python's textwrap with those settings.
func Lines(text string) []string {
	out := make([]string, 0, strings.Count(text, "\n")+len(text)/Width+1)
	for more := true; more; {
		var line string
		line, text, more = strings.Cut(text, "\n")
		out = wrap(out, line)
	}
	return out
}

func wrap(out []string, line string) []string {
	if strings.IndexByte(line, '\t') >= 0 {
		line = expandTabs(line)
	}
	if len(line) <= Width || utf8.RuneCountInString(line) <= Width {
		return append(out, line)
	}
	w := wrapper{text: []rune(line)}
	var cur, curLen int // where the line under way starts, and its length
	for at := 0; at < len(w.text); {
		n := w.chunk(at) - at
		for {
			if curLen+n <= Width {
				curLen += n
				break
			}
			if n > Width {
				cut := w.breakWord(at, n, Width-curLen)
				at, n, curLen = at+cut, n-cut, curLen+cut
			}
			out = append(out, string(w.text[cur:cur+curLen]))
			cur, curLen = cur+curLen, 0
		}
		at += n
	}
	if curLen > 0 {
		out = append(out, string(w.text[cur:]))
	}
	return out
}

type wrapper struct{ text []rune }

func (w *wrapper) at(i int) rune {
	if i < 0 || i >= len(w.text) {
		return 0
	}
	return w.text[i]
}

// chunk returns the end of the piece at i that no line break may divide.
func (w *wrapper) chunk(i int) int {
	n := len(w.text)
	if blank(w.text[i]) {
		for i < n && blank(w.text[i]) {
			i++
		}
		return i
	}
	if end := w.dashes(i); end > 0 {
		return end
	}
	for j := i + 1; ; j++ {
		switch {
		case w.at(j) == '-' && w.hyphen(j):
			return j + 1
		case j == n || blank(w.text[j]):
			return j
		case w.dashes(j) > 0:
			return j
		}
	}
}

// dashes returns the end of a run of two or more dashes at i that parts two
// words, or 0.
func (w *wrapper) dashes(i int) int {
	if w.at(i) != '-' || w.at(i+1) != '-' || !endsWord(w.at(i-1)) {
		return 0
	}
	for w.at(i) == '-' {
		i++
	}
	if !isWord(w.at(i)) {
		return 0
	}
	return i
}

// hyphen reports whether a line may be broken after the hyphen at j.
func (w *wrapper) hyphen(j int) bool {
	before := letter(w.at(j-1)) && (letter(w.at(j-2)) || w.at(j-2) == '-' && letter(w.at(j-3)))
	after := letter(w.at(j+1)) && (letter(w.at(j+2)) || w.at(j+2) == '-' && letter(w.at(j+3)))
	return before && after
}

// breakWord returns how much of a word of n that is too long for a line goes
// on the line that has room left: up to its last hyphen there, if any.
func (w *wrapper) breakWord(at, n, room int) int {
	for h := room - 1; h > 0; h-- {
		if w.text[at+h] != '-' {
			continue
		}
		for k := range h {
			if w.text[at+k] != '-' {
				return h + 1
			}
		}
		break
	}
	return room
}

func blank(r rune) bool { return r == ' ' || '\t' <= r && r <= '\r' }

func letter(r rune) bool { return isWord(r) && !unicode.IsDigit(r) }

func endsWord(r rune) bool { return isWord(r) || strings.ContainsRune(`!"'&.,?`, r) && r != 0 }

func expandTabs(s string) string {
	var b strings.Builder
	col := 0
	for _, r := range s {
		switch r {
		case '\t':
			n := 8 - col%8
			b.WriteString("        "[:n])
			col += n
		case '\r':
			b.WriteRune(r)
			col = 0
		default:
			b.WriteRune(r)
			col++
		}
	}
	return b.String()
}
