package sandbox

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chorale/internal/sandbox/confine"
	"chorale/internal/wall"
)

// A program with a proxy reaches what the proxy lets it, and nothing directly:
// no port of this machine, no name server, no socket of a file.
func TestProxyIsTheOnlyWayOut(t *testing.T) {
	if err := confine.CanProxy(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%v; allow user namespaces (sysctl kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0)", err)
		}
		t.Skip(err)
	}
	open := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") }))
	defer open.Close()
	shut := httptest.NewServer(http.RedirectHandler(open.URL, http.StatusFound))
	defer shut.Close()
	turning := httptest.NewServer(http.RedirectHandler(shut.URL, http.StatusFound))
	defer turning.Close()
	given := t.TempDir()
	local, err := net.Listen("unix", filepath.Join(given, "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	rule, err := wall.ParseRule([]string{strings.TrimPrefix(open.URL, "http://"), strings.TrimPrefix(turning.URL, "http://")})
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out := NewCapture(1 << 16)
	direct := strings.TrimPrefix(open.URL, "http://")
	p, err := Start(t.Context(), Command{
		Path: self, Args: []string{attempts, "get", open.URL, "get", shut.URL, "get", turning.URL, "tcp", direct, "udp", "8.8.8.8:53", "send", "8.8.8.8:53",
			"unix", filepath.Join(given, "socket"), "tcp", "1.1.1.1:80", "capability", ""},
		Env: []string{"PATH=" + os.Getenv("PATH")}, Stdout: out, Stderr: out, Memory: 1 << 30, Time: time.Minute,
		Box: &confine.Box{Read: []string{self}, Write: []string{given}, Network: true},
		Proxy: func(l net.Listener) io.Closer {
			w := wall.NewProxy(l, &wall.Dialer{Rule: rule}, wall.Limits{Body: 1 << 20})
			w.Allow(1<<20, 1<<20)
			return w
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if code, err := p.Wait(); code != 0 || err != nil {
		t.Fatalf("%d, %v: %s", code, err, out)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	want := []string{"get: done", "get: 403", "get: 403", "tcp: ", "udp: ", "send: ", "unix: ", "tcp: ", "capability: done"}
	if len(lines) != len(want) {
		t.Fatalf("got %q", lines)
	}
	for i, w := range want {
		if !strings.HasPrefix(lines[i], w) || i > 2 && i < 8 && strings.HasSuffix(lines[i], "done") {
			t.Errorf("got %q, want %q", lines[i], w)
		}
	}
}

// get fetches an address as most programs do: by the variables of the proxy.
func get(address string) error {
	u, err := url.Parse(os.Getenv("HTTP_PROXY"))
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{Proxy: http.ProxyURL(u)}, Timeout: 10 * time.Second}
	resp, err := client.Get(address)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s", resp.Status)
	}
	return nil
}
