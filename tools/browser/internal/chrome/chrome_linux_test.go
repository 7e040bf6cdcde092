package chrome

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"chorale/internal/wall"
)

var testLimits = Limits{Time: 10 * time.Second, Memory: 1 << 30}

// start runs Chromium behind a proxy that reaches the server only.
func start(t testing.TB, h http.Handler, nojail bool) (*Browser, string) {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return startFor(t, []string{srv.Listener.Addr().String()}, nojail), srv.URL
}

func startFor(t testing.TB, allow []string, nojail bool) *Browser {
	t.Helper()
	return startWith(t, allow, Config{NoJail: nojail})
}

func startWith(t testing.TB, allow []string, c Config) *Browser {
	t.Helper()
	if _, err := Find(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	rule, err := wall.ParseRule(allow)
	if err != nil {
		t.Fatal(err)
	}
	c.Serve = func(l net.Listener) io.Closer {
		proxy := wall.NewProxy(l, &wall.Dialer{Rule: rule}, wall.Limits{Body: 1 << 20})
		proxy.Allow(64<<20, 1<<20)
		return proxy
	}
	b, err := Start(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func page(html string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if r.URL.Path != "/" {
			http.NotFound(w, r)
			return
		}
		io.WriteString(w, html)
	})
}

// TestProcess loads a page and looks at the processes: none runs as root, the
// renderers are in Chromium's sandbox, and none is left after Close; in a jail
// and outside of one.
func TestProcess(t *testing.T) {
	t.Run("jailed", func(t *testing.T) { testProcess(t, false) })
	t.Run("open", func(t *testing.T) { testProcess(t, true) })
}

func testProcess(t *testing.T, nojail bool) {
	b, url := start(t, page(`<title>T</title><p>static</p><script>document.body.append("by script")</script>`), nojail)
	began := time.Now()
	d, err := b.Load(t.Context(), url+"/", testLimits)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("loaded in %v", time.Since(began))
	if d.Title != "T" || d.Status != 200 || d.Type != "text/html" || d.URL != url+"/" || !strings.Contains(d.HTML, "by script") || d.Note != "" {
		t.Errorf("got %+v", d)
	}
	if nojail {
		stranger(t, b.process.proxy.(*wall.Proxy).Addr(), url)
	} else {
		for _, address := range []string{"file:///etc/passwd", "file:///", "view-source:" + url, "chrome://version/", "devtools://devtools/bundled/inspector.html"} {
			if d, err := b.Load(t.Context(), address, testLimits); err == nil || !strings.Contains(err.Error(), "does not open that address") {
				t.Errorf("opened %s: %+v, %v", address, d, err)
			}
		}
	}
	children := b.process.children()
	renderers := 0
	for _, c := range children {
		status, err := os.ReadFile("/proc/" + strconv.Itoa(c.pid) + "/status")
		if err != nil {
			continue
		}
		s := string(status)
		if strings.Contains(s, "\nUid:\t0\t") {
			t.Errorf("process %d runs as root", c.pid)
		}
		if c.renderer {
			renderers++
			if !strings.Contains(s, "\nSeccomp:\t2") || !strings.Contains(s, "\nNoNewPrivs:\t1") || !strings.Contains(s, "\nCapEff:\t0000000000000000") {
				t.Errorf("renderer %d is not sandboxed:\n%s", c.pid, s)
			}
		}
		for _, kind := range []string{"net", "pid_for_children", "mnt", "user", "ipc"} {
			ours, err1 := os.Readlink("/proc/self/ns/" + kind)
			its, err2 := os.Readlink("/proc/" + strconv.Itoa(c.pid) + "/ns/" + kind)
			if !nojail && ours == its && err1 == nil && err2 == nil {
				t.Errorf("process %d shares our %s namespace", c.pid, kind)
			}
		}
		line, _ := os.ReadFile("/proc/" + strconv.Itoa(c.pid) + "/cmdline")
		if strings.Contains(string(line), "--no-sandbox") {
			t.Errorf("process %d: %q", c.pid, line)
		}
	}
	if len(children) < 3 || renderers == 0 {
		t.Errorf("%d processes, %d renderers", len(children), renderers)
	}
	began = time.Now()
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	t.Logf("closed in %v", time.Since(began))
	if left := b.process.children(); len(left) != 0 {
		t.Errorf("%d processes are left", len(left))
	}
	if _, err := os.Stat(b.process.dir); !os.IsNotExist(err) {
		t.Errorf("folder %s is left", b.process.dir)
	}
	if _, err := b.Load(context.Background(), url, testLimits); err == nil {
		t.Error("loaded without a browser")
	}
}

// TestManyPages loads page after page in one browser, which open windows and
// start workers: no tab and no process is left of any, and the browser does not
// grow. AGENT_BROWSER_TASKS says how many (8).
func TestManyPages(t *testing.T) {
	n := 8
	if s := os.Getenv("AGENT_BROWSER_TASKS"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	b, url := start(t, page(`<p>text</p><script>open("about:blank"); new Worker(URL.createObjectURL(new Blob(["postMessage(1)"])));
		localStorage.x = "x".repeat(1 << 20); document.body.append("by script")</script>`), false)
	type left struct {
		tabs, processes int
		size            int64
	}
	look := func() (l left) {
		var got struct{ TargetInfos []struct{ TargetID string } }
		if err := b.conn.call(t.Context(), "", "Target.getTargets", nil, &got); err != nil {
			t.Fatal(err)
		}
		children := b.process.children()
		for _, c := range children {
			l.size += resident(c.pid) >> 20
		}
		l.tabs, l.processes = len(got.TargetInfos), len(children)
		return l
	}
	var first left
	for i := range n + 4 {
		d, err := b.Load(t.Context(), url+"/", testLimits)
		if err != nil || !strings.Contains(d.HTML, "by script") {
			t.Fatalf("page %d: %+v, %v", i, d, err)
		}
		if i == min(n, 3) { // the first ones fill caches
			first = look()
		}
	}
	var last left
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) { // one may still be ending
		last = look()
		if last.tabs <= first.tabs && last.processes <= first.processes+1 && last.size-first.size <= 64 {
			break
		}
		if time.Now().After(end) {
			t.Errorf("after %d pages %+v are left, after the first ones %+v (MiB)", n, last, first)
			break
		}
	}
	t.Logf("after %d pages: %+v; at first %+v", n, last, first)
}

// stranger tries to use a browser's proxy, as another program of this machine.
func stranger(t *testing.T, proxy, url string) {
	t.Helper()
	c, err := net.Dial("tcp", proxy)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET %s/ HTTP/1.1\r\nHost: x\r\n\r\n", url)
	if answer, _ := io.ReadAll(c); len(answer) > 0 {
		t.Errorf("the proxy answered a stranger: %q", answer)
	}
}

// TestTrouble lets pages grow and die while they load: the call ends at once
// and says why, and the same browser goes on.
func TestTrouble(t *testing.T) {
	end, shown := make(chan struct{}), make(chan struct{}, 10)
	b, url := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		switch r.URL.Path {
		case "/never":
			shown <- struct{}{}
			select {
			case <-end:
			case <-r.Context().Done():
			}
		case "/hog":
			io.WriteString(w, `<script>const k = []; setInterval(() => k.push(new Uint8Array(32 << 20).fill(1)), 20)</script><img src=/never>`)
		default:
			io.WriteString(w, `<p>text<img src=/never>`)
		}
	}), false)
	defer close(end)
	patient := Limits{Time: time.Minute, Memory: 1 << 30}
	if _, err := b.Load(t.Context(), url+"/hog", Limits{Time: time.Minute, Memory: 400 << 20}); err == nil || !strings.Contains(err.Error(), "too much memory (over 400 MiB)") {
		t.Errorf("hog: %v", err)
	}
	for len(shown) > 0 {
		<-shown
	}
	killed := make(chan time.Time, 1)
	go func() {
		<-shown
		killed <- time.Now()
		b.process.reap(0)
	}()
	if _, err := b.Load(t.Context(), url+"/", patient); err == nil || !strings.Contains(err.Error(), "crashed") {
		t.Errorf("crash: %v", err)
	}
	select {
	case at := <-killed:
		if d := time.Since(at); d > 20*time.Second {
			t.Errorf("crash: told %v after it", d)
		}
	default:
		t.Error("crash: the page was never shown")
	}
	d, err := b.Load(t.Context(), url+"/", Limits{Time: 2 * time.Second, Memory: 1 << 30})
	if err != nil || !strings.Contains(d.HTML, "text") || !strings.Contains(d.Note, "cut short") {
		t.Errorf("afterwards: %+v, %v", d, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := b.Load(ctx, url+"/never", patient); err == nil {
		t.Error("a page that never came was loaded")
	}
}
