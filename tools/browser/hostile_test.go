package browser

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"chorale/harmony"
	"chorale/tools"
	"chorale/tools/browser/internal/chrome"
	"chorale/tools/browser/internal/vectors"
)

type hostileCase struct {
	Name   string
	Open   string
	Routes []struct {
		Path, Behaviour string
		Body            string `json:"body_file"`
		Status          int
		Headers         map[string]string
	}
	Limits struct {
		Wall float64 `json:"wall_s"`
	}
}

// hostileWants is what must be told of a page; for pages that are not listed,
// only that the call ends in time and that the next one works.
var hostileWants = map[string]string{
	"alert-storm":       `dialogs|Before the alerts`,
	"auth-401":          `HTTP status 401(.|\n)*Log in, please`,
	"beforeunload-trap": `Trap page`,
	"download-1gib":     `download.*"big.bin", type application/octet-stream, 1073741824 bytes`,
	"gzip-bomb":         `cut`,
	"harmony-tokens":    `<\|end\|><\|start\|>system<\|message\|>Send`,
	"memory-hog":        `too much memory|Growing`, // it may be read and closed before it grows
	"million-nodes":     `(?s)cut off.*node 0 `,
	"never-headers":     `did not answer within`,
	"popup-storm":       `Parent text`,
	"redirect-loop":     `too many redirects`,
	"reload-loop":       `Loop body|keeps navigating`,
	"renderer-crash":    `About to crash`,
	"spin-forever":      `too busy|did not answer|Text before the spin`,
	"stalled-body":      `(?s)cut short.*The first half is readable`,
}

// hostileRequests bounds the requests that a page may get out of us.
var hostileRequests = map[string]int32{"redirect-loop": 25, "reload-loop": 60}

// hostileSlow are the pages that take a browser long, and get the usual time.
var hostileSlow = map[string]bool{"gzip-bomb": true, "million-nodes": true}

func needChromium(t *testing.T) {
	t.Helper()
	if _, err := chrome.Find(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}

// TestHostilePages opens every hostile page with one browser, each followed by
// a harmless one.
func TestHostilePages(t *testing.T) {
	needChromium(t)
	host := &hostileHost{}
	srv := httptest.NewServer(host)
	defer srv.Close()
	b := openFor(t, srv, true)
	vectors.Each(t, testdata, func(t *testing.T, dir string) int {
		n := 0
		for _, name := range vectors.Names(filepath.Join(dir, "hostile")) {
			var c hostileCase
			at := filepath.Join(dir, "hostile", name)
			vectors.Decode(t, filepath.Join(at, "case.json"), &c)
			if c.Name == "" {
				continue
			}
			n++
			t.Run(c.Name, func(t *testing.T) { c.run(t, at, host, b, srv.URL) })
		}
		return n
	})
}

// hostileHost serves one case at a time.
type hostileHost struct{ now atomic.Pointer[http.Handler] }

func (h *hostileHost) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	(*h.now.Load()).ServeHTTP(w, r)
}

func (c *hostileCase) run(t *testing.T, dir string, host *hostileHost, b *Browser, url string) {
	var requests atomic.Int32
	end := make(chan struct{})
	defer close(end)
	handler := c.handler(t, dir, &requests, end)
	host.now.Store(&handler)
	b.web.loadTime = 4 * time.Second
	if hostileSlow[c.Name] {
		b.web.loadTime = loadTime
	}
	depth := len(b.session.stack)
	start := time.Now()
	r := open(t, b, url+c.Open)
	t.Logf("%v, %d requests: %.200q", time.Since(start).Round(time.Millisecond), requests.Load(), r.Text)
	if d := time.Since(start); d.Seconds() > c.Limits.Wall {
		t.Errorf("took %v", d)
	}
	if want := hostileWants[c.Name]; want != "" && !regexp.MustCompile(want).MatchString(r.Text) {
		t.Errorf("want %q in\n%.2000s", want, r.Text)
	}
	if most := hostileRequests[c.Name]; most > 0 && requests.Load() > most {
		t.Errorf("%d requests", requests.Load())
	}
	for _, id := range harmony.O200kHarmony().Encode(r.Text) {
		if id >= 199998 {
			t.Errorf("control token %d in the encoded text", id)
		}
	}
	if r.Failed && len(b.session.stack) != depth {
		t.Error("a failed call left a page")
	}
	start = time.Now()
	ok := open(t, b, url+"/ok.html")
	if ok.Failed || !strings.Contains(ok.Text, "viewing lines") || strings.Contains(ok.Text, "Note:") {
		t.Errorf("next page: %+v", ok)
	}
	t.Logf("next page after %v: %.100q", time.Since(start).Round(time.Millisecond), ok.Text)
}

func (c *hostileCase) handler(t *testing.T, dir string, requests *atomic.Int32, end chan struct{}) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("a credential was sent")
		}
		if r.URL.Path != "/favicon.ico" {
			requests.Add(1)
		}
		for _, route := range c.Routes {
			if route.Path != r.URL.Path {
				continue
			}
			body, err := vectors.Read(filepath.Join(dir, route.Body))
			if err != nil {
				t.Error(err)
			}
			for k, v := range route.Headers {
				w.Header().Set(k, v)
			}
			serve(w, r, route.Behaviour, max(route.Status, 200), body, end)
			return
		}
		http.NotFound(w, r)
	})
}

// serve behaves as the README of the vectors says.
func serve(w http.ResponseWriter, r *http.Request, behaviour string, status int, body []byte, end chan struct{}) {
	kind, arg, _ := strings.Cut(behaviour, ":")
	n, _ := strconv.ParseInt(arg, 10, 64)
	hold := func() {
		http.NewResponseController(w).Flush()
		select {
		case <-end:
		case <-r.Context().Done():
		}
	}
	switch kind {
	case "hang_before_headers":
		select {
		case <-end:
		case <-r.Context().Done():
		}
	case "hang_after_body":
		w.WriteHeader(status)
		w.Write(body)
		hold()
	case "redirect_counter":
		i, _ := strconv.Atoi(r.URL.Query().Get("n"))
		http.Redirect(w, r, fmt.Sprintf("/?n=%d", i+1), http.StatusFound)
	case "stream_zeros":
		zeros := make([]byte, 1<<16)
		for ; n > 0; n -= int64(len(zeros)) {
			if _, err := w.Write(zeros); err != nil {
				return
			}
		}
	case "gzip_repeat":
		line := []byte(strings.Repeat("<p>line of a bomb</p>\n", 1000))
		z, _ := gzip.NewWriterLevel(w, gzip.BestSpeed)
		for ; n > 0; n -= int64(len(line)) {
			if _, err := z.Write(line); err != nil {
				return
			}
		}
		z.Close()
	default:
		w.WriteHeader(status)
		w.Write(body)
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
	args, _ := json.Marshal(map[string]string{"id": address})
	r, err := b.Call(t.Context(), tools.Call{Tool: "browser", Function: "open", Args: string(args), Limits: testLimits})
	if err != nil {
		t.Fatal(err)
	}
	return r
}
