package browser

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"chorale/tools"
)

// TestRendered reads what only a browser knows: scripts, frames, shadow roots,
// base addresses, and documents that are no HTML.
func TestRendered(t *testing.T) {
	needChromium(t)
	pages := map[string]string{
		"/app": `text/html|<title> App
			</title><base href="/d/"><div id=host></div><iframe src="/inner"></iframe><iframe srcdoc="<p>srcdoc text</p>"></iframe>
			<script>document.getElementById("host").attachShadow({mode: "open"}).innerHTML = "<p>in the shadow</p>";
			document.body.insertAdjacentHTML("beforeend", "<p>by script <a href=x>rel</a></p>")</script>`,
		"/inner": `text/html|<p>in a frame <a href="deep">deep</a></p>`,
		"/away":  `text/html|<p>stay</p><img src="http://10.0.0.1/x"><script>location = "http://127.0.0.2/"</script>`,
	}
	for path, body := range documents {
		if pages[path] == "" {
			pages[path] = body
		}
	}
	srv := site(pages)
	defer srv.Close()
	b := openFor(t, srv, true)
	r := open(t, b, srv.URL+"/app")
	for _, want := range []string{"[0] App (", "in the shadow", "in a frame 【0†deep】", "srcdoc text", "by script 【1†rel】"} {
		if !strings.Contains(r.Text, want) {
			t.Errorf("want %q in %s", want, r.Text)
		}
	}
	if r := call(t, b, "open", `{"id": 1}`); !strings.Contains(r.Text, "café") {
		t.Errorf("link under a base: %+v", r)
	}
	for path, want := range map[string]string{
		"/text": "L3:   two <b>", "/json": `{"a": [1, 2]}`, "/csv": "L3: 1,2", "/feed": "<rss><title>t</title></rss>",
		"/data.bin": "a download, not a page", "/book.epub": "type application/epub", "/none": "HTTP status 404",
		"/away": "not allowed",
	} {
		if r := open(t, b, srv.URL+path); !strings.Contains(r.Text, want) {
			t.Errorf("%s: want %q in %+v", path, want, r)
		}
	}
	b.web.chromium.Kill()
	if r := open(t, b, srv.URL+"/app"); r.Failed || !strings.Contains(r.Text, "by script") {
		t.Errorf("after the browser was killed: %+v", r)
	}
	if r := call(t, b, "open", `{"cursor": 0, "loc": 1}`); r.Failed || !strings.Contains(r.Text, "in the shadow") {
		t.Errorf("a page read before: %+v", r)
	}
}

// TestKilled ends a process that has a browser open as hard as can be, and
// looks for what it leaves.
func TestKilled(t *testing.T) {
	needChromium(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "BROWSER_TEST_CHILD=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	var dir string
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if n, _ := fmt.Sscanf(lines.Text(), "browser %d %s", &pid, &dir); n == 2 {
			break
		}
	}
	if pid == 0 {
		t.Fatal("the child opened no page")
	}
	cmd.Process.Kill()
	io.Copy(io.Discard, out)
	cmd.Wait()
	gone(t, pid)
	srv := site(documents)
	defer srv.Close()
	open(t, openFor(t, srv, true), srv.URL+"/") // starting again clears up
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the folder %s of the killed browser is left", dir)
	}
}

// gone waits until no process of the browser's group is left, not even one that
// has ended but was not yet waited for by init.
func gone(t *testing.T, pid int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); syscall.Kill(-pid, 0) == nil; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			syscall.Kill(-pid, syscall.SIGKILL)
			t.Fatal("browser processes outlive their owner by 10 s")
		}
	}
}

// TestMain lets the test binary be the program that TestKilled kills.
func TestMain(m *testing.M) {
	if os.Getenv("BROWSER_TEST_CHILD") == "" {
		os.Exit(m.Run())
	}
	srv := site(documents)
	b, err := Open(context.Background(), Options{Allow: []string{srv.Listener.Addr().String()}, JavaScript: true, Tokens: o200k})
	if err != nil {
		log.Fatal(err)
	}
	r, err := b.Call(context.Background(), openCall(srv.URL+"/"))
	if err != nil || r.Failed {
		log.Fatal(r, err)
	}
	fmt.Printf("browser %d %s\n", b.web.chromium.Pid(), b.web.chromium.Dir())
	time.Sleep(time.Minute)
}

// TestClosedWhileLoading ends calls in the middle of a page, by their time limit
// and by Close, which leaves nothing.
func TestClosedWhileLoading(t *testing.T) {
	needChromium(t)
	e := &echo{}
	srv := httptest.NewServer(e)
	defer srv.Close()
	b := openFor(t, srv, true)
	short := openCall(srv.URL + "/endless")
	short.Limits.Time = 6 * time.Second
	if r, err := b.Call(t.Context(), short); err != nil || !r.Failed {
		t.Errorf("time limit: %+v, %v", r, err)
	}
	pid := b.web.chromium.Pid()
	ended := make(chan error, 1)
	go func() {
		_, err := b.Call(t.Context(), openCall(srv.URL+"/endless"))
		ended <- err
	}()
	time.Sleep(time.Second)
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; err == nil {
		t.Error("a closed call gave no error")
	}
	gone(t, pid)
	if _, err := b.Call(t.Context(), tools.Call{Tool: "browser", Function: "open", Limits: testLimits}); err == nil {
		t.Error("a call after Close gave no error")
	}
}

// TestKilledInACall kills the browser while it loads a page: the call says so, at
// once, pages that were read can still be read, and the next call starts another.
func TestKilledInACall(t *testing.T) {
	needChromium(t)
	asked := make(chan struct{}, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		switch r.URL.Path {
		case "/endless":
			asked <- struct{}{}
			<-r.Context().Done()
		default:
			io.WriteString(w, "<title>T</title><p>a fact")
		}
	}))
	defer srv.Close()
	b := openFor(t, srv, true)
	b.web.loadTime = time.Minute
	open(t, b, srv.URL+"/")
	pid := b.web.chromium.Pid()
	go func() {
		<-asked
		syscall.Kill(pid, syscall.SIGKILL)
	}()
	limits := testLimits
	limits.Time = 2 * time.Minute
	began := time.Now()
	r := openWithin(t, b, srv.URL+"/endless", limits)
	if !r.Failed || !strings.Contains(r.Text, "the browser ended while it opened the page") || time.Since(began) > 30*time.Second {
		t.Errorf("after %v: %+v", time.Since(began), r)
	}
	if r := call(t, b, "find", `{"pattern": "fact"}`); !strings.Contains(r.Text, "match at") {
		t.Errorf("a page read before: %+v", r)
	}
	gone(t, pid)
	if r := open(t, b, srv.URL+"/"); r.Failed || b.web.chromium.Pid() == pid {
		t.Errorf("afterwards: %+v", r)
	}
}

// TestTroublesome opens pages that flood, block or nest, besides the hostile
// ones of the vectors.
func TestTroublesome(t *testing.T) {
	needChromium(t)
	scripts := map[string]string{
		"console":  `setInterval(() => { for (let i = 0; i < 2000; i++) console.log("x".repeat(1000), i) }, 1)`,
		"prompts":  `for (let i = 0; i < 5; i++) { confirm("a"); prompt("b") } document.body.append("answered")`,
		"nesting":  `let e = document.body; for (let i = 0; i < 2000; i++) { const d = document.createElement("div"); e.append(d); e = d } e.append("deep")`,
		"workers":  `for (let i = 0; i < 2; i++) new Worker(URL.createObjectURL(new Blob(["for(;;);"])))`,
		"leaving":  `location = "about:blank"`,
		"download": `const a = document.createElement("a"); a.href = "/data.bin"; a.click(); document.body.append("offered")`,
		"redefine": `Object.prototype.toJSON = () => "forged"; Document.prototype.querySelector = () => { throw 1 }; document.createTreeWalker = null`,
	}
	wants := map[string]string{"prompts": "answered", "nesting": "deep", "download": "offered", "leaving": "can not be opened"}
	pages := map[string]string{"/data.bin": documents["/data.bin"]}
	for name, script := range scripts {
		pages["/"+name] = "text/html|<p>Before.</p><script>" + script + "</script>"
	}
	srv := site(pages)
	defer srv.Close()
	b := openFor(t, srv, true)
	for name := range scripts {
		start := time.Now()
		r := open(t, b, srv.URL+"/"+name)
		want := wants[name]
		if want == "" {
			want = "Before."
		}
		if !strings.Contains(r.Text, want) {
			t.Errorf("%s: want %q in %+v", name, want, r)
		}
		t.Logf("%s: %v", name, time.Since(start).Round(time.Millisecond))
	}
}
