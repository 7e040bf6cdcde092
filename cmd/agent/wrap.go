package main

import (
	"io"
	"strings"
	"unicode"

	"github.com/mattn/go-runewidth"
)

// wrapper writes streamed text in lines of a width, each behind a prefix. It
// breaks between words, and holds the last word back until it is whole. What
// could steer the terminal is shown as a dot: the text is not ours.
type wrapper struct {
	out    io.Writer
	prefix string              // of each line, already styled
	style  func(string) string // of the text
	width  int                 // columns for the text

	word   strings.Builder
	column int  // of the text, from 0
	inside bool // a line has begun
}

func (w *wrapper) write(text string) {
	for _, r := range text {
		switch {
		case r == '\n':
			w.flushWord()
			w.newline()
		case r == '\t':
			w.write("    ")
		case r == ' ':
			w.flushWord()
			w.put(" ")
		case r == '\r':
		default:
			w.word.WriteRune(visible(r))
			if runewidth.StringWidth(w.word.String()) >= w.width {
				w.flushWord()
			}
		}
	}
}

// close ends the last line.
func (w *wrapper) close() {
	w.flushWord()
	if w.inside {
		w.end()
	}
}

func (w *wrapper) flushWord() {
	word := w.word.String()
	w.word.Reset()
	if word == "" {
		return
	}
	if w.column > 0 && w.column+runewidth.StringWidth(word) > w.width {
		w.end()
	}
	w.put(word)
}

func (w *wrapper) put(s string) {
	if !w.inside {
		_, _ = io.WriteString(w.out, w.prefix)
		w.inside = true
	}
	w.column += runewidth.StringWidth(s)
	_, _ = io.WriteString(w.out, w.style(s))
}

// newline ends the line that has begun, or writes an empty one.
func (w *wrapper) newline() {
	if !w.inside {
		_, _ = io.WriteString(w.out, strings.TrimRight(w.prefix, " "))
	}
	w.end()
}

func (w *wrapper) end() {
	_, _ = io.WriteString(w.out, "\n")
	w.column, w.inside = 0, false
}

// visible is r, or a dot for what a terminal would obey instead of showing:
// controls and the characters that turn the direction of writing.
func visible(r rune) rune {
	if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
		return '·'
	}
	return r
}

// show makes text safe for a terminal and leaves its lines alone.
func show(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		return visible(r)
	}, text)
}
