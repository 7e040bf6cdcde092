package browser

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"

	"chorale/tools/browser/internal/pagetext"
)

const (
	viewTokens    = 1024 // of a window
	searchResults = 20   // asked for, whatever topn says
	findResults   = 50
	findLines     = 4 // shown of a match, and above it when it is opened
	maxShown      = 1024
)

// A page is what one cursor stands for. Pages are kept as they were when they
// were shown: neither a later search nor a page fetched again changes them.
type page struct {
	title, url string
	asked      string // the address that was asked for, before redirects
	lines      []string
	links      []string
	// Of a page of find results: where in which page each match is. Of a page
	// of search results: neither.
	of      *page
	matches []int
}

// A backend gets pages. Its errors are told to the model.
type backend interface {
	search(ctx context.Context, query string, n int) (pagetext.Page, error)
	fetch(ctx context.Context, address string, source bool) (pagetext.Page, error)
}

// session is the state of the trained tool: a stack of pages, whose index is
// the cursor.
type session struct {
	backend    backend
	tokens     Tokenizer
	viewTokens int
	maxPages   int
	stack      []*page
	visited    int // pages that actions led to
}

func newPage(p pagetext.Page, asked string) *page {
	return &page{title: p.Title, url: p.URL, asked: asked, lines: pagetext.Lines(p.Text), links: p.Links}
}

// call runs one function and returns what the model is to read. A usageError
// tells it what was wrong with the call or the page; another error is of ctx.
func (s *session) call(ctx context.Context, function, content string, limit int) (string, error) {
	args, ok := parseArguments(content)
	if !ok {
		return "", usageError(errArguments)
	}
	switch function {
	case "search":
		return s.search(ctx, args, limit)
	case "open":
		return s.open(ctx, args, limit)
	case "find":
		return s.find(args, limit)
	}
	return "", usage(`{"error": %s}`, strconv.QuoteToASCII("Unknown function: "+function))
}

func (s *session) search(ctx context.Context, args arguments, limit int) (string, error) {
	if err := args.check("browser.search", []string{"query"}, []string{"topn", "top_n", "source"}); err != nil {
		return "", err
	}
	query, err := args.text("query")
	if err != nil {
		return "", err
	}
	if err := s.room(); err != nil {
		return "", err
	}
	p, err := s.backend.search(ctx, query, searchResults)
	if err != nil {
		if !tellable(ctx, err) {
			return "", err
		}
		return "", usage("Error during search for `%s`: %s", query, shorten(err.Error()))
	}
	return s.show(newPage(p, ""), 0, -1, limit)
}

func (s *session) open(ctx context.Context, args arguments, limit int) (string, error) {
	err := args.check("browser.open", nil, []string{"id", "cursor", "loc", "num_lines", "view_source", "source"})
	if err != nil {
		return "", err
	}
	loc, err1 := args.number("loc", -1)
	count, err2 := args.number("num_lines", -1)
	source, err3 := args.flag("view_source")
	if err := errors.Join(err1, err2, err3); err != nil {
		return "", usageError(err.Error())
	}
	p, at, err := s.target(ctx, args, source)
	if err != nil {
		return "", err
	}
	if loc < 0 {
		loc = at
	}
	return s.show(p, loc, count, limit)
}

// target is the page that an open call means, and the line to show first where
// the call names none.
func (s *session) target(ctx context.Context, args arguments, source bool) (*page, int, error) {
	if kindOf(args["id"]) == "str" {
		address, err := args.text("id")
		if err != nil {
			return nil, 0, err
		}
		p, err := s.load(ctx, address, source)
		return p, 0, err
	}
	from, err := s.page(args)
	if err != nil {
		return nil, 0, err
	}
	id := -1
	switch k := kindOf(args["id"]); k {
	case "NoneType":
	case "int":
		if id, err = args.number("id", -1); err != nil {
			return nil, 0, err
		}
	default:
		return nil, 0, usage("Invalid link id `%s`.", shorten(string(args["id"])))
	}
	switch {
	case id < 0 && !source:
		return from, 0, nil
	case id < 0:
		return s.reload(ctx, from)
	case id < len(from.matches) && !source:
		at := from.matches[id]
		if at > findLines {
			at -= findLines
		}
		return from.of, at, nil
	case id < len(from.matches):
		return s.reload(ctx, from)
	case id >= len(from.links):
		return nil, 0, usage("Invalid link id `%s`.", args["id"])
	}
	if p := s.seen(from.links[id]); p != nil && !source {
		return p, 0, nil
	}
	p, err := s.load(ctx, from.links[id], source)
	return p, 0, err
}

// reload gets the source of a page; for find results, of the page searched.
func (s *session) reload(ctx context.Context, p *page) (*page, int, error) {
	if p.of != nil {
		p = p.of
	}
	q, err := s.load(ctx, p.url, true)
	return q, 0, err
}

// page is the one that a call's cursor stands for.
func (s *session) page(args arguments) (*page, error) {
	last := len(s.stack) - 1
	if last < 0 {
		return nil, usage("No pages to access!")
	}
	n, err := args.number("cursor", -1)
	switch {
	case err != nil:
		return nil, err
	case n >= 0 && n <= last:
		return s.stack[n], nil
	case n < 0 && -n <= last+1:
		return s.stack[last+1+n], nil
	}
	return nil, usage("Cursor `%s` is out of range. Available cursor indices: [0 - %d].", args["cursor"], last)
}

// seen is the newest page of that address. A link leads to it; an address that
// the model names is fetched again.
func (s *session) seen(address string) *page {
	for i := len(s.stack) - 1; i >= 0; i-- {
		if p := s.stack[i]; p.asked != "" && (p.asked == address || p.url == address) {
			return p
		}
	}
	return nil
}

func (s *session) load(ctx context.Context, address string, source bool) (*page, error) {
	if err := s.room(); err != nil {
		return nil, err
	}
	p, err := s.backend.fetch(ctx, address, source)
	if err != nil {
		if !tellable(ctx, err) {
			return nil, err
		}
		shown := address
		if source {
			shown = "view-source:" + address
		}
		return nil, usage("Error fetching URL `%s`: %s", shorten(shown), shorten(err.Error()))
	}
	if source {
		return newPage(p, ""), nil
	}
	return newPage(p, address), nil
}

// tellable reports whether the model can do something about an error.
func tellable(ctx context.Context, err error) bool {
	var fatal fatalError
	return ctx.Err() == nil && !errors.As(err, &fatal)
}

// room refuses new pages when the session holds as many as it may.
func (s *session) room() error {
	kept := map[*page]bool{}
	for _, p := range s.stack {
		kept[p] = true
	}
	if len(kept)+s.visited < s.maxPages {
		return nil
	}
	return usage("This session has opened %d pages and may open no more. The pages already open can still be read with `open` and `find`.", s.maxPages)
}

// show puts a page on the stack and displays its window at line loc. A page
// that can not be shown there is not put on the stack.
func (s *session) show(p *page, loc, count, limit int) (string, error) {
	if loc >= len(p.lines) {
		return "", usage("Invalid location parameter: `%d`. Cannot exceed page maximum of %d.", loc, len(p.lines)-1)
	}
	text := s.display(p, len(s.stack), loc, s.windowEnd(p, loc, count), limit)
	s.stack = append(s.stack, p)
	return text, nil
}

func (s *session) find(args arguments, limit int) (string, error) {
	if err := args.check("browser.find", []string{"pattern"}, []string{"cursor"}); err != nil {
		return "", err
	}
	pattern, err := args.text("pattern")
	if err != nil {
		return "", err
	}
	p, err := s.page(args)
	if err != nil {
		return "", err
	}
	if p.of != nil {
		return "", usage("Cannot run `find` on search results page or find results page")
	}
	if err := s.room(); err != nil {
		return "", err
	}
	return s.show(findIn(p, lower(pattern)), 0, -1, limit)
}

// findIn is the page of the matches of a lower-case pattern.
func findIn(p *page, pattern string) *page {
	lines := strings.Split(pagetext.StripLinks(strings.Join(p.lines, "\n")), "\n")
	found := &page{
		title: fmt.Sprintf("Find results for text: `%s` in `%s`", pattern, p.title),
		url:   p.url + "/find?pattern=" + quote(pattern),
		of:    p,
	}
	var text []string
	for i := 0; i < len(lines) && len(found.matches) < findResults; i++ {
		if !strings.Contains(lower(lines[i]), pattern) {
			continue
		}
		shown := strings.Join(lines[i:min(i+findLines, len(lines))], "\n")
		text = append(text, fmt.Sprintf("# 【%d†match at L%d】\n%s", len(found.matches), i, shown))
		found.matches = append(found.matches, i)
		i += findLines - 1
	}
	if len(text) == 0 {
		text = []string{fmt.Sprintf("No `find` results for pattern: `%s`", pattern)}
	}
	found.lines = pagetext.Lines(strings.Join(text, "\n\n"))
	return found
}

// lower is the full lower-casing of Unicode, as Python's.
func lower(s string) string {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return cases.Lower(language.Und).String(s)
		}
	}
	return strings.ToLower(s)
}

// quote escapes all of a pattern but letters, digits and "_.-~/".
func quote(s string) string {
	return strings.NewReplacer("+", "%20", "%2F", "/").Replace(url.QueryEscape(s))
}

// shorten cuts what is shown of an address or an error.
func shorten(s string) string {
	n := 0
	cut := len(s)
	for i := range s {
		if n == maxShown-3 {
			cut = i
		}
		if n++; n > maxShown {
			return s[:cut] + "..."
		}
	}
	return s
}
