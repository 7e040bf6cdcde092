package search

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"chorale/tools/browser"
)

// keyed are the services that need a key, by name.
var keyed = map[string]struct {
	address string
	request func(ctx context.Context, s *service, query string, n int) (*http.Request, error)
	read    func(answer []byte) ([]browser.Found, error)
}{
	// https://api-dashboard.search.brave.com/documentation
	"brave": {"https://api.search.brave.com/res/v1/web/search", func(ctx context.Context, s *service, query string, n int) (*http.Request, error) {
		r, err := s.get(ctx, url.Values{"q": {query}, "count": {strconv.Itoa(min(n, 20))}, "text_decorations": {"false"}, "result_filter": {"web"}})
		if err == nil {
			r.Header.Set("X-Subscription-Token", s.key())
		}
		return r, err
	}, func(answer []byte) (out []browser.Found, err error) {
		var a struct {
			Type string
			Web  struct {
				Results []struct{ Title, URL, Description string }
			}
		}
		if err := json.Unmarshal(answer, &a); err != nil {
			return nil, err
		}
		if a.Type != "search" {
			return nil, errors.New(`"type" is not "search"`)
		}
		for _, r := range a.Web.Results {
			out = append(out, browser.Found{Title: r.Title, URL: r.URL, Snippet: r.Description})
		}
		return out, nil
	}},
	// https://exa.ai/docs/reference/search
	"exa": {"https://api.exa.ai/search", func(ctx context.Context, s *service, query string, n int) (*http.Request, error) {
		r, err := s.post(ctx, map[string]any{"query": query, "type": "auto", "numResults": n,
			"contents": map[string]any{"highlights": map[string]any{"maxCharacters": maxSnippet}}})
		if err == nil {
			r.Header.Set("x-api-key", s.key())
		}
		return r, err
	}, func(answer []byte) (out []browser.Found, err error) {
		var a struct {
			Results *[]struct {
				Title, URL, Text string
				Highlights       []string
			}
		}
		if err := unmarshal(answer, &a, func() bool { return a.Results != nil }); err != nil {
			return nil, err
		}
		for _, r := range *a.Results {
			snippet := strings.Join(r.Highlights, " … ")
			if snippet == "" {
				snippet = r.Text
			}
			out = append(out, browser.Found{Title: r.Title, URL: r.URL, Snippet: snippet})
		}
		return out, nil
	}},
	// https://docs.tavily.com/documentation/api-reference/endpoint/search
	"tavily": {"https://api.tavily.com/search", func(ctx context.Context, s *service, query string, n int) (*http.Request, error) {
		r, err := s.post(ctx, map[string]any{"query": query, "max_results": min(n, 20)})
		if err == nil {
			r.Header.Set("Authorization", "Bearer "+s.key())
		}
		return r, err
	}, func(answer []byte) (out []browser.Found, err error) {
		var a struct {
			Results *[]struct{ Title, URL, Content string }
		}
		if err := unmarshal(answer, &a, func() bool { return a.Results != nil }); err != nil {
			return nil, err
		}
		for _, r := range *a.Results {
			out = append(out, browser.Found{Title: r.Title, URL: r.URL, Snippet: r.Content})
		}
		return out, nil
	}},
	// https://you.com/docs/api-reference/search/v1-search
	"you": {"https://ydc-index.io/v1/search", func(ctx context.Context, s *service, query string, n int) (*http.Request, error) {
		r, err := s.get(ctx, url.Values{"query": {query}, "count": {strconv.Itoa(n)}})
		if err == nil {
			r.Header.Set("X-API-Key", s.key())
		}
		return r, err
	}, func(answer []byte) (out []browser.Found, err error) {
		type result struct {
			Title, URL, Description string
			Snippets                []string
		}
		var a struct {
			Results *struct{ Web, News []result }
		}
		if err := unmarshal(answer, &a, func() bool { return a.Results != nil }); err != nil {
			return nil, err
		}
		for _, r := range append(a.Results.Web, a.Results.News...) {
			snippet := r.Description
			if snippet == "" {
				snippet = strings.Join(r.Snippets, " … ")
			}
			out = append(out, browser.Found{Title: r.Title, URL: r.URL, Snippet: snippet})
		}
		return out, nil
	}},
}

// unmarshal reads JSON that must hold results.
func unmarshal(answer []byte, v any, complete func() bool) error {
	if err := json.Unmarshal(answer, v); err != nil {
		return err
	}
	if !complete() {
		return errors.New("it holds no results")
	}
	return nil
}

// Keyed makes one of the services that need a key: brave, exa, tavily or you.
func Keyed(name string, o Options) (browser.Searcher, error) {
	k, ok := keyed[name]
	if !ok {
		return nil, errors.New("search: there is no service " + name)
	}
	s, err := open(name, k.address, o)
	if err != nil {
		return nil, err
	}
	if s.key() == "" {
		return nil, errors.New("search with " + name + ": no key is given")
	}
	s.request, s.read = k.request, k.read
	return s, nil
}

// Address is where a service is asked: brave, exa, tavily, you, duckduckgo.
func Address(name string) string {
	if name == DuckDuckGo {
		return duckDuckGoAddress
	}
	return keyed[name].address
}
