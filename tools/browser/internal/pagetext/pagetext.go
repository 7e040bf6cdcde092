// Package pagetext turns an HTML document into the text that gpt-oss was
// trained to read: one numbered marker per distinct link, Markdown-like
// headings, lists and quotes, tables as one line per row; and wraps it to
// lines. The format is that of the browser tool in OpenAI's gpt-oss repository
// (Apache-2.0; tools/simple_browser), pinned by the vectors in testdata.
//
// It is pure: no network, no clock. It never recurses over the document, so
// that nesting costs no stack, and it takes time linear in its input. Text of
// the page can not forge a link marker: the page's own 【 and 】 are replaced.
package pagetext

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Page is the text of one document.
type Page struct {
	Title string   // of the document, else its host
	URL   string   // as given
	Text  string   // starts with an empty line and "URL: …"
	Links []string // absolute addresses; the index is the marker's number
}

// Options say how to read a document.
type Options struct {
	// Title replaces the document's own when it is not empty.
	Title string
	// Base is what relative links are resolved against; empty means the URL.
	Base string
}

// FromHTML reads a document that was found at url. Any input gives a page:
// there is no malformed HTML.
func FromHTML(src, url string, o Options) Page {
	base := o.Base
	if base == "" {
		base = url
	}
	doc := parse(clean(src))
	pieces, links := markLinks(doc, url, base)
	pieces = scripts(pieces, "sup", '^')
	pieces = scripts(pieces, "sub", '_')
	separate(pieces)
	body := squeeze(layOut(pieces))
	return Page{
		Title: title(doc, url, o.Title),
		URL:   url,
		Text:  "\nURL: " + url + "\n" + body,
		Links: links,
	}
}

// FromText reads a document that is plain text already (text, JSON, CSV, …).
// Nothing is lost but what FromHTML replaces too, so that no marker is forged.
func FromText(src, url, title string) Page {
	if title == "" {
		title = host(url)
	}
	src = strings.ReplaceAll(src, "\r\n", "\n")
	return Page{Title: unmark(title), URL: url, Text: "\nURL: " + url + "\n" + strings.TrimRight(clean(src), " \n\t")}
}

func title(doc *document, url, given string) string {
	switch {
	case given != "":
		return unmark(given)
	case doc.title != noTitle:
		return doc.titleText()
	default:
		return host(url)
	}
}

// marks are the page's characters that are replaced in its source: those that
// our own markers are made of, and the zero-width space.
var marks = strings.NewReplacer("【", "〖", "】", "〗", "◼", "◾", "\u200b", "", "\x00", "")

// unmark replaces what could forge a marker. It is applied a second time after
// character references were decoded, where a page could have hidden one.
func unmark(s string) string {
	if strings.IndexByte(s, 0xE3) < 0 && strings.IndexByte(s, 0xE2) < 0 {
		return s
	}
	return entityMarks.Replace(s)
}

var entityMarks = strings.NewReplacer("【", "〖", "】", "〗", "◼", "◾")

// clean drops what the trained format never shows: the characters of plane 1
// (emoji), and the marks.
func clean(src string) string {
	if !utf8.ValidString(src) {
		src = strings.ToValidUTF8(src, "\uFFFD")
	}
	if strings.IndexByte(src, 0xF0) >= 0 {
		src = strings.Map(func(r rune) rune {
			if r >= 0x10000 && r <= 0x1FFFF {
				return -1
			}
			return r
		}, src)
	}
	if isASCII(src) {
		return strings.ReplaceAll(src, "\x00", "")
	}
	return marks.Replace(src)
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// isSpace is what counts as white space in the trained format.
func isSpace(r rune) bool {
	if r < 0x80 {
		return r == ' ' || '\t' <= r && r <= '\r' || 0x1c <= r && r <= 0x1f
	}
	return unicode.IsSpace(r)
}

// isWord is what counts as a letter of a word: letters, numbers, underscore.
func isWord(r rune) bool {
	if r < 0x80 {
		return r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	}
	return unicode.IsLetter(r) || unicode.IsNumber(r)
}

// oneSpace replaces every run of white space by one space.
func oneSpace(s string) string {
	if !needsSqueeze(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	from, space := 0, false // s[from:] is still to be written
	for i, r := range s {
		switch {
		case !isSpace(r):
			if space {
				b.WriteByte(' ')
				from, space = i, false
			}
		case !space:
			b.WriteString(s[from:i])
			space = true
		}
	}
	if space {
		b.WriteByte(' ')
	} else {
		b.WriteString(s[from:])
	}
	return b.String()
}

// needsSqueeze reports whether s holds white space other than single spaces.
func needsSqueeze(s string) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c >= 0x80 || c < ' ':
			return true
		case c == ' ' && i+1 < len(s) && s[i+1] == ' ':
			return true
		}
	}
	return false
}

// squeeze trims the text and leaves one empty line where there were more.
func squeeze(text string) string {
	text = strings.TrimFunc(text, isSpace)
	var b strings.Builder
	b.Grow(len(text))
	for {
		i := strings.IndexByte(text, '\n')
		if i < 0 {
			b.WriteString(text)
			return b.String()
		}
		b.WriteString(text[:i])
		rest := strings.TrimLeftFunc(text[i:], isSpace)
		gap := text[i : len(text)-len(rest)]
		last := strings.LastIndexByte(gap, '\n')
		if last > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(gap[last:])
		text = rest
	}
}

// Plain is a text of the page's without what could forge a marker.
func Plain(s string) string { return clean(s) }
