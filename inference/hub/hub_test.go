package hub

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chorale/inference/hub/hubtest"
	"chorale/internal/secret"
)

const (
	repo  = "owner/model"
	large = "model-00001-of-00001.safetensors"
	small = "config.json"
)

var content = func() []byte {
	b := make([]byte, 1<<20+12345)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}()

// newHub starts a hub and a client that is quick to try again.
func newHub(t *testing.T, files ...hubtest.File) (*hubtest.Server, *Client) {
	t.Helper()
	if files == nil {
		files = []hubtest.File{{Path: large, Data: content, Large: true}, {Path: small, Data: []byte("{}\n")}}
	}
	s := hubtest.New(t, repo, files...)
	return s, newClient(t, s, Options{})
}

func newClient(t *testing.T, s *hubtest.Server, o Options) *Client {
	t.Helper()
	o.Address, o.TLS = s.URL, s.TLS()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	c.span, c.piece, c.first, c.stall = 128<<10, 32<<10, time.Millisecond, 10*time.Second
	t.Cleanup(c.http.CloseIdleConnections)
	return c
}

// log collects events.
type log struct {
	mu  sync.Mutex
	all []Event
}

func (l *log) tell(e Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, e)
}

func (l *log) count(match func(Event) bool) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.all {
		if match(e) {
			n++
		}
	}
	return n
}

func revision(t *testing.T, c *Client) Revision {
	t.Helper()
	r, err := c.Revision(t.Context(), repo, "main", func(Event) {})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func openRoot(t *testing.T, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

// fetched fetches the first file and compares it.
func fetched(t *testing.T, c *Client, dir string, tell func(Event)) error {
	t.Helper()
	r := revision(t, c)
	name, sum, err := c.Fetch(t.Context(), r, r.Files[0], openRoot(t, dir), ".", tell)
	if err != nil {
		return err
	}
	got, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("the file differs from the hub's (%d bytes, %v)", len(got), err)
	}
	if sum != r.Files[0].Digest.SHA256 {
		t.Errorf("sha256 is %s, want %s", sum, r.Files[0].Digest.SHA256)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
	return nil
}

func TestFetch(t *testing.T) {
	s, c := newHub(t)
	l := &log{}
	if err := fetched(t, c, t.TempDir(), l.tell); err != nil {
		t.Fatal(err)
	}
	if n := s.Asked("/blobs/"); n != 9 {
		t.Errorf("%d requests for the file, want 9 parts", n)
	}
	r := revision(t, c)
	dir := t.TempDir()
	name, sum, err := c.Fetch(t.Context(), r, r.Files[1], openRoot(t, dir), ".", l.tell)
	if err != nil || sum != s.Files[1].SHA256() {
		t.Errorf("the small file: sha256 %s, %v", sum, err)
	}
	st, err := os.Stat(filepath.Join(dir, name))
	if err != nil || st.Mode().Perm()&0o077 != 0 {
		t.Errorf("others may read the file: %v, %v", st.Mode(), err)
	}
}

// fault is something that goes wrong with the requests for the large file.
// It sees the request's number, from 1.
type fault func(n int, w http.ResponseWriter, r *http.Request) bool

// onlyLarge counts the requests for the second host.
func onlyLarge(f fault) func(bool, http.ResponseWriter, *http.Request) bool {
	var n atomic.Int64
	return func(large bool, w http.ResponseWriter, r *http.Request) bool {
		return large && f(int(n.Add(1)), w, r)
	}
}

// answer sends the part that was asked for, changed by edit; cut bytes are left
// out at its end and the connection is dropped there.
func answer(w http.ResponseWriter, r *http.Request, cut int, edit func(http.Header, []byte) []byte) bool {
	var at, end int
	if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &at, &end); err != nil {
		panic(err)
	}
	b := bytes.Clone(content[at : end+1])
	h := w.Header()
	h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", at, end, len(content)))
	if edit != nil {
		b = edit(h, b)
	}
	h.Set("Content-Length", fmt.Sprint(len(b)))
	w.WriteHeader(http.StatusPartialContent)
	w.Write(b[:len(b)-cut])
	if cut > 0 {
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	return true
}

// all sends the whole file whatever was asked for.
func all(w http.ResponseWriter, b []byte, cut int) bool {
	w.Header().Set("Content-Length", fmt.Sprint(len(b)))
	w.Write(b[:len(b)-cut])
	if cut > 0 {
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	return true
}

func flip(_ http.Header, b []byte) []byte { b[0] ^= 1; return b }

// TestFaults: whatever goes wrong for a while, the file is there in the end.
func TestFaults(t *testing.T) {
	for name, f := range map[string]fault{
		"the connection drops in the body": func(n int, w http.ResponseWriter, r *http.Request) bool {
			return n%3 == 1 && answer(w, r, 50_000, nil)
		},
		"the connection drops before the answer": func(n int, _ http.ResponseWriter, _ *http.Request) bool {
			if n%2 == 1 {
				panic(http.ErrAbortHandler)
			}
			return false
		},
		"a shorter range than was asked for": func(n int, w http.ResponseWriter, r *http.Request) bool {
			return n < 5 && answer(w, r, 0, func(h http.Header, b []byte) []byte {
				var at int
				fmt.Sscanf(h.Get("Content-Range"), "bytes %d-", &at)
				h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", at, at+999, len(content)))
				return b[:1000]
			})
		},
		"ranges are ignored":                     func(_ int, w http.ResponseWriter, _ *http.Request) bool { return all(w, content, 0) },
		"ranges are ignored, and the body drops": func(n int, w http.ResponseWriter, _ *http.Request) bool { return all(w, content, max(0, 3-n)*300_000) },
		"ranges are ignored now and then":        func(n int, w http.ResponseWriter, _ *http.Request) bool { return n%4 == 0 && all(w, content, 0) },
		"no length": func(_ int, w http.ResponseWriter, _ *http.Request) bool {
			w.(http.Flusher).Flush()
			w.Write(content)
			return true
		},
		"503": func(n int, w http.ResponseWriter, _ *http.Request) bool {
			if n%2 == 1 {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			return n%2 == 1
		},
		"429 with Retry-After": func(n int, w http.ResponseWriter, _ *http.Request) bool {
			if n == 2 {
				w.Header().Set("Retry-After", "0")
				w.WriteHeader(http.StatusTooManyRequests)
			}
			return n == 2
		},
		"a signed address expires": func(n int, w http.ResponseWriter, _ *http.Request) bool {
			if n == 3 {
				w.WriteHeader(http.StatusForbidden)
			}
			return n == 3
		},
		"another range than was asked for": func(n int, w http.ResponseWriter, r *http.Request) bool {
			return n == 2 && answer(w, r, 0, func(h http.Header, b []byte) []byte {
				h.Set("Content-Range", fmt.Sprintf("bytes 7-%d/%d", 6+len(b), len(content)))
				return b
			})
		},
		"the entity tag changes once": func(n int, w http.ResponseWriter, r *http.Request) bool {
			return n == 4 && answer(w, r, 0, func(h http.Header, b []byte) []byte { h.Set("ETag", `"other"`); return b })
		},
		"other content once": func(n int, w http.ResponseWriter, r *http.Request) bool { return n == 2 && answer(w, r, 0, flip) },
		"no byte comes": func(n int, _ http.ResponseWriter, r *http.Request) bool {
			if n == 2 {
				<-r.Context().Done()
			}
			return n == 2
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, c := newHub(t)
			s.Break(onlyLarge(f))
			if name == "no byte comes" {
				c.stall = 300 * time.Millisecond
			}
			if err := fetched(t, c, t.TempDir(), func(Event) {}); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestLies: what stays wrong is an error that says what, and nothing is handed out.
func TestLies(t *testing.T) {
	for name, tc := range map[string]struct {
		fault fault
		hub   func(w http.ResponseWriter, r *http.Request) bool // for the file's address at the hub
		want  string
	}{
		"about the hash": {
			fault: func(_ int, w http.ResponseWriter, r *http.Request) bool { return answer(w, r, 0, flip) },
			want:  "its content has sha256",
		},
		"about the linked hash": {
			hub: func(w http.ResponseWriter, _ *http.Request) bool {
				w.Header().Set("X-Linked-Etag", strings.Repeat("ab", 32))
				return all(w, content, 0)
			},
			want: "sha256 abab",
		},
		"about the length, longer": {
			fault: func(_ int, w http.ResponseWriter, _ *http.Request) bool {
				return all(w, append(bytes.Clone(content), 7), 0)
			},
			want: fmt.Sprintf("%d bytes, listed are %d", len(content)+1, len(content)),
		},
		"about the length, longer and unsaid": {
			fault: func(_ int, w http.ResponseWriter, _ *http.Request) bool {
				w.(http.Flusher).Flush()
				w.Write(append(bytes.Clone(content), 7))
				return true
			},
			want: "more than",
		},
		"about the length, in the range": {
			fault: func(_ int, w http.ResponseWriter, r *http.Request) bool {
				return answer(w, r, 0, func(h http.Header, b []byte) []byte {
					h.Set("Content-Range", strings.Replace(h.Get("Content-Range"), fmt.Sprint(len(content)), "99", 1))
					return b
				})
			},
			want: "99 bytes, listed are",
		},
		"about what it is": {
			fault: func(n int, w http.ResponseWriter, r *http.Request) bool {
				return answer(w, r, 0, func(h http.Header, b []byte) []byte { h.Set("ETag", fmt.Sprintf(`"%d"`, n)); return b })
			},
			want: "changed while it was fetched",
		},
		"nothing but 503": {
			fault: func(_ int, w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(503); return true },
			want:  "503 Service Unavailable (after 3 attempts)",
		},
		"wait an hour": {
			fault: func(_ int, w http.ResponseWriter, _ *http.Request) bool {
				w.Header().Set("Retry-After", "3600")
				w.WriteHeader(429)
				return true
			},
			want: "429",
		},
		"a redirect without encryption": {
			hub: func(w http.ResponseWriter, r *http.Request) bool {
				http.Redirect(w, r, "http://plain.example/file?Signature=secret-signature", http.StatusFound)
				return true
			},
			want: "http://plain.example, which is not encrypted, is refused",
		},
		"redirects for ever": {
			hub: func(w http.ResponseWriter, r *http.Request) bool {
				http.Redirect(w, r, r.URL.Path+"?Signature=secret-signature", http.StatusFound)
				return true
			},
			want: "10 redirects",
		},
		"a token is wanted": {
			hub: func(w http.ResponseWriter, _ *http.Request) bool {
				w.Header().Set("X-Error-Message", "your token hub-token-123 is\u202e not enough")
				w.WriteHeader(http.StatusForbidden)
				return true
			},
			want: "your token [secret models.token] is not enough",
		},
		"nothing but silence": {
			fault: func(_ int, _ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true },
			want:  errStalled.Error(),
		},
		"no server": {
			hub: func(w http.ResponseWriter, r *http.Request) bool {
				http.Redirect(w, r, "https://127.0.0.1:1/x?Signature=secret-signature", http.StatusFound)
				return true
			},
			want: "refused (after 3 attempts)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, _ := newHub(t)
			c := newClient(t, s, Options{Secrets: token(t)})
			c.tries.file = 3
			if name == "nothing but silence" {
				c.stall = 50 * time.Millisecond
			}
			l := &log{}
			r := revision(t, c)
			large := onlyLarge(func(n int, w http.ResponseWriter, r *http.Request) bool { return tc.fault != nil && tc.fault(n, w, r) })
			s.Break(func(second bool, w http.ResponseWriter, r *http.Request) bool {
				return large(second, w, r) || !second && tc.hub != nil && strings.Contains(r.URL.Path, "resolve") && tc.hub(w, r)
			})
			_, _, err := c.Fetch(t.Context(), r, r.Files[0], openRoot(t, t.TempDir()), ".", l.tell)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got %v, want an error with %q", err, tc.want)
			}
			for _, e := range append(l.all, Retrying{Err: err}) {
				if text := fmt.Sprint(e); strings.Contains(text, "ignature") || strings.Contains(text, "hub-token") {
					t.Errorf("a secret is told: %s", text)
				}
			}
		})
	}
}

func token(t *testing.T) secret.Values {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte("hub-token-123\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	v, err := secret.Read(map[string]secret.Source{Token: {File: path}})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestTokenStaysAtTheHub: another host, and another port of the same machine, is
// sent none, also where the way leads back.
func TestTokenStaysAtTheHub(t *testing.T) {
	s, _ := newHub(t)
	c := newClient(t, s, Options{Secrets: token(t)})
	if err := fetched(t, c, t.TempDir(), func(Event) {}); err != nil {
		t.Fatal(err)
	}
	for _, r := range s.Requests() {
		if want := map[bool]string{false: "Bearer hub-token-123"}[r.Large]; r.Authorization != want {
			t.Errorf("%s (large %v) was sent %q, want %q", r.Path, r.Large, r.Authorization, want)
		}
	}
}

// TestResume: what an interrupted call left is not asked for again.
func TestResume(t *testing.T) {
	s, c := newHub(t)
	const second = "the second call"
	var served atomic.Int64
	s.Break(onlyLarge(func(_ int, w http.ResponseWriter, r *http.Request) bool {
		if r.UserAgent() != second {
			return false
		}
		var at, end int64
		fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &at, &end)
		served.Add(end - at + 1)
		return false
	}))
	dir := t.TempDir()
	r := revision(t, c)
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("Ctrl-C")
	_, _, err := c.Fetch(ctx, r, r.Files[0], openRoot(t, dir), ".", func(e Event) {
		if e, ok := e.(Received); ok && e.Done > int64(len(content))/2 {
			cancel(stop)
		}
	})
	if !errors.Is(err, stop) {
		t.Fatalf("interrupted: %v", err)
	}
	had := Pending(openRoot(t, dir), ".", r.Files[0])
	if had < int64(len(content))/2-int64(connections)*c.piece {
		t.Errorf("an interruption at half left %d bytes of %d", had, len(content))
	}
	if err := fetched(t, newClient(t, s, Options{Agent: second}), dir, func(Event) {}); err != nil {
		t.Fatal(err)
	}
	if n := served.Load(); n != int64(len(content))-had {
		t.Errorf("%d bytes were asked for again, want the %d that were missing", n, int64(len(content))-had)
	}
}

// TestLinkInTheWay: a link where the data should go is refused.
func TestLinkInTheWay(t *testing.T) {
	_, c := newHub(t)
	r := revision(t, c)
	dir := t.TempDir()
	if err := os.Symlink(filepath.Join(dir, "target"), filepath.Join(dir, partialName(r.Files[0]))); err != nil {
		t.Fatal(err)
	}
	_, _, err := c.Fetch(t.Context(), r, r.Files[0], openRoot(t, dir), ".", func(Event) {})
	if err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("got %v", err)
	}
}

// TestLists: what is refused of a hub's list.
func TestLists(t *testing.T) {
	entry := func(name string) func(map[string]any) {
		return func(l map[string]any) {
			l["siblings"] = append(l["siblings"].([]any), map[string]any{"rfilename": name, "size": 1, "blobId": strings.Repeat("0", 40)})
		}
	}
	for name, tc := range map[string]struct {
		edit func(map[string]any)
		want string
	}{
		"up":            {entry("../x"), "could lie outside"},
		"up inside":     {entry("a/../../x"), "could lie outside"},
		"absolute":      {entry("/etc/passwd"), "could lie outside"},
		"drive":         {entry(`C:\x`), "could lie outside"},
		"backslash":     {entry(`a\..\..\x`), "could lie outside"},
		"escape":        {entry("a\x1b[2Jb"), "could lie outside"},
		"empty":         {entry(""), "could lie outside"},
		"ours":          {entry(".CHORALE/manifest.json"), "is ours"},
		"twice":         {entry("CONFIG.json"), "another one has the name"},
		"file as dir":   {entry("config.json/x"), "config.json is a file"},
		"dir as file":   {func(l map[string]any) { entry("a/b")(l); entry("a")(l) }, "lies in a folder"},
		"no commit":     {func(l map[string]any) { l["sha"] = "../.." }, "is no commit"},
		"not a list":    {func(l map[string]any) { l["siblings"] = "x" }, "does not answer as a hub does"},
		"negative size": {func(l map[string]any) { entry("y")(l); set(l, "size", -5) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, c := newHub(t)
			s.Relist(tc.edit)
			_, err := c.Revision(t.Context(), repo, "main", func(Event) {})
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func set(l map[string]any, key string, v any) {
	all := l["siblings"].([]any)
	all[len(all)-1].(map[string]any)[key] = v
}

// TestDescribe: a list without sizes is completed by the headers of the files.
func TestDescribe(t *testing.T) {
	s, c := newHub(t)
	s.Relist(func(l map[string]any) {
		for _, e := range l["siblings"].([]any) {
			m := e.(map[string]any)
			delete(m, "size")
			delete(m, "blobId")
			delete(m, "lfs")
		}
	})
	r := revision(t, c)
	for i, want := range []File{
		{large, int64(len(content)), Digest{SHA256: s.Files[0].SHA256()}},
		{small, 3, Digest{GitBlob: s.Files[1].Blob()}},
	} {
		got, err := c.Describe(t.Context(), r, r.Files[i], func(Event) {})
		if err != nil || got != want {
			t.Errorf("got %+v, %v; want %+v", got, err, want)
		}
	}
	s.Break(func(_ bool, w http.ResponseWriter, _ *http.Request) bool { w.Header().Set("ETag", `"1"`); return true })
	if _, err := c.Describe(t.Context(), r, r.Files[0], func(Event) {}); err == nil || !strings.Contains(err.Error(), "no size and hash") {
		t.Errorf("without a hash: got %v", err)
	}
}

// TestListErrors: what a person sees who asks for the wrong thing.
func TestListErrors(t *testing.T) {
	s, c := newHub(t)
	for _, tc := range []struct{ repo, revision, want string }{
		{"model", "main", "want owner/name"},
		{"../x", "main", "want owner/name"},
		{"owner/other", "main", "there is no owner/other at main"},
		{repo, "refs/pr/1", "at refs/pr/1"},
	} {
		if _, err := c.Revision(t.Context(), tc.repo, tc.revision, func(Event) {}); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s@%s: got %v, want %q", tc.repo, tc.revision, err, tc.want)
		}
	}
	if s.Asked("/revision/refs/pr/1") != 1 {
		t.Error("the slashes of a revision were not escaped")
	}
	untrusting, err := New(Options{Address: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := untrusting.Revision(t.Context(), repo, "main", func(e Event) { t.Errorf("tried again: %v", e) }); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a certificate that nobody vouches for: got %v", err)
	}
}

func TestAddresses(t *testing.T) {
	for address, good := range map[string]bool{
		"https://hub.example": true, "https://hub.example:8443/models": true, "http://localhost:8080": true, "http://127.0.0.1": true, "http://[::1]:80": true,
		"": false, "hub.example": false, "http://hub.example": false, "https://": false, "ftp://hub.example": false,
		"https://user:hunter2@hub.example": false, "https://hub.example?x=1": false, "://": false,
	} {
		_, err := New(Options{Address: address})
		if (err == nil) != good {
			t.Errorf("%q: got %v", address, err)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("a password is told: %v", err)
		}
	}
	if _, err := New(Options{Address: "https://hub.example", Proxy: "nowhere"}); err == nil {
		t.Error("a proxy that is no address was taken")
	}
}

// TestProxy: everything goes through the proxy that is set.
func TestProxy(t *testing.T) {
	s, _ := newHub(t)
	var tunnels atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tunnels.Add(1)
		to, err := net.Dial("tcp", r.Host)
		if err != nil || r.Method != http.MethodConnect {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		w.WriteHeader(http.StatusOK)
		from, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		go func() { io.Copy(to, from); to.Close() }()
		io.Copy(from, to)
		from.Close()
	}))
	defer proxy.Close()
	if err := fetched(t, newClient(t, s, Options{Proxy: proxy.URL}), t.TempDir(), func(Event) {}); err != nil {
		t.Fatal(err)
	}
	if tunnels.Load() < 2 {
		t.Errorf("%d connections went through the proxy", tunnels.Load())
	}
}

// TestRetryAfter: the wait is the server's, and all requests keep it.
func TestRetryAfter(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		name, value string
		want        time.Duration
	}{
		{"Retry-After", "7", 7 * time.Second},
		{"Retry-After", "Tue, 01 Jan 2030 00:01:00 GMT", time.Minute},
		{"Retry-After", "-1", -1},
		{"Retry-After", "soon", -1},
		{"RateLimit", `"resolvers";r=0;t=55`, 55 * time.Second},
		{"X-Other", "1", -1},
	} {
		if got := waitOf(http.Header{http.CanonicalHeaderKey(tc.name): {tc.value}}, now); got != tc.want {
			t.Errorf("%s: %s means %v, want %v", tc.name, tc.value, got, tc.want)
		}
	}
	s, c := newHub(t)
	s.Break(onlyLarge(func(n int, w http.ResponseWriter, _ *http.Request) bool {
		if n == 1 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(429)
		}
		return n == 1
	}))
	l, begun := &log{}, time.Now()
	if err := fetched(t, c, t.TempDir(), l.tell); err != nil {
		t.Fatal(err)
	}
	if time.Since(begun) < time.Second {
		t.Error("the file came before the wait was over")
	}
	if n := l.count(func(e Event) bool { r, ok := e.(Retrying); return ok && r.Wait == time.Second }); n != 1 {
		t.Errorf("%d attempts told of a wait of a second, want 1", n)
	}
}

// TestJournal: spans join, gaps are found, and a torn or wrong line ends what is
// believed.
func TestJournal(t *testing.T) {
	root := openRoot(t, t.TempDir())
	p, err := openPartial(root, "x", 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []span{{50, 60}, {0, 10}, {10, 20}, {55, 70}, {30, 30}} {
		if err := p.commit(s); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := fmt.Sprint(p.missing(25)), "[{20 45} {45 50} {70 95} {95 100}]"; got != want {
		t.Errorf("missing %s, want %s", got, want)
	}
	p.close()
	for tail, want := range map[string]int64{
		"": 40, "20 25\n": 45, "20 25": 40, "20 1": 40, "20 200\n": 40, "-5 3\n": 40, "9 9\n": 40, "rubbish\n20 25\n": 40, "\x00\x00\x00\x00": 40,
	} {
		write(t, root, "y", make([]byte, 100))
		write(t, root, "y"+journalSuffix, []byte("50 60\n0 10\n10 20\n"+tail))
		p, err := openPartial(root, "y", 100)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.got(); got != want-10 {
			t.Errorf("%q: %d bytes, want %d", tail, got, want-10)
		}
		if err := p.commit(span{90, 95}); err != nil {
			t.Fatal(err)
		}
		p.close()
		if p, err = openPartial(root, "y", 100); err != nil || p.got() != want-5 {
			t.Errorf("%q: after one more span: %v", tail, err)
		}
		p.close()
	}
	write(t, root, "z"+journalSuffix, []byte("0 100\n"))
	if p, err = openPartial(root, "z", 100); err != nil || p.got() != 0 {
		t.Errorf("a journal without its data is believed: %v", err)
	}
	p.close()
}

func write(t *testing.T, root *os.Root, name string, b []byte) {
	t.Helper()
	if err := root.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
