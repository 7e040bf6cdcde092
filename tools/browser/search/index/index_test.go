package index_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"chorale/internal/wall"
	"chorale/tools/browser/search/index"
)

func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func open(t *testing.T, o index.Options) *index.Index {
	t.Helper()
	x, err := index.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close() })
	return x
}

func search(t *testing.T, x *index.Index, query string) string {
	t.Helper()
	found, err := x.Search(t.Context(), query, 20)
	if err != nil {
		return "error: " + err.Error()
	}
	var b strings.Builder
	for _, f := range found {
		fmt.Fprintf(&b, "%s|%s|%s\n", f.URL, f.Title, f.Snippet)
	}
	return b.String()
}

func TestFolder(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret.txt")
	os.WriteFile(secret, []byte("lantern secret"), 0o600)
	dir := folder(t, map[string]string{
		"shop/lantern.html": "<title>Lanterns</title><p>All about them.</p><p>The lantern costs <b>48</b> euros.</p>",
		"notes.md":          "# Notes on light\n\nCandles and lanterns.\n",
		"latin.html":        "<meta charset=iso-8859-1><title>Caf\xe9</title><p>A caf\xe9.</p>",
		"data.csv":          "item,price\ncandle,12\n",
		".hidden.txt":       "lantern hidden",
		".git/config.txt":   "lantern config",
		"sub/.secrets/k.md": "lantern key",
		"picture.png":       "lantern",
		"binary.txt":        "lantern \xff\xfe",
	})
	if err := os.Symlink(secret, filepath.Join(dir, "link.txt")); err != nil {
		t.Fatal(err)
	}
	paper, err := os.ReadFile("../../internal/pdftext/testdata/paper.pdf")
	if err != nil {
		t.Fatal(err)
	}
	os.WriteFile(filepath.Join(dir, "paper.pdf"), paper, 0o600)
	os.WriteFile(filepath.Join(dir, "broken.pdf"), paper[:200], 0o600)
	x := open(t, index.Options{Folder: dir, Base: "https://docs.example/v1"})
	for query, want := range map[string]string{
		"how much does the lantern cost": "https://docs.example/v1/shop/lantern.html|Lanterns|The lantern costs 48 euros.\nhttps://docs.example/v1/notes.md|Notes on light|Candles and lanterns.\n",
		"café":                           "https://docs.example/v1/latin.html|Café|A café.\n",
		"price":                          "https://docs.example/v1/data.csv|data.csv|item,price\n",
		"the":                            "",
		"bridges of page two":            "https://docs.example/v1/paper.pdf|",
		"":                               "",
		"nothing of this\x00 kind \"(":   "",
	} {
		if got := search(t, x, query); got != want && !(strings.HasSuffix(want, "pdf|") && strings.HasPrefix(got, want)) {
			t.Errorf("%q: got\n%swant\n%s", query, got, want)
		}
	}
	for address, want := range map[string]string{
		"https://docs.example/v1/notes.md":                "text/markdown",
		"https://docs.example/v1/shop/lantern":            "text/html",
		"https://docs.example/v1/paper.pdf":               "application/pdf",
		"https://docs.example/v1/link.txt":                "",
		"https://docs.example/v1/.hidden.txt":             "",
		"https://docs.example/v1/.git/config.txt":         "",
		"https://docs.example/v1/sub/.secrets/k.md":       "",
		"https://docs.example/v1/shop/../.git/config.txt": "",
		"https://docs.example/v1/../../etc/passwd.txt":    "",
		"https://docs.example/v1/%2e%2e/secret.txt":       "",
		"http://docs.example/v1/notes.md":                 "",
		"https://docs.example/notes.md":                   "",
	} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if d, ok := x.Document(t.Context(), u); d.Type != want || ok != (want != "") {
			t.Errorf("%s: %q, %v; want %q", address, d.Type, ok, want)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	for want, o := range map[string]index.Options{
		"neither a folder nor a site":         {},
		"no such file":                        {Folder: filepath.Join(t.TempDir(), "none")},
		`"docs/" is no http or https address`: {Folder: t.TempDir(), Base: "docs"},
		`"docs.example" is no http or https`:  {Sites: []string{"docs.example"}},
		"no entry of the task's allow list":   {Sites: []string{"https://docs.example"}, Dialer: &wall.Dialer{}},
		"can not be reached without a dialer": {Sites: []string{"https://docs.example"}},
	} {
		if _, err := index.Open(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if got := search(t, open(t, index.Options{Folder: t.TempDir()}), "x"); !strings.Contains(got, "holds no documents") {
		t.Errorf("an empty folder: %s", got)
	}
}

// TestCrawl reads a site: its own pages below the start, each once, and nothing
// that the wall forbids.
func TestCrawl(t *testing.T) {
	asked := map[string]int{}
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("another site was read") }))
	defer other.Close()
	pages := map[string]string{
		"/docs/":      `<title>Start</title><a href=one>One</a> <a href=one#part>Again</a> <a href=/private>Up</a> <a href="` + other.URL + `/docs/">Other</a> <a href=away>Away</a> <a href=gone>Gone</a>`,
		"/docs/one":   `<title>One</title><base href=/docs/deep/><a href=two>Two</a> lantern one`,
		"/private":    `<title>Private</title>lantern private`,
		"/docs/image": "x",
	}
	for i := range 30 {
		pages[fmt.Sprintf("/docs/deep/%d", i)] = fmt.Sprintf("<title>Deep %d</title>lantern %d <a href=%d>next</a>", i, i, i+1)
	}
	pages["/docs/deep/two"] = "<title>Two</title>lantern two <a href=0>deeper</a>"
	mux := make(chan struct{}, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mux <- struct{}{}
		asked[r.URL.Path]++
		<-mux
		switch body, ok := pages[r.URL.Path]; {
		case r.URL.Path == "/docs/away":
			http.Redirect(w, r, other.URL, http.StatusFound)
		case !ok:
			http.NotFound(w, r)
		default:
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Write([]byte(body))
		}
	}))
	defer srv.Close()
	rule, err := wall.ParseRule([]string{srv.Listener.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	x := open(t, index.Options{Sites: []string{srv.URL + "/docs/"}, MaxPages: 10, Dialer: &wall.Dialer{Rule: rule}})
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := x.Search(stopped, "lantern", 20); err == nil {
		t.Error("a search that was cancelled gave results")
	}
	got := search(t, x, "lantern")
	if n := strings.Count(got, "\n"); n != 9 || !strings.Contains(got, srv.URL+"/docs/deep/two|Two|lantern two deeper") || strings.Contains(got, "rivate") {
		t.Errorf("%d results:\n%s", n, got)
	}
	before := len(asked)
	search(t, x, "deep")
	for path, n := range asked {
		if n > 1 || len(asked) != before {
			t.Errorf("%s was asked for %d times; %d addresses, then %d", path, n, before, len(asked))
		}
	}
	x = open(t, index.Options{Sites: []string{srv.URL + "/none"}, Dialer: &wall.Dialer{Rule: rule}})
	if got := search(t, x, "lantern"); !strings.Contains(got, "could be read: ") || !strings.Contains(got, "404") {
		t.Errorf("a site that is not there: %s", got)
	}
}

// BenchmarkFolder indexes 1,000 documents of 4 KB.
func BenchmarkFolder(b *testing.B) {
	dir := b.TempDir()
	words := strings.Fields("the lantern garden silver river bridge hums while candle maple market opens early on Sunday near harbour walls")
	for i := range 1000 {
		var s strings.Builder
		for j := range 600 {
			s.WriteString(words[(i*31+j*j*7)%len(words)])
			fmt.Fprintf(&s, "%d ", (i*j)%997)
		}
		os.WriteFile(filepath.Join(dir, fmt.Sprint(i, ".txt")), []byte(s.String()), 0o600)
	}
	for b.Loop() {
		x, err := index.Open(index.Options{Folder: dir})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := x.Search(b.Context(), "lantern7", 20); err != nil {
			b.Fatal(err)
		}
		x.Close()
	}
}
