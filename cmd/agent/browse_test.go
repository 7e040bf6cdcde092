package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"chorale/configs"
	"chorale/harmony"
	"chorale/policies"
	"chorale/runtime"
	"chorale/tools"
)

// browserTask reads a task that grants the browser with some keys.
func browserTask(t *testing.T, dir, keys string) *runtime.Job {
	t.Helper()
	path := filepath.Join(dir, "task.yaml")
	src := "apiVersion: agent/v1\nkind: Task\nname: page\nprompt: Go.\ntools: {browser: {" + keys + "}}\n"
	if err := os.WriteFile(path, []byte(src), 0o600); err != nil {
		t.Fatal(err)
	}
	job, err := runtime.Read(path)
	if err != nil {
		t.Fatal(err)
	}
	return job
}

// TestSearchProvider: what a task names goes before what is configured, an index
// before SearXNG before a key; and nothing is used that nobody set up.
func TestSearchProvider(t *testing.T) {
	dir, docs := t.TempDir(), t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "docs"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TEST_EXA", "exa-secret")
	key := filepath.Join(docs, "tavily.key")
	if err := os.WriteFile(key, []byte("tavily-secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	exa := configs.Search{Brave: "TEST_NONE", Exa: "TEST_EXA", Tavily: key}
	with := func(f func(*configs.Search)) configs.Search { c := exa; f(&c); return c }
	for _, c := range []struct {
		keys   string
		config configs.Search
		want   string // a name; "" for none; else an error
	}{
		{"allow: [a.example]", configs.Search{}, ""},
		{"allow: [a.example]", exa, "exa"},
		{"allow: [a.example]", with(func(c *configs.Search) { c.Exa = "TEST_NONE" }), "tavily"},
		{"allow: [a.example]", with(func(c *configs.Search) { c.SearXNG = "https://searx.example" }), "searxng"},
		{"allow: [a.example]", with(func(c *configs.Search) { c.SearXNG, c.Folder = "https://searx.example", docs }), "index"},
		{"allow: [a.example]", with(func(c *configs.Search) { c.Provider = "duckduckgo" }), "duckduckgo"},
		{"allow: [a.example], search: {provider: none}", exa, ""},
		{"allow: [a.example], search: {provider: tavily}", exa, "tavily"},
		{"allow: [a.example], search: {provider: brave}", exa, "search with brave: secret key: the variable TEST_NONE is not set"},
		{"search: {folder: docs}", exa, "index"},
		{"search: {folder: none}", exa, "no such file"},
		{"allow: [a.example], search: {address: 'http://127.0.0.1:8888'}", exa, "searxng"},
		{"allow: [a.example], search: {provider: searxng}", exa, "the address of the SearXNG instance is missing"},
		{"allow: [a.example], search: {provider: index}", configs.Search{}, "there is nothing to index"},
		{"allow: [a.example], search: {sites: ['https://a.example/docs/']}", exa, "index"},
		{"allow: [a.example], search: {sites: ['https://b.example/docs/']}", exa, "no entry of the task's allow list names it"},
		{"allow: [a.example]", with(func(c *configs.Search) { c.Provider = "bing" }), `there is no provider "bing"`},
	} {
		b, err := newBrowse(browserTask(t, dir, c.keys), nil, nil, &c.config)
		got := ""
		if err == nil {
			if s, e := b.searcher(); e != nil {
				err = e
			} else if s != nil {
				got = s.Name()
			}
		}
		if err != nil && (!strings.Contains(err.Error(), c.want) || c.want == "") || err == nil && got != c.want {
			t.Errorf("%s, %+v: %q, %v; want %q", c.keys, c.config, got, err, c.want)
		}
	}
	for keys, want := range map[string]string{ // policies hold for services too, and a check needs no keys
		"allow: [a.example], search: {address: 'https://searx.example'}":               "the hosts of a policy are",
		"allow: [a.example], search: {provider: duckduckgo}":                           "the hosts of a policy are",
		"allow: [a.example], search: {provider: brave}":                                "",
		"allow: [a.example], javascript: true, functions: [page_click, page_explode]":  `there is no function "page_explode"`,
		"allow: [a.example], javascript: true, functions: [page_upload], uploads: [x]": "no such file",
		"allow: [a.example], javascript: true, functions: [page_click], uploads: [x]":  "page_upload, which would use them, is not among the functions",
	} {
		_, err := newBrowse(browserTask(t, dir, keys), [][]string{{"a.example"}}, nil, nil)
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", keys, err, want)
		}
	}
	if err := os.Symlink(docs, filepath.Join(dir, "out")); err != nil {
		t.Skip(err)
	}
	if _, err := newBrowse(browserTask(t, dir, "search: {folder: out}"), nil, nil, nil); err == nil || !strings.Contains(err.Error(), "leads out of the task's folder") {
		t.Errorf("a link out of the task: %v", err)
	}
}

// TestDownloads: files are kept as artifacts where the task says so, up to its
// limit.
func TestDownloads(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/zip")
		w.Header().Set("Content-Disposition", "attachment; filename=list.zip")
		io.WriteString(w, "PK34567890")
	}))
	defer srv.Close()
	for downloads, want := range map[string]string{"": "only text can be read", ", downloads: 0": "only text can be read",
		", downloads: 9": "too large: 9 bytes left", ", downloads: 10": "Kept for the user: downloads/list.zip"} {
		granted, err := grants(browserTask(t, t.TempDir(), fmt.Sprintf("allow: [%q]", srv.Listener.Addr())+downloads), policies.Default(), nil)
		if err != nil {
			t.Fatal(err)
		}
		place := runtime.Place{Encoding: harmony.O200kHarmony(), Scratch: t.TempDir()}
		tool, err := granted[0].Open(t.Context(), place)
		if err != nil {
			t.Fatal(err)
		}
		defer tool.Close()
		r, err := tool.Call(t.Context(), tools.Call{Tool: "browser", Function: "open", Args: fmt.Sprintf(`{"id": %q}`, srv.URL),
			Limits: tools.Limits{Time: time.Minute, Output: 1 << 16, Memory: 2 << 30}})
		files, _ := os.ReadDir(place.Scratch)
		if keeps := strings.HasPrefix(want, "Kept"); err != nil || !strings.Contains(r.Text, want) || (len(files) == 1) != keeps || len(r.Artifacts) != len(files) {
			t.Errorf("%q: %+v, %v, files %v; want %q", downloads, r, err, files, want)
		}
	}
}

// TestPageFunctions: the functions that a task names share the browser with the
// trained ones, are its only ones, and say what they can do.
func TestPageFunctions(t *testing.T) {
	needChromium(t)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, `<title>Shop</title><button onclick="document.body.append('Saved.')">Save</button>`)
	}))
	defer srv.Close()
	job := browserTask(t, t.TempDir(), fmt.Sprintf("allow: [%q], javascript: true, har: true, functions: [page_screenshot, page_click, page_snapshot]", srv.Listener.Addr()))
	granted, err := grants(job, policies.Default(), nil)
	if err != nil || len(granted) != 2 {
		t.Fatalf("%d grants, %v", len(granted), err)
	}
	var names []string
	acts := granted[1]
	for _, f := range acts.Namespace.Functions {
		names = append(names, f.Name)
	}
	if want := []string{"page_snapshot", "page_click", "page_screenshot"}; !slices.Equal(names, want) {
		t.Errorf("the functions are %v, want %v", names, want)
	}
	for name, want := range map[string]policies.Effect{"page_snapshot": policies.Read, "page_screenshot": policies.Read, "page_click": policies.SideEffect, "page_type": policies.Unknown} {
		if got := acts.Effect(name); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	place := runtime.Place{Encoding: harmony.O200kHarmony(), Scratch: t.TempDir()}
	var open []tools.Tool
	for _, g := range granted {
		tool, err := g.Open(t.Context(), place)
		if err != nil {
			t.Fatal(err)
		}
		defer tool.Close()
		open = append(open, tool)
	}
	limits := tools.Limits{Time: time.Minute, Output: 1 << 16, Memory: 2 << 30}
	for _, c := range []struct{ name, args, want string }{
		{"functions.page_snapshot", `{}`, "No pages to access!"},
		{"browser.open", fmt.Sprintf(`{"id": %q}`, srv.URL), "[0] Shop"},
		{"functions.page_snapshot", `{}`, `(e1) button "Save"`},
		{"functions.page_click", `{"ref": 1}`, "must be string"},
		{"functions.page_click", `{"ref": "e1"}`, "New text: Saved."},
		{"functions.page_screenshot", `{}`, "Kept for the user: screenshot-1.png"},
		{"functions.page_type", `{"ref": "e1", "text": "x"}`, "there is no function"},
	} {
		namespace, function, _ := strings.Cut(c.name, ".")
		tool := open[0]
		if namespace == "functions" {
			tool = open[1]
		}
		r, err := tool.Call(t.Context(), tools.Call{Tool: namespace, Function: function, Args: c.args, Limits: limits})
		if err != nil || !strings.Contains(r.Text, c.want) {
			t.Errorf("%s %s: %+v, %v; want %q", c.name, c.args, r, err, c.want)
		}
		if (len(r.Artifacts) > 0) != (function == "page_screenshot") {
			t.Errorf("%s: artifacts %v", c.name, r.Artifacts)
		}
	}
	open[0].Close()
	if _, err := os.Stat(filepath.Join(place.Scratch, "network.har")); err != nil {
		t.Error(err)
	}
}
