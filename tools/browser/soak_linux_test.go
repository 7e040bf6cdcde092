package browser

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestSoak does task after task, each with a browser of its own, of which some
// are killed in the middle. Nothing may be left: no process, no file, no
// goroutine, no folder, no memory. AGENT_BROWSER_TASKS says how many (4).
func TestSoak(t *testing.T) {
	needChromium(t)
	n := 4
	if s := os.Getenv("AGENT_BROWSER_TASKS"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	temp, err := os.MkdirTemp("", "soak-*")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(temp)
	if err := os.Chmod(temp, 0o755); err != nil { // where we are root, the browser is another user
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", temp)
	srv := site(map[string]string{"/": `text/html|<title>T</title><p>text <a href=/next>next</a></p><script>open("/next"); document.body.append("by script")</script>`,
		"/next": "text/html|<p>another"})
	defer srv.Close()
	task := func(i int) {
		b, err := Open(t.Context(), Options{Allow: []string{srv.Listener.Addr().String()}, JavaScript: true, Tokens: o200k})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		if r := open(t, b, srv.URL+"/"); r.Failed || !strings.Contains(r.Text, "by script") {
			t.Fatalf("task %d: %+v", i, r)
		}
		if i%4 == 3 {
			b.web.chromium.Kill()
		}
		if r := call(t, b, "open", `{"id": 0, "cursor": 0}`); r.Failed || !strings.Contains(r.Text, "another") {
			t.Fatalf("task %d: %+v", i, r)
		}
		if r := call(t, b, "find", `{"pattern": "TEXT", "cursor": 0}`); r.Failed || !strings.Contains(r.Text, "match at") {
			t.Fatalf("task %d: %+v", i, r)
		}
	}
	for i := range 2 { // fill caches
		task(i)
	}
	before := takeStock(t, srv.CloseClientConnections)
	for i := range n {
		task(i)
	}
	after := takeStock(t, srv.CloseClientConnections)
	t.Logf("before %+v, after %d tasks %+v", before, n, after)
	if after.processes > 0 || after.folders > 0 || after.files > before.files || after.goroutines > before.goroutines || after.memory-before.memory > 64<<20 {
		t.Error("something was left")
	}
}

// stock is what this process holds.
type stock struct {
	processes, folders, files, goroutines int
	memory                                int64 // resident
}

func takeStock(t *testing.T, idle func()) stock {
	t.Helper()
	var s stock
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		idle() // what the server holds is not counted
		if now := runtime.NumGoroutine(); now == s.goroutines {
			break
		} else {
			s.goroutines = now
		}
	}
	debug.FreeOSMemory()
	parent := "\nPPid:\t" + strconv.Itoa(os.Getpid()) + "\n"
	statuses, _ := filepath.Glob("/proc/[0-9]*/status")
	for _, at := range statuses {
		if b, err := os.ReadFile(at); err == nil && bytes.Contains(b, []byte(parent)) {
			s.processes++
		}
	}
	folders, err := os.ReadDir(os.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s.folders = len(folders)
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	s.files = len(files)
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	pages, _ := strconv.ParseInt(strings.Fields(string(statm))[1], 10, 64)
	s.memory = pages * int64(os.Getpagesize())
	return s
}
