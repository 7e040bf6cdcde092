package browser

import (
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"chorale/tools/browser/internal/pagetext"
)

// A Citation is a reference in the model's answer that was resolved to the
// page it names. Start and End are in code points of the rewritten answer.
type Citation struct {
	Start, End int
	Title      string // the page's host
	URL        string
}

var citation = regexp.MustCompile(`【(\p{Nd}+)†[^†】]+(?:†[^†】]+)?】`)

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
		address := cited(stack, text[m[2]:m[3]])
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

// cited is the address of a cursor, which is written without leading zeros.
func cited(stack []string, cursor string) string {
	n, err := strconv.Atoi(cursor)
	if err != nil || n >= len(stack) || strconv.Itoa(n) != cursor {
		return ""
	}
	return stack[n]
}
