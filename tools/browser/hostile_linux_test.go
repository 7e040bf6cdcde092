package browser

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"chorale/harmony"
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
var hostileRequests = map[string]int32{"redirect-loop": 25, "reload-loop": 60, "popup-storm": 8}

// hostileSlow are the pages whose size takes a browser long. They get all the
// time there is, and what they may take is asked of the processor's time, which
// does not depend on what else the machine does: it must fit in the usual limits.
var hostileSlow = map[string]bool{"gzip-bomb": true, "million-nodes": true}

const (
	hostileMemory = memoryFactor * 256 << 20 // that our own process, which serves the page too, may grow by
	patience      = 2 * time.Minute
)

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
	limits := testLimits
	if hostileSlow[c.Name] {
		b.web.loadTime, limits.Time = patience, 2*patience
	}
	depth := len(b.session.stack)
	memory := ownMemory(t)
	start, before := time.Now(), processorTime(t, b, true)
	r := openWithin(t, b, url+c.Open, limits)
	took, used := time.Since(start), processorTime(t, b, true)-before
	grew := ownPeak(t) - memory
	t.Logf("%v, %v of the processor, %d MiB of ours, %d requests: %.200q", took.Round(time.Millisecond), used, grew>>20, requests.Load(), r.Text)
	if hostileSlow[c.Name] {
		took = used
	}
	if took.Seconds() > c.Limits.Wall {
		t.Errorf("took %v", took)
	}
	if grew > hostileMemory {
		t.Errorf("our process grew by %d MiB", grew>>20)
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
	if c.Name == "spin-forever" {
		start, before = time.Now(), processorTime(t, b, false)
		time.Sleep(500 * time.Millisecond)
		if used := processorTime(t, b, false) - before; used > time.Since(start)/2 {
			t.Errorf("afterwards the browser uses %v of the processor in %v", used, time.Since(start))
		}
	}
}

// processorTime is what the living processes of the browser have used, and those
// that ended if they count too. It is 0 for a browser that is not there yet.
func processorTime(t *testing.T, b *Browser, ended bool) time.Duration {
	t.Helper()
	if b.web.chromium == nil {
		return 0
	}
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	ticks := 0
	for _, at := range lines {
		if line, err := os.ReadFile(at); err != nil || !bytes.Contains(line, []byte(b.web.chromium.Dir())) {
			continue
		}
		stat, _ := os.ReadFile(filepath.Join(filepath.Dir(at), "stat"))
		_, rest, _ := bytes.Cut(stat, []byte(") ")) // the name may hold spaces
		if fields := strings.Fields(string(rest)); len(fields) > 14 {
			times := fields[11:15] // utime, stime, cutime, cstime: proc(5)
			if !ended {
				times = times[:2]
			}
			for _, f := range times {
				n, _ := strconv.Atoi(f)
				ticks += n
			}
		}
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// ownMemory is what this process has in memory. It forgets the peak.
func ownMemory(t *testing.T) int64 {
	t.Helper()
	debug.FreeOSMemory()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		t.Fatal(err)
	}
	return ownPeak(t)
}

// ownPeak is the most that this process had in memory since ownMemory.
func ownPeak(t *testing.T) int64 {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	var kib int64
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		t.Fatal(err)
	}
	return kib << 10
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
