// Package search has the services that the browser can search the web with:
// Brave, Exa, Tavily, You.com, an instance of SearXNG, and DuckDuckGo's page for
// browsers without scripts. An index of one's own is in the package index.
//
// A key goes to the host of its service and to no other: what redirects is
// refused, and a key that comes back in an answer is taken out. What the services
// say is data of strangers.
package search

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"chorale/internal/secret"
	"chorale/internal/wall"
	"chorale/tools/browser"
)

// keyName is what a service's key is called among its secrets.
const keyName = "key"

// Options are common to the services.
type Options struct {
	// Key is where the service's key is. SearXNG and DuckDuckGo need none.
	Key secret.Source
	// Address replaces the service's own; for an instance of one's own.
	Address string
	// Within are lists of hosts, of policies, that must each allow the service.
	Within [][]string
}

const (
	answerTime = 15 * time.Second
	answerCap  = 4 << 20
	maxSnippet = 500
	maxTitle   = 200
)

// service is one that answers in JSON.
type service struct {
	name    string
	address *url.URL
	keys    secret.Values
	client  *http.Client
	request func(ctx context.Context, s *service, query string, n int) (*http.Request, error)
	read    func(answer []byte) ([]browser.Found, error)
}

var _ browser.Searcher = (*service)(nil)

// open makes a service ready; that it can be reached is not tried.
func open(name, address string, o Options) (*service, error) {
	if o.Address != "" {
		address = o.Address
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, fmt.Errorf("search with %s: %q is no http or https address", name, address)
	}
	rule, err := within(u, o.Within)
	if err != nil {
		return nil, fmt.Errorf("search with %s: %w", name, err)
	}
	s := &service{name: name, address: u, client: &http.Client{
		Transport:     wall.Transport(&wall.Dialer{Rule: rule}),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       answerTime,
	}}
	if o.Key != (secret.Source{}) {
		if s.keys, err = secret.Read(map[string]secret.Source{keyName: o.Key}); err != nil {
			return nil, fmt.Errorf("search with %s: %w", name, err)
		}
	}
	return s, nil
}

// within is the rule for the host of a service: that host, if policies leave it.
func within(u *url.URL, lists [][]string) (wall.Rule, error) {
	rule, err := wall.Origin(u)
	if err != nil {
		return rule, err
	}
	for _, list := range lists {
		also, err := wall.ParseRule(list)
		if err != nil {
			return rule, err
		}
		if also.CheckURL(u) != nil {
			return rule, fmt.Errorf("it is at %s, and the hosts of a policy are %q", u.Host, list)
		}
		rule = rule.Meet(also)
	}
	return rule, nil
}

func (s *service) Name() string { return s.name }

func (s *service) key() string { return s.keys.Get(keyName) }

// Search implements browser.Searcher.
func (s *service) Search(ctx context.Context, query string, n int) ([]browser.Found, error) {
	r, err := s.request(ctx, s, query, n)
	if err != nil {
		return nil, err
	}
	a, err := s.ask(r)
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusOK {
		return nil, s.refusal(a)
	}
	found, err := s.read(a.body)
	if err != nil {
		return nil, fmt.Errorf("its answer is not what it documents: %s", s.keys.Redact(clip(err.Error(), maxTitle)))
	}
	return s.clean(found, n), nil
}

// answer is what a service said.
type answer struct {
	status int
	body   []byte
	after  string // when to ask again
}

// ask sends a request and reads the answer.
func (s *service) ask(r *http.Request) (answer, error) {
	r.Header.Set("User-Agent", "chorale")
	if r.Header.Get("Accept") == "" {
		r.Header.Set("Accept", "application/json")
	}
	resp, err := s.client.Do(r)
	if err != nil {
		return answer{}, s.unreachable(r.Context(), err)
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, after: resp.Header.Get("Retry-After")}
	if a.body, err = io.ReadAll(io.LimitReader(resp.Body, answerCap+1)); err != nil {
		return answer{}, s.unreachable(r.Context(), err)
	}
	if len(a.body) > answerCap {
		return answer{}, fmt.Errorf("its answer is longer than %d MiB", answerCap>>20)
	}
	return a, nil
}

func (s *service) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var u *url.Error
	if errors.As(err, &u) {
		if u.Timeout() {
			return fmt.Errorf("it did not answer within %v", answerTime)
		}
		err = u.Err
	}
	return fmt.Errorf("it can not be reached: %s", s.keys.Redact(err.Error()))
}

// refusal says why a service gave no results, and what can be done about it.
func (s *service) refusal(a answer) error {
	said := s.keys.Redact(clip(message(a.body), maxTitle))
	if said != "" {
		said = ": " + said
	}
	keyed := s.key() != ""
	switch {
	case keyed && (a.status == 401 || a.status == 403 || a.status == 422 && strings.Contains(string(a.body), "SUBSCRIPTION_TOKEN_INVALID")):
		return fmt.Errorf("it refused the key (HTTP status %d%s); the user has to set a valid one", a.status, said)
	case a.status == 402 || a.status == 432 || a.status == 433:
		return fmt.Errorf("the quota of the user's plan is spent (HTTP status %d%s)", a.status, said)
	case a.status == 429:
		when := "wait a while before the next search"
		if a.after != "" {
			when = "ask again after " + clip(a.after, 40)
			if strings.Trim(a.after, "0123456789") == "" {
				when += " seconds"
			}
		}
		return fmt.Errorf("it was asked too often (HTTP status 429%s); %s", said, when)
	case a.status >= 300 && a.status < 400:
		return fmt.Errorf("it redirects elsewhere (HTTP status %d), which is not followed", a.status)
	case a.status >= 500:
		return fmt.Errorf("it is out of order (HTTP status %d%s); try again later", a.status, said)
	}
	return fmt.Errorf("it refused the search (HTTP status %d%s)", a.status, said)
}

// message is what an answer says of an error, in the forms that are usual.
func message(body []byte) string {
	var v any
	if json.Unmarshal(body, &v) != nil {
		return ""
	}
	for range 4 {
		m, ok := v.(map[string]any)
		if !ok {
			break
		}
		for _, k := range []string{"error", "detail", "message"} {
			if m[k] != nil {
				v = m[k]
				break
			}
		}
	}
	text, _ := v.(string)
	return strings.Join(strings.Fields(text), " ")
}

// clean leaves of results what can be shown and opened, at most n.
func (s *service) clean(found []browser.Found, n int) []browser.Found {
	var out []browser.Found
	for _, f := range found {
		u, err := url.Parse(f.URL)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || len(out) == n {
			continue
		}
		f.Title, f.Snippet = s.words(f.Title, maxTitle), s.words(f.Snippet, maxSnippet)
		if f.Title == "" {
			f.Title = f.URL
		}
		out = append(out, f)
	}
	return out
}

var tags = regexp.MustCompile(`</?[a-zA-Z][^<>]*>`)

// words is a text of a result without its markup.
func (s *service) words(text string, most int) string {
	text = html.UnescapeString(tags.ReplaceAllString(text, ""))
	return clip(s.keys.Redact(strings.Join(strings.Fields(text), " ")), most)
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}

// get is a GET request to the service's address with a query.
func (s *service) get(ctx context.Context, query url.Values) (*http.Request, error) {
	u := *s.address
	u.RawQuery = query.Encode()
	return http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
}

// post is a POST request to the service's address with a JSON document.
func (s *service) post(ctx context.Context, body any) (*http.Request, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.address.String(), bytes.NewReader(b))
	if err == nil {
		r.Header.Set("Content-Type", "application/json")
	}
	return r, err
}
