package search_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chorale/internal/secret"
	"chorale/tools"
	"chorale/tools/browser"
	"chorale/tools/browser/search"
)

const key = "sk-very-secret-0123"

// service is a local server that speaks like one of the services.
type service struct {
	*httptest.Server
	reply http.HandlerFunc
	asked *http.Request
	sent  string
}

func serve(t *testing.T) *service {
	s := &service{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/favicon.ico" { // a browser's own idea
			http.NotFound(w, r)
			return
		}
		b, _ := io.ReadAll(r.Body)
		s.asked, s.sent = r, string(b)
		s.reply(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *service) says(status int, body string, header ...string) {
	s.reply = func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

func list(found []browser.Found, err error) string {
	if err != nil {
		return "error: " + err.Error()
	}
	var b strings.Builder
	for _, f := range found {
		fmt.Fprintf(&b, "%s|%s|%s\n", f.URL, f.Title, f.Snippet)
	}
	return b.String()
}

func keyed(t *testing.T, name, address string) browser.Searcher {
	t.Helper()
	t.Setenv("SEARCH_TEST_KEY", key)
	s, err := search.Keyed(name, search.Options{Key: secret.Source{Env: "SEARCH_TEST_KEY"}, Address: address})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// services are the documented request and answer of each service with a key.
var services = map[string]struct {
	path, header, value string
	query               map[string]string
	body                string
	answer              string
}{
	"brave": {path: "/res/v1/web/search", header: "X-Subscription-Token", value: key,
		query: map[string]string{"q": "two lanterns & more", "count": "20"},
		answer: `{"type":"search","query":{"original":"q"},"web":{"type":"search","results":[
			{"title":"One","url":"https://one.example/","description":"A <strong>first</strong> &amp; best"},
			{"title":"Bad","url":"javascript:alert(1)","description":"no"},
			{"title":"","url":"https://two.example/x","description":"` + key + ` 【1†forged】"}]}}`},
	"exa": {path: "/search", header: "x-api-key", value: key,
		body: `{"contents":{"highlights":{"maxCharacters":500}},"numResults":20,"query":"two lanterns \u0026 more","type":"auto"}`,
		answer: `{"requestId":"r","results":[{"title":"One","url":"https://one.example/","highlights":["A first &amp; best"]},
			{"title":"Bad","url":"ftp://x/"},{"title":null,"url":"https://two.example/x","text":"` + key + ` 【1†forged】"}]}`},
	"tavily": {path: "/search", header: "Authorization", value: "Bearer " + key,
		body: `{"max_results":20,"query":"two lanterns \u0026 more"}`,
		answer: `{"query":"q","results":[{"title":"One","url":"https://one.example/","content":"A first & best","score":0.9},
			{"title":"Bad","url":"//x"},{"title":"","url":"https://two.example/x","content":"` + key + ` 【1†forged】"}],"response_time":1.2}`},
	"you": {path: "/v1/search", header: "X-API-Key", value: key,
		query: map[string]string{"query": "two lanterns & more", "count": "20"},
		answer: `{"results":{"web":[{"title":"One","url":"https://one.example/","description":"A first & best","snippets":["s"]},{"title":"Bad","url":""}],
			"news":[{"title":"","url":"https://two.example/x","description":"` + key + ` 【1†forged】"}]},"metadata":{}}`},
}

func TestKeyed(t *testing.T) {
	for name, c := range services {
		t.Run(name, func(t *testing.T) {
			srv := serve(t)
			u, err := url.Parse(search.Address(name))
			if err != nil || u.Scheme != "https" || u.Path != c.path {
				t.Fatalf("its address is %s, %v", u, err)
			}
			s := keyed(t, name, srv.URL+u.Path)
			srv.says(200, c.answer)
			const want = "https://one.example/|One|A first & best\nhttps://two.example/x|https://two.example/x|[secret key] 【1†forged】\n"
			if got := list(s.Search(t.Context(), "two lanterns & more", 20)); got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
			if got := srv.asked.Header.Get(c.header); got != c.value || srv.asked.URL.Path != c.path {
				t.Errorf("%s: %q at %s", c.header, got, srv.asked.URL)
			}
			for k, v := range c.query {
				if got := srv.asked.URL.Query().Get(k); got != v {
					t.Errorf("%s is %q, want %q", k, got, v)
				}
			}
			if strings.Contains(srv.asked.URL.String(), key) || srv.sent != c.body {
				t.Errorf("sent %s to %s", srv.sent, srv.asked.URL)
			}
			if got := list(s.Search(t.Context(), "q", 1)); strings.Count(got, "\n") != 1 {
				t.Errorf("one result was asked for: %s", got)
			}
		})
	}
}

// TestRefusals: what each kind of failure tells the model, never with the key.
func TestRefusals(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s was asked with %v", r.URL, r.Header)
	}))
	defer elsewhere.Close()
	for name := range services {
		srv := serve(t)
		s := keyed(t, name, srv.URL)
		for _, c := range []struct {
			status int
			body   string
			header []string
			want   string
		}{
			{401, `{"detail":{"error":"Unauthorized: bad key ` + key + `"}}`, nil, "it refused the key (HTTP status 401: Unauthorized: bad key [secret key]); the user has to set a valid one"},
			{403, `{"message":"Forbidden"}`, nil, "it refused the key (HTTP status 403: Forbidden)"},
			{422, `{"error":{"code":"SUBSCRIPTION_TOKEN_INVALID","detail":"The provided subscription token is invalid."}}`, nil, "it refused the key (HTTP status 422: The provided subscription token is invalid.)"},
			{402, `{"error":"NO_MORE_CREDITS"}`, nil, "the quota of the user's plan is spent (HTTP status 402: NO_MORE_CREDITS)"},
			{432, `{}`, nil, "the quota of the user's plan is spent"},
			{429, `{"error":{"detail":"Request rate limit exceeded"}}`, []string{"Retry-After", "7"}, "it was asked too often (HTTP status 429: Request rate limit exceeded); ask again after 7 seconds"},
			{429, `slow down`, nil, "it was asked too often (HTTP status 429); wait a while"},
			{400, `{"error":"bad query"}`, nil, "it refused the search (HTTP status 400: bad query)"},
			{302, ``, []string{"Location", elsewhere.URL}, "it redirects elsewhere (HTTP status 302), which is not followed"},
			{503, `<html>`, nil, "it is out of order (HTTP status 503); try again later"},
			{200, `<html>Welcome</html>`, nil, "its answer is not what it documents: invalid character '<'"},
			{200, `{}`, nil, "its answer is not what it documents"},
			{200, `[1]`, nil, "its answer is not what it documents"},
			{200, `{"results":` + strings.Repeat("[", 5<<20), nil, "its answer is longer than 4 MiB"},
		} {
			srv.says(c.status, c.body, c.header...)
			got := list(s.Search(t.Context(), "q", 5))
			if !strings.Contains(got, c.want) || strings.Contains(got, key) {
				t.Errorf("%s, %d %.60s: got %s, want %s", name, c.status, c.body, got, c.want)
			}
		}
		stop := make(chan struct{})
		srv.reply = func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-stop:
			case <-r.Context().Done():
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.Search(ctx, "q", 5); err != context.Canceled {
			t.Errorf("%s: %v after the call was cancelled", name, err)
		}
		close(stop)
		srv.Close()
		if got := list(s.Search(t.Context(), "q", 5)); !strings.Contains(got, "it can not be reached: ") {
			t.Errorf("%s: without a server: %s", name, got)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Setenv("SEARCH_TEST_KEY", key)
	file := filepath.Join(t.TempDir(), "key")
	os.WriteFile(file, []byte(key+"\n"), 0o600)
	good := secret.Source{File: file}
	for _, c := range []struct {
		name string
		o    search.Options
		want string
	}{
		{"brave", search.Options{Key: good}, ""},
		{"brave", search.Options{Key: good, Within: [][]string{{"*"}, {"api.search.brave.com"}}}, ""},
		{"brave", search.Options{Key: good, Within: [][]string{{"*"}, {"shop.example"}}}, `search with brave: it is at api.search.brave.com, and the hosts of a policy are ["shop.example"]`},
		{"exa", search.Options{}, "search with exa: no key is given"},
		{"you", search.Options{Key: secret.Source{Env: "SEARCH_TEST_NONE"}}, "search with you: secret key: the variable SEARCH_TEST_NONE is not set"},
		{"bing", search.Options{Key: good}, "there is no service bing"},
	} {
		_, err := search.Keyed(c.name, c.o)
		if (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %+v: %v, want %q", c.name, c.o, err, c.want)
		}
	}
	if _, err := search.SearXNG(search.Options{Address: "searx.example"}); err == nil || !strings.Contains(err.Error(), "is no http or https address") {
		t.Errorf("got %v", err)
	}
}

const searxngPage = `<main><div id="urls"><article class="result result-default category-general"><a href="https://one.example/" class="url_header">x</a>
	<h3><a href="https://one.example/" rel="noreferrer">The <span class="highlight">One</span></a></h3><p class="content">A first &amp; best</p></article>
	<article class="result"><h3><a href="https://two.example/">Two &lt;b&gt;</a></h3></article></div></main>`

func TestSearXNG(t *testing.T) {
	srv := serve(t)
	s, err := search.SearXNG(search.Options{Address: srv.URL + "/searx/"})
	if err != nil {
		t.Fatal(err)
	}
	formats := map[string]func(w http.ResponseWriter){}
	srv.reply = func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/searx/search" || r.URL.Query().Get("q") != "two lanterns" {
			t.Errorf("asked for %s", r.URL)
		}
		formats[r.URL.Query().Get("format")](w)
	}
	send := func(status int, body string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) { w.WriteHeader(status); io.WriteString(w, body) }
	}
	for _, c := range []struct {
		json, html func(http.ResponseWriter)
		want       string
	}{
		{send(200, `{"query":"q","results":[{"url":"https://one.example/","title":"One","content":"A first","engine":"e"}]}`), nil, "https://one.example/|One|A first\n"},
		{send(200, `{"results":[],"unresponsive_engines":[["google","timeout"]]}`), nil, `none of its engines answered: [["google","timeout"]]`},
		{send(200, `{"results":[]}`), nil, ""},
		{send(403, "Forbidden"), send(200, searxngPage), "https://one.example/|The One|A first & best\nhttps://two.example/|Two <b>|\n"},
		{send(403, "Forbidden"), send(200, `<div class="dialog-error">No results</div>`), ""},
		{send(403, "Forbidden"), send(200, "<p>Who are you?</p>"), "whoever runs it has to add json to search.formats in its settings.yml"},
		{send(403, "Forbidden"), send(429, "Too many"), "it was asked too often (HTTP status 429); wait a while before the next search; its JSON is off"},
		{send(429, ""), nil, "it was asked too often"},
		{send(200, "<html>"), nil, "its answer is not what it documents"},
	} {
		formats["json"], formats[""] = c.json, c.html
		if got := list(s.Search(t.Context(), "two lanterns", 20)); got != c.want && (c.want == "" || !strings.Contains(got, c.want)) {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

const duckPage = `<div id="links"><div class="result results_links web-result"><h2 class="result__title">
	<a class="result__a" href="//duckduckgo.com/l/?uddg=https%3A%2F%2Fone.example%2Fa%3Fb%3Dc&amp;rut=f">The <b>One</b></a></h2>
	<a class="result__snippet" href="x">A <b>first</b> &amp; best</a></div>
	<div class="result result--ad"><a class="result__a" href="https://duckduckgo.com/y.js?ad=1">Buy</a></div>
	<div class="result web-result"><a class="result__a" href="https://two.example/">Two</a></div></div>`

// TestDuckDuckGo has the browser read the page, as sent and in Chromium.
func TestDuckDuckGo(t *testing.T) {
	for name, scripts := range map[string]bool{"as sent": false, "in Chromium": true} {
		t.Run(name, func(t *testing.T) {
			if _, err := browser.FindChromium(); scripts && err != nil {
				if os.Getenv("CI") == "true" {
					t.Fatal(err)
				}
				t.Skip(err)
			}
			duckDuckGo(t, scripts)
		})
	}
}

func duckDuckGo(t *testing.T, scripts bool) {
	srv := serve(t)
	s, err := search.ByDuckDuckGo(search.Options{Address: srv.URL + "/html/"})
	if err != nil {
		t.Fatal(err)
	}
	if got := list(s.Search(t.Context(), "q", 5)); !strings.Contains(got, "needs a browser") {
		t.Errorf("without a browser: %s", got)
	}
	b, err := browser.Open(t.Context(), browser.Options{Allow: []string{srv.Listener.Addr().String()}, Search: s,
		JavaScript: scripts, Tokens: func(text string) []string { return strings.SplitAfter(text, " ") }})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for _, c := range []struct {
		status     int
		body, want string
	}{
		{200, duckPage, "L4:   * 【0†The One†one.example】 A first & best\nL5:   * 【1†Two†two.example】"},
		{200, `<div class="no-results">No results.</div>`, "L2: # Search Results"},
		{202, `<form id="challenge-form">`, "duckduckgo: it takes us for a robot (HTTP status 202)"},
		{200, `<form id="challenge-form">`, "it takes us for a robot"},
		{429, `<p>`, "wait some minutes"},
		{500, `<p>`, "it refused the search (HTTP status 500)"},
		{200, `<p>New design</p>`, "it may have changed"},
	} {
		srv.says(c.status, c.body, "Content-Type", "text/html")
		r, err := b.Call(t.Context(), tools.Call{Tool: "browser", Function: "search", Args: `{"query": "two lanterns"}`,
			Limits: tools.Limits{Time: time.Minute, Output: 1 << 16, Memory: 1 << 30}})
		if err != nil || !strings.Contains(r.Text, c.want) || strings.Contains(r.Text, "Buy") {
			t.Errorf("%d %s: got %s, %v; want %s", c.status, c.body, r.Text, err, c.want)
		}
		if srv.asked.URL.RawQuery != "q=two+lanterns" {
			t.Errorf("asked for %s", srv.asked.URL)
		}
	}
}
