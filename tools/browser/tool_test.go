package browser

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"chorale/tools"
	"chorale/tools/browser/internal/chrome"
	"chorale/tools/tooltest"
)

// echo serves texts that a test left with it, as titles: these are not wrapped.
type echo struct {
	mu    sync.Mutex
	texts []string
}

func (e *echo) call(base, text string) tools.Call {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.texts = append(e.texts, text)
	return openCall(fmt.Sprintf("%s/echo/%d", base, len(e.texts)-1))
}

func openCall(address string) tools.Call {
	args, _ := json.Marshal(map[string]any{"id": address, "num_lines": 100000})
	return tools.Call{Tool: "browser", Function: "open", Args: string(args), Limits: testLimits}
}

func (e *echo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	var i int
	switch {
	case r.URL.Path == "/endless":
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	case r.URL.Path == "/flood":
		io.WriteString(w, strings.Repeat("a line of a long text\n", 100000))
	default:
		fmt.Sscanf(r.URL.Path, "/echo/%d", &i)
		e.mu.Lock()
		defer e.mu.Unlock()
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(w, "<title>"+html.EscapeString(e.texts[i])+"</title>text")
	}
}

// TestContract runs what every tool keeps, without Chromium.
func TestContract(t *testing.T) {
	e := &echo{}
	srv := httptest.NewServer(e)
	defer srv.Close()
	tooltest.Run(t, tooltest.Subject{
		Open: func(t *testing.T) tools.Tool {
			b, err := Open(t.Context(), Options{Allow: []string{srv.Listener.Addr().String()}, Tokens: o200k})
			if err != nil {
				t.Fatal(err)
			}
			return b
		},
		Echo:    func(text string) tools.Call { return e.call(srv.URL, text) },
		Endless: openCall(srv.URL + "/endless"),
		Flood:   openCall(srv.URL + "/flood"),
		Wrong:   tools.Call{Tool: "browser", Function: "open", Args: `{"id": 7}`},
	})
}

func TestOpenRefuses(t *testing.T) {
	for name, o := range map[string]Options{
		"no tokenizer":      {},
		"a bad allow entry": {Tokens: o200k, Allow: []string{"ftp://x"}},
		"negative pages":    {Tokens: o200k, MaxPages: -1},
		"no room":           {Tokens: o200k, Downloads: -1, Dir: "x"},
		"no folder":         {Tokens: o200k, Downloads: 1},
	} {
		if _, err := Open(t.Context(), o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// site serves a few documents by path.
func site(pages map[string]string) *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, ok := pages[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		kind, text, _ := strings.Cut(body, "|")
		w.Header().Set("Content-Type", kind)
		io.WriteString(w, text)
	}))
}

var documents = map[string]string{
	"/":          `text/html|<title>Start</title><base href="/d/"><p>Hello <a href="x">rel</a> <a href="/empty">e</a></p>`,
	"/d/x":       "text/html; charset=iso-8859-1|<title>L</title><p>caf\xe9</p>",
	"/text":      "text/plain|one\n  two <b>\n",
	"/json":      `application/json|{"a": [1, 2]}`,
	"/csv":       "text/csv|a,b\n1,2\n",
	"/feed":      `application/rss+xml|<rss><title>t</title></rss>`,
	"/empty":     "text/html| ",
	"/data.bin":  "application/octet-stream|xyz",
	"/book.epub": "application/epub+zip|PK345678",
}

func TestDocuments(t *testing.T) {
	srv := site(documents)
	defer srv.Close()
	b := openFor(t, srv, false)
	for path, want := range map[string]string{
		"/":          "Hello 【0†rel】",
		"/d/x":       "café",
		"/text":      "L3:   two <b>",
		"/json":      `{"a": [1, 2]}`,
		"/csv":       "L3: 1,2",
		"/feed":      "<rss><title>t</title></rss>",
		"/empty":     "Error fetching URL `" + srv.URL + "/empty`: the document is empty",
		"/data.bin":  `a download, not a page: "data.bin", type application/octet-stream, 3 bytes`,
		"/book.epub": `"book.epub", type application/epub+zip, 8 bytes`,
		"/none":      "[Note: The server answered with HTTP status 404.]",
	} {
		if r := open(t, b, srv.URL+path); !strings.Contains(r.Text, want) {
			t.Errorf("%s: want %q in %+v", path, want, r)
		}
	}
	open(t, b, srv.URL+"/")
	if r := call(t, b, "open", `{"id": 0}`); !strings.Contains(r.Text, "café") || r.Origin != srv.URL {
		t.Errorf("relative link under a base: %+v", r)
	}
	if r := call(t, b, "find", `{"pattern": "caf"}`); !strings.Contains(r.Text, "match at") || r.Origin != srv.URL {
		t.Errorf("find: %+v", r)
	}
	open(t, b, srv.URL+"/")
	if r := call(t, b, "open", `{"view_source": true}`); !strings.Contains(r.Text, `<base href="/d/">`) {
		t.Errorf("source: %+v", r)
	}
}

// A server that does not go on costs a page its end, and the call no more than
// the time to load.
func TestSlowServer(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", map[string]string{"/page": "text/html", "/pdf": "application/pdf"}[r.URL.Path])
		if r.URL.Path != "/silent" {
			io.WriteString(w, "%PDF-1.7 All that matters.")
			http.NewResponseController(w).Flush()
		}
		<-r.Context().Done()
	}))
	defer srv.Close()
	b := openFor(t, srv, false)
	b.web.client.Time = 500 * time.Millisecond
	for path, want := range map[string]string{
		"/page":   "[Note: The rest of the page did not come: the server took longer",
		"/pdf":    "the PDF broke off: the server took longer than 500ms",
		"/silent": "/silent`: the server took longer than 500ms",
	} {
		if r := open(t, b, srv.URL+path); !strings.Contains(r.Text, want) || r.Failed == (path == "/page") {
			t.Errorf("%s: want %q in %+v", path, want, r)
		}
	}
}

func call(t *testing.T, b *Browser, function, args string) tools.Result {
	t.Helper()
	r, err := b.Call(t.Context(), tools.Call{Tool: "browser", Function: function, Args: args, Limits: testLimits})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestRefusals asks for what the allow list does not name.
func TestRefusals(t *testing.T) {
	srv := site(documents)
	defer srv.Close()
	b := openFor(t, srv, false)
	for address, want := range map[string]string{
		"https://example.org/":   "example.org:443 is not allowed: no entry",
		"http://127.0.0.1:1/":    "127.0.0.1:1 is not allowed",
		"file:///etc/passwd":     "not an http or https address",
		"javascript:alert(1)":    "not an http or https address",
		"view-source:" + srv.URL: "not an http or https address",
		"2":                      "give the number 2",
		"example.org":            "example.org:443 is not allowed",
		strings.Replace(srv.URL, "127", "0177", 1): "is not allowed",
	} {
		if r := open(t, b, address); !r.Failed || !strings.Contains(r.Text, want) {
			t.Errorf("%s: want %q in %+v", address, want, r)
		}
	}
	if r := call(t, b, "search", `{"query": "x"}`); !r.Failed || !strings.Contains(r.Text, "no search provider is set up") {
		t.Errorf("search: %+v", r)
	}
}

// finder is a search provider of one result.
type finder struct{ url string }

func (finder) Name() string { return "finder" }

func (f finder) Search(_ context.Context, query string, n int) ([]Found, error) {
	if query == "fail" {
		return nil, errors.New("out of order")
	}
	return []Found{{Title: "It's <b> 【x】", URL: f.url, Snippet: fmt.Sprintf("%s & %d", query, n)}}, nil
}

func TestSearchAndCite(t *testing.T) {
	srv := site(documents)
	defer srv.Close()
	b, err := Open(t.Context(), Options{Allow: []string{srv.Listener.Addr().String()}, Tokens: o200k, Search: finder{srv.URL + "/text"}, MaxPages: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	r := call(t, b, "search", `{"query": "cable hum", "topn": 3}`)
	host := srv.Listener.Addr().String()
	if want := "[0] cable hum\n**viewing lines [0 - 4] of 4**\n\nL0: \nL1: URL: \nL2: # Search Results\nL3: \n" +
		"L4:   * 【0†It's <b> 〖x〗†" + host + "】 cable hum & 20"; r.Text != want {
		t.Errorf("got %q, want %q", r.Text, want)
	}
	if r := call(t, b, "search", `{"query": "fail"}`); !r.Failed || r.Text != "Error during search for `fail`: finder: out of order" {
		t.Errorf("got %+v", r)
	}
	if r := call(t, b, "open", `{"id": 0}`); r.Failed {
		t.Errorf("got %+v", r)
	}
	text, citations, unfinished := b.Cite("See 【1†L2】 and 【0†L4】", false)
	if want := "See  ([" + host + "](" + srv.URL + "/text))  and 【0†L4】"; text != want || len(citations) != 1 || unfinished {
		t.Errorf("got %q %+v %v, want %q", text, citations, unfinished, want)
	}
	call(t, b, "find", `{"pattern": "two"}`)
	page := tools.Citation{Cursor: 1, Title: host, URL: srv.URL + "/text"}
	first, found := page, page
	first.Lines = "L2-L3"
	found.Cursor, found.Lines = 2, "L0"
	if got := b.Citations("【1†L2-L3】【9†L1】【0†L4】【01†L1】【2†L0】【1†L2-L3】【1†all of it】"); !slices.Equal(got, []tools.Citation{first, found, page}) {
		t.Errorf("citations %+v", got)
	}
	if r := call(t, b, "find", `{"pattern": "one", "cursor": 1}`); !r.Failed || !strings.Contains(r.Text, "may open no more") {
		t.Errorf("fourth page: %+v", r)
	}
	if r := call(t, b, "open", `{"cursor": 1, "loc": 2}`); r.Failed {
		t.Errorf("scrolling is free: %+v", r)
	}
}

func needChromium(t *testing.T) {
	t.Helper()
	if _, err := chrome.Find(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}

// openFor is a tool that may reach one server.
func openFor(t *testing.T, srv *httptest.Server, scripts bool) *Browser {
	t.Helper()
	b, err := Open(t.Context(), Options{Allow: []string{srv.Listener.Addr().String()}, JavaScript: scripts, Tokens: o200k})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

var testLimits = tools.Limits{Time: 34 * time.Second, Output: 64 << 10, Memory: 1 << 30}

func open(t *testing.T, b *Browser, address string) tools.Result {
	t.Helper()
	return openWithin(t, b, address, testLimits)
}

func openWithin(t *testing.T, b *Browser, address string, limits tools.Limits) tools.Result {
	t.Helper()
	args, _ := json.Marshal(map[string]string{"id": address})
	r, err := b.Call(t.Context(), tools.Call{Tool: "browser", Function: "open", Args: string(args), Limits: limits})
	if err != nil {
		t.Fatal(err)
	}
	return r
}
