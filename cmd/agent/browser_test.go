package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"chorale/harmony"
	"chorale/policies"
	"chorale/runtime"
	"chorale/tools"
	"chorale/tools/browser"
)

const (
	facts     = "<h1>Shop</h1><p>The candle costs 12 euros.</p><p>The lantern costs 48 euros.</p><p>The code of the garden is 91.</p>"
	plainPage = "<title>Shop</title><body>" + facts + "</body>"
	// Only a browser that runs scripts finds facts on this one.
	scriptPage = "<title>Shop</title><body><script>document.body.innerHTML = '" + facts + "'</script></body>"
)

var citingAnswer = regexp.MustCompile(`^The lantern costs 48 euros\. 【0†(L\d+)】$`)

// TestHeavyBrowser has the embedded model open a page of a local server, read a
// fact and cite it: as the server sends the page, and as Chromium shows it.
func TestHeavyBrowser(t *testing.T) {
	if race {
		t.Skip("the model runs without the race detector")
	}
	for name, tc := range map[string]struct {
		page       string
		javascript bool
	}{"as sent": {plainPage, false}, "in Chromium": {scriptPage, true}} {
		t.Run(name, func(t *testing.T) {
			if tc.javascript {
				needChromium(t)
			}
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/html; charset=utf-8")
				io.WriteString(w, tc.page)
			}))
			defer srv.Close()
			address := srv.URL + "/lantern"
			last, trace := runBrowser(t, "Open "+address+" and tell me how much the lantern costs.", fmt.Sprintf("allow: [%q], javascript: %v", srv.Listener.Addr(), tc.javascript))
			said := citingAnswer.FindStringSubmatch(last.Final) // which line it cites is the model's merit
			if last.ExitCode != 0 || said == nil || !strings.Contains(trace, `\nL6: The lantern costs 48 euros.`) {
				t.Fatalf("the run ended with %+v\n%s", last, trace)
			}
			want := tools.Citation{Cursor: 0, Title: "Shop", URL: address, Lines: said[1]}
			if !slices.Equal(last.Citations, []tools.Citation{want}) {
				t.Errorf("citations %+v, want %+v", last.Citations, want)
			}
		})
	}
}

// TestHeavyBrowserWall: what the task does not name is not reached, and the
// model is told why.
func TestHeavyBrowserWall(t *testing.T) {
	if race {
		t.Skip("the model runs without the race detector")
	}
	reached := 0
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached++ }))
	defer srv.Close()
	last, trace := runBrowser(t, "Open "+srv.URL+"/lantern and tell me how much the lantern costs.", "allow: [shop.example]")
	if reached > 0 || !strings.Contains(trace, "is not allowed: no entry of the task's allow list names it") {
		t.Errorf("%d requests, %+v\n%s", reached, last, trace)
	}
}

// TestHeavyBrowserSearch has the embedded model search by a service, open what
// it found, and cite it.
func TestHeavyBrowserSearch(t *testing.T) {
	if race {
		t.Skip("the model runs without the race detector")
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/search" {
			fmt.Fprintf(w, `{"results": [{"url": "http://%s/lantern", "title": "Shop", "content": "Lanterns and more"}]}`, r.Host)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		io.WriteString(w, plainPage)
	}))
	defer srv.Close()
	last, trace := runBrowser(t, "Search the web and tell me how much the lantern costs.", fmt.Sprintf("allow: [%q], search: {address: %q}", srv.Listener.Addr(), srv.URL))
	if last.ExitCode != 0 || !strings.HasPrefix(last.Final, "The lantern costs 48 euros. 【1†L") || len(last.Citations) != 1 || last.Citations[0].URL != srv.URL+"/lantern" {
		t.Fatalf("the run ended with %+v\n%s", last, trace)
	}
	lock, err := os.ReadFile(filepath.Join(last.Dir, "task.lock.yaml"))
	if err != nil || !strings.Contains(string(lock), "provider: searxng") {
		t.Errorf("the lock does not say what was searched with: %s, %v", lock, err)
	}
}

// runBrowser runs a task that grants the browser with some keys, and returns the
// last line of its stream and the trace.
func runBrowser(t *testing.T, prompt, keys string) (runtime.Result, string) {
	t.Helper()
	dir := t.TempDir()
	t.Chdir(dir)
	t.Setenv("AGENT_DEVICE", "cpu")
	src := fmt.Sprintf("apiVersion: agent/v1\nkind: Task\nname: page\nprompt: %q\nmodel: {ref: pocket, effort: low}\n"+
		"tools: {browser: {%s}}\nlimits: {turns: 4, tokens: 1000}\n", prompt, keys)
	if err := os.WriteFile("task.yaml", []byte(src), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, log bytes.Buffer
	code := execute(context.Background(), []string{"run", "--json", "task.yaml"}, streams{in: os.Stdin, out: &out, err: &log, width: 80, log: newLogger(&log)})
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var last runtime.Result
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil || last.ExitCode != code {
		t.Fatalf("exit code %d, last line %s, %v\n%s", code, lines[len(lines)-1], err, log.String())
	}
	trace, err := os.ReadFile(filepath.Join(last.Dir, "trace.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	return last, string(trace)
}

// TestBrowserWithinPolicies: the hosts of a policy hold in Chromium, whatever the
// task allows: for pages, redirects, frames and what scripts ask for.
func TestBrowserWithinPolicies(t *testing.T) {
	needChromium(t)
	arrived := make(chan string, 100)
	shut := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { arrived <- r.URL.Path }))
	defer shut.Close()
	open := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/away" {
			http.Redirect(w, r, shut.URL+"/redirected", http.StatusFound)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, `<title>Shop</title><body><iframe src="%[1]s/frame"></iframe><img src="%[1]s/image"><p id=p>waiting</p>
			<script>fetch("%[1]s/fetch", {mode: "no-cors"}).finally(() => p.textContent = "asked")</script></body>`, shut.URL)
	}))
	defer open.Close()
	host := func(s *httptest.Server) string { return s.Listener.Addr().String() }
	policy, err := policies.Parse("p.yaml", fmt.Appendf(nil, "apiVersion: agent/v1\nkind: Policy\nlayer: user\nhosts: [%q]\n", host(open)), harmony.User)
	if err != nil {
		t.Fatal(err)
	}
	job, err := runtime.Parse("task.yaml", fmt.Appendf(nil, "apiVersion: agent/v1\nkind: Task\nname: page\nprompt: Go.\ntools: {browser: {allow: [%q, %q], maxPages: 10, javascript: true}}\n", host(open), host(shut)))
	if err != nil {
		t.Fatal(err)
	}
	b, err := newBrowse(job, policies.Default().Narrow(policy).Hosts(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	tool, err := b.grant().Open(t.Context(), runtime.Place{Encoding: harmony.O200kHarmony()})
	if err != nil {
		t.Fatal(err)
	}
	defer tool.Close()
	for address, want := range map[string]string{
		open.URL + "/":     "asked", // the proxy's refusal is an answer to the script
		open.URL + "/away": "a policy does not allow it",
		shut.URL + "/":     "a policy does not allow it",
	} {
		r, err := tool.Call(t.Context(), tools.Call{Tool: "browser", Function: "open", Args: fmt.Sprintf(`{"id": %q}`, address),
			Limits: tools.Limits{Time: time.Minute, Output: 1 << 16, Memory: 2 << 30}})
		if err != nil || !strings.Contains(r.Text, want) {
			t.Errorf("%s: %+v, %v; want %q", address, r, err, want)
		}
	}
	if len(arrived) > 0 {
		t.Errorf("%s arrived at a host that the policy leaves out", <-arrived)
	}
}

// TestBrowserGrant: an entry that means nothing is found before anything runs.
func TestBrowserGrant(t *testing.T) {
	path := filepath.Join(t.TempDir(), "task.yaml")
	for allow, want := range map[string]string{
		"shop.example": "", "127.0.0.1:8080": "", "*.shop.example": "",
		"ftp://shop.example":        `/task.yaml: tools.browser: allow "ftp://shop.example": scheme "ftp": only http and https`,
		"https://shop.example/cart": "is not a host name",
		"shop.example:99999":        "want 1 to 65535",
	} {
		src := fmt.Sprintf("apiVersion: agent/v1\nkind: Task\nname: page\nprompt: Go.\ntools: {browser: {allow: [%q]}}\n", allow)
		if err := os.WriteFile(path, []byte(src), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := validate(path, nil)
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v, want %q", allow, err, want)
		}
	}
}

// needChromium fails a test in CI, and skips it elsewhere, if there is none.
func needChromium(t *testing.T) {
	t.Helper()
	if _, err := browser.FindChromium(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}
