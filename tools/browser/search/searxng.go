package search

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"chorale/tools/browser"
)

// searxng asks an instance of SearXNG. Its JSON is off where nobody turned it on;
// then its page is read.
type searxng struct{ *service }

// SearXNG makes the provider of an instance, at Options.Address.
func SearXNG(o Options) (browser.Searcher, error) {
	s, err := open("searxng", o.Address, o)
	if err != nil {
		return nil, err
	}
	s.address = s.address.JoinPath("search")
	return searxng{s}, nil
}

// Search implements browser.Searcher.
func (s searxng) Search(ctx context.Context, query string, n int) ([]browser.Found, error) {
	r, err := s.get(ctx, url.Values{"q": {query}, "format": {"json"}})
	if err != nil {
		return nil, err
	}
	a, err := s.ask(r)
	if err != nil {
		return nil, err
	}
	switch a.status {
	case http.StatusOK:
		found, err := readSearXNG(a.body)
		if err != nil {
			return nil, fmt.Errorf("its answer is not what it documents: %w", err)
		}
		return s.clean(found, n), nil
	case http.StatusForbidden:
		return s.page(ctx, query, n)
	}
	return nil, s.refusal(a)
}

func readSearXNG(body []byte) (out []browser.Found, err error) {
	var a struct {
		Results      *[]struct{ Title, URL, Content string }
		Unresponsive [][]any `json:"unresponsive_engines"`
	}
	if err := unmarshal(body, &a, func() bool { return a.Results != nil }); err != nil {
		return nil, err
	}
	for _, r := range *a.Results {
		out = append(out, browser.Found{Title: r.Title, URL: r.URL, Snippet: r.Content})
	}
	if len(out) == 0 && len(a.Unresponsive) > 0 {
		list, _ := json.Marshal(a.Unresponsive) // it was just read
		return nil, fmt.Errorf("none of its engines answered: %s", clip(string(list), maxTitle))
	}
	return out, nil
}

// page reads the page for people, where the instance gives no JSON.
func (s searxng) page(ctx context.Context, query string, n int) ([]browser.Found, error) {
	r, err := s.get(ctx, url.Values{"q": {query}})
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "text/html")
	a, err := s.ask(r)
	if err != nil {
		return nil, err
	}
	const advice = "its JSON is off: whoever runs it has to add json to search.formats in its settings.yml"
	if a.status != http.StatusOK {
		return nil, fmt.Errorf("%w; %s", s.refusal(a), advice)
	}
	doc, err := html.Parse(strings.NewReader(string(a.body)))
	if err != nil {
		return nil, fmt.Errorf("read its page: %w; %s", err, advice)
	}
	var found []browser.Found
	for article := range having(doc, atom.Article, "result") {
		for heading := range having(article, atom.H3, "") {
			for link := range having(heading, atom.A, "") {
				f := browser.Found{Title: textOf(link), URL: attribute(link, "href")}
				for p := range having(article, atom.P, "content") {
					f.Snippet = textOf(p)
				}
				found = append(found, f)
			}
		}
	}
	if len(found) == 0 && len(s.marks(doc)) == 0 {
		return nil, fmt.Errorf("its page shows no results that could be read; %s", advice)
	}
	return s.clean(found, n), nil
}

// marks are the parts by which a page of results without any is known.
func (s searxng) marks(doc *html.Node) (out []*html.Node) {
	for e := range having(doc, atom.Div, "dialog-error") {
		out = append(out, e)
	}
	return out
}
