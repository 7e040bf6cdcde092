package browser

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"chorale/tools"
	"chorale/tools/browser/internal/pagetext"
)

// A Citation is a reference in the model's answer that was resolved to the
// page it names. Start and End are in code points of the rewritten answer.
type Citation struct {
	Start, End int
	Title      string // the page's host
	URL        string
}

var citation = regexp.MustCompile(`【(\p{Nd}+)†([^†】]+)(?:†[^†】]+)?】`)

// citedLines are the lines that a citation can name.
var citedLines = regexp.MustCompile(`^L\d{1,9}(?:-L?\d{1,9})?$`)

// cite replaces each citation 【cursor†…】 by a link to its page. Those whose
// cursor is unknown or has no address (search results) stay as written.
// unfinished reports that the text ends in the middle of a citation; with hide
// that part is left out, so that a stream can hold it back.
func cite(stack []string, text string, hide bool) (out string, citations []Citation, unfinished bool) {
	unfinished = pagetext.LinkHead.MatchString(text)
	if hide && unfinished {
		text = pagetext.LinkHead.ReplaceAllString(text, "${2}")
	}
	var b strings.Builder
	length, last := 0, 0
	write := func(s string) {
		b.WriteString(s)
		length += utf8.RuneCountInString(s)
	}
	for _, m := range citation.FindAllStringSubmatchIndex(text, -1) {
		write(text[last:m[0]])
		last = m[1]
		address := ""
		if n := cited(len(stack), text[m[2]:m[3]]); n >= 0 {
			address = stack[n]
		}
		if address == "" {
			write(text[m[0]:m[1]])
			continue
		}
		title := address
		if parts := strings.Split(unescapeSome(address), "/"); len(parts) > 2 {
			title = parts[2]
		}
		start := length
		write(" ([" + title + "](" + address + ")) ")
		citations = append(citations, Citation{Start: start, End: length, Title: title, URL: address})
	}
	write(text[last:])
	return b.String(), citations, unfinished
}

// cited is the cursor that a citation names, of so many that there are, or -1.
// It is written without leading zeros.
func cited(cursors int, text string) int {
	n, err := strconv.Atoi(text)
	if err != nil || n >= cursors || strconv.Itoa(n) != text {
		return -1
	}
	return n
}

// sources are the pages that a text cites, in its order, each citation once.
// Find results are cited for the page that was searched.
func sources(stack []*page, text string) []tools.Citation {
	var out []tools.Citation
	for _, m := range citation.FindAllStringSubmatch(text, -1) {
		n := cited(len(stack), m[1])
		if n < 0 || stack[n].url == "" {
			continue
		}
		p := stack[n]
		if p.of != nil {
			p = p.of
		}
		c := tools.Citation{Cursor: n, Title: shorten(p.title), URL: p.url}
		if citedLines.MatchString(m[2]) {
			c.Lines = m[2]
		}
		if !slices.Contains(out, c) {
			out = append(out, c)
		}
	}
	return out
}
