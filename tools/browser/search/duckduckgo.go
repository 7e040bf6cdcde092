package search

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"chorale/tools/browser"
)

// DuckDuckGo is the name of that provider.
const DuckDuckGo = "duckduckgo"

const duckDuckGoAddress = "https://html.duckduckgo.com/html/"

// duckDuckGo reads DuckDuckGo's page for browsers without scripts, with the
// browser. It has no interface for programs, and turns them away after a few
// questions.
type duckDuckGo struct {
	address *url.URL
	load    browser.Loader
}

var _ browser.PageSearcher = (*duckDuckGo)(nil)

// ByDuckDuckGo makes the provider. It needs a browser, which must be allowed
// its host.
func ByDuckDuckGo(o Options) (browser.Searcher, error) {
	address := duckDuckGoAddress
	if o.Address != "" {
		address = o.Address
	}
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("search with %s: %w", DuckDuckGo, err)
	}
	if _, err := within(u, o.Within); err != nil {
		return nil, fmt.Errorf("search with %s: %w", DuckDuckGo, err)
	}
	return &duckDuckGo{address: u}, nil
}

func (d *duckDuckGo) Name() string { return DuckDuckGo }

// By implements browser.PageSearcher.
func (d *duckDuckGo) By(load browser.Loader) { d.load = load }

// Search implements browser.Searcher.
func (d *duckDuckGo) Search(ctx context.Context, query string, n int) ([]browser.Found, error) {
	if d.load == nil {
		return nil, errors.New("it needs a browser to search with")
	}
	u := *d.address
	u.RawQuery = url.Values{"q": {query}}.Encode()
	src, status, err := d.load(ctx, &u)
	if err != nil {
		return nil, err
	}
	doc, err := html.Parse(strings.NewReader(src))
	if err != nil {
		return nil, err
	}
	var found []browser.Found
	for result := range having(doc, atom.Div, "result") {
		if f, ok := d.result(result); ok {
			found = append(found, f)
		}
	}
	challenged := false
	for range having(doc, atom.Form, "challenge-form") {
		challenged = true
	}
	switch {
	case len(found) > 0:
		return (&service{}).clean(found, n), nil
	case status == http.StatusAccepted, status == http.StatusTooManyRequests, status == http.StatusForbidden, challenged:
		return nil, fmt.Errorf("it takes us for a robot (HTTP status %d), as it does after a few searches; wait some minutes, or have the user set up another provider", status)
	case status >= 400:
		return nil, fmt.Errorf("it refused the search (HTTP status %d)", status)
	}
	for range having(doc, atom.Div, "no-results") {
		return nil, nil
	}
	return nil, errors.New("its page shows no results that could be read; it may have changed")
}

// result reads one, unless it is an advertisement.
func (d *duckDuckGo) result(n *html.Node) (f browser.Found, ok bool) {
	if hasClass(n, "result--ad") {
		return f, false
	}
	for link := range having(n, atom.A, "result__a") {
		f.Title, f.URL, ok = textOf(link), d.target(attribute(link, "href")), true
		break
	}
	for s := range having(n, 0, "result__snippet") {
		f.Snippet = textOf(s)
		break
	}
	return f, ok
}

// target is where a result leads: links go by way of DuckDuckGo.
func (d *duckDuckGo) target(href string) string {
	u, err := d.address.Parse(href)
	if err != nil {
		return ""
	}
	if to := u.Query().Get("uddg"); to != "" && strings.HasPrefix(u.Path, "/l/") {
		return to
	}
	return u.String()
}
