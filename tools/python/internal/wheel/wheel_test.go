package wheel

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// content is a wheel's bytes: enough that they come in several reads.
var content = func() []byte {
	b := make([]byte, 300_000)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b)
	return b
}()

func pinned() Wheel {
	sum := sha256.Sum256(content)
	return Wheel{Project: "some-wheel", Version: "1.2", File: "some_wheel-1.2-py3-none-any.whl", SHA256: hex.EncodeToString(sum[:]), Size: int64(len(content))}
}

// index is a package index whose behaviour a test sets.
type index struct {
	*httptest.Server
	page     func(w http.ResponseWriter, r *http.Request)
	file     func(w http.ResponseWriter, r *http.Request, n int)
	requests atomic.Int32 // of the file
}

func serve(t *testing.T) *index {
	x := &index{page: jsonPage(""), file: func(w http.ResponseWriter, r *http.Request, _ int) { whole(w, r) }}
	mux := http.NewServeMux()
	mux.HandleFunc("/simple/some-wheel/", func(w http.ResponseWriter, r *http.Request) { x.page(w, r) })
	mux.HandleFunc("/files/", func(w http.ResponseWriter, r *http.Request) { x.file(w, r, int(x.requests.Add(1))) })
	x.Server = httptest.NewServer(mux)
	t.Cleanup(x.Close)
	return x
}

func (x *index) source() Source {
	return Source{Index: x.URL + "/simple", Pause: time.Millisecond, Stall: 5 * time.Second, Env: func(string) string { return "" }}
}

func jsonPage(sum string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", jsonType)
		fmt.Fprintf(w, `{"meta":{"api-version":"1.1"},"name":"some-wheel","files":[
			{"filename":"some_wheel-1.1-py3-none-any.whl","url":"../../files/old.whl","hashes":{}},
			{"filename":%q,"url":"../../files/w.whl","hashes":{"sha256":%q}}]}`, pinned().File, sum)
	}
}

func htmlPage(anchor string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprintf(w, "<!DOCTYPE html><html><body><h1>Links</h1>\n<a href=\"/files/some_wheel-1.1-py3-none-any.whl\">old</a><br/>%s</body></html>", anchor)
	}
}

// whole serves the file, with ranges.
func whole(w http.ResponseWriter, r *http.Request) {
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(content)))
}

// broken sends n bytes from the asked offset on and cuts the connection.
func broken(w http.ResponseWriter, r *http.Request, n int) {
	from := 0
	if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from); err == nil {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(content)-1, len(content)))
		w.Header().Set("Content-Length", fmt.Sprint(len(content)-from))
		w.WriteHeader(http.StatusPartialContent)
	} else {
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
	}
	_, _ = w.Write(content[from:min(from+n, len(content))])
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

func TestFetchFromAnIndex(t *testing.T) {
	sum := pinned().SHA256
	for _, tt := range []struct {
		name     string
		change   func(x *index)
		requests int
	}{
		{"JSON page", func(*index) {}, 1},
		{"JSON page with hash", func(x *index) { x.page = jsonPage(strings.ToUpper(sum)) }, 1},
		{"HTML page", func(x *index) {
			x.page = htmlPage(`<a class=x href="../../files/` + pinned().File + `#sha256=` + sum + `">wheel</a>`)
		}, 1},
		{"HTML page with a base", func(x *index) {
			x.page = htmlPage(`<base href="/files/"><a href="` + pinned().File + `">wheel</a>`)
		}, 1},
		{"HTML with a broken link before", func(x *index) {
			x.page = htmlPage(`<a href="http://[bad/">x</a><a href="/files/` + pinned().File + `">wheel</a>`)
		}, 1},
		{"page after a redirect", func(x *index) {
			x.page = func(w http.ResponseWriter, r *http.Request) {
				if r.URL.RawQuery == "" {
					http.Redirect(w, r, "/simple/some-wheel/?again", http.StatusMovedPermanently)
					return
				}
				jsonPage("")(w, r)
			}
		}, 1},
		{"index busy at first", func(x *index) {
			n := 0
			x.page = func(w http.ResponseWriter, r *http.Request) {
				if n++; n < 3 {
					w.WriteHeader(http.StatusServiceUnavailable)
					return
				}
				jsonPage("")(w, r)
			}
		}, 1},
		{"connection dropped twice, resumed", func(x *index) {
			x.file = func(w http.ResponseWriter, r *http.Request, n int) {
				if n < 3 {
					broken(w, r, 100_000)
				}
				if n == 3 && r.Header.Get("Range") != "bytes=200000-" {
					t.Errorf("third request asks for %q", r.Header.Get("Range"))
				}
				whole(w, r)
			}
		}, 3},
		{"server without ranges", func(x *index) {
			x.file = func(w http.ResponseWriter, r *http.Request, n int) {
				r.Header.Del("Range")
				if n < 3 {
					broken(w, r, 100_000)
				}
				whole(w, r)
			}
		}, 3},
		{"another range than asked for", func(x *index) {
			x.file = func(w http.ResponseWriter, r *http.Request, n int) {
				if n == 1 {
					broken(w, r, 100_000)
				}
				if r.Header.Get("Range") != "" {
					w.Header().Set("Content-Range", fmt.Sprintf("bytes 7-%d/%d", len(content)-1, len(content)))
					w.WriteHeader(http.StatusPartialContent)
					return
				}
				whole(w, r)
			}
		}, 3},
		{"range not satisfiable", func(x *index) {
			x.file = func(w http.ResponseWriter, r *http.Request, n int) {
				if n == 1 {
					broken(w, r, 100_000)
				}
				if r.Header.Get("Range") != "" {
					w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
					return
				}
				whole(w, r)
			}
		}, 3},
		{"truncated without a length", func(x *index) {
			x.file = func(w http.ResponseWriter, r *http.Request, n int) {
				if n == 1 {
					w.(http.Flusher).Flush()
					_, _ = w.Write(content[:5000])
					return
				}
				whole(w, r)
			}
		}, 2},
		{"wrong bytes before the break", func(x *index) {
			x.file = func(w http.ResponseWriter, r *http.Request, n int) {
				if n == 1 {
					w.Header().Set("Content-Length", fmt.Sprint(len(content)))
					_, _ = w.Write(make([]byte, 1000))
					w.(http.Flusher).Flush()
					panic(http.ErrAbortHandler)
				}
				whole(w, r)
			}
		}, 3},
		{"stalled connection", func(x *index) {
			x.file = func(w http.ResponseWriter, r *http.Request, n int) {
				if n == 1 {
					_, _ = w.Write(content[:1000])
					w.(http.Flusher).Flush()
					<-r.Context().Done()
					return
				}
				whole(w, r)
			}
		}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x := serve(t)
			tt.change(x)
			s := x.source()
			if tt.name == "stalled connection" {
				s.Stall = 200 * time.Millisecond
			}
			last := int64(0)
			s.Progress = func(done, total int64) {
				if last = done; total != pinned().Size || done > total {
					t.Errorf("progress %d of %d", done, total)
				}
			}
			dir := t.TempDir()
			path, err := Fetch(context.Background(), pinned(), dir, s)
			if err != nil {
				t.Fatal(err)
			}
			if b, err := os.ReadFile(path); err != nil || string(b) != string(content) {
				t.Errorf("the file is wrong: %v", err)
			}
			if last != pinned().Size {
				t.Errorf("the last progress is %d", last)
			}
			if n := x.requests.Load(); int(n) != tt.requests {
				t.Errorf("%d requests for the file, want %d", n, tt.requests)
			}
			entries, _ := os.ReadDir(dir)
			if len(entries) != 1 {
				t.Errorf("more than the wheel is left: %v", entries)
			}
		})
	}
}

func TestFetchRefuses(t *testing.T) {
	for _, tt := range []struct {
		name     string
		change   func(x *index, s *Source)
		want     string
		requests int
	}{
		{"other bytes", func(x *index, _ *Source) {
			x.file = func(w http.ResponseWriter, r *http.Request, _ int) { _, _ = w.Write(make([]byte, len(content))) }
		}, "its sha256 is", 1},
		{"more bytes", func(x *index, _ *Source) {
			x.file = func(w http.ResponseWriter, r *http.Request, _ int) {
				_, _ = w.Write(append(content[:len(content):len(content)], 0))
			}
		}, "more than 300000 bytes", 1},
		{"endless bytes", func(x *index, _ *Source) {
			x.file = func(w http.ResponseWriter, r *http.Request, _ int) {
				for r.Context().Err() == nil {
					if _, err := w.Write(content); err != nil {
						return
					}
				}
			}
		}, "more than 300000 bytes", 1},
		{"index announces another hash", func(x *index, _ *Source) { x.page = jsonPage(strings.Repeat("0", 64)) }, "lists it with sha256 000", 0},
		{"index without the file", func(x *index, _ *Source) { x.page = htmlPage("") }, "does not list some_wheel-1.2", 0},
		{"index without the project", func(x *index, _ *Source) { x.page = http.NotFound }, "answered 404", 0},
		{"index that is no JSON", func(x *index, _ *Source) {
			x.page = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", jsonType)
				fmt.Fprint(w, "<html>")
			}
		}, "invalid character", 0},
		{"index that fails for good", func(x *index, _ *Source) {
			x.page = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }
		}, "answered 502", 0},
		{"file forbidden", func(x *index, _ *Source) {
			x.file = func(w http.ResponseWriter, _ *http.Request, _ int) { w.WriteHeader(http.StatusForbidden) }
		}, "answered 403", 1},
		{"always broken", func(x *index, _ *Source) {
			x.file = func(w http.ResponseWriter, r *http.Request, _ int) { broken(w, r, 10) }
		}, "broke off at byte 60 of 300000", 6},
		{"index address without a scheme", func(_ *index, s *Source) { s.Index = "localhost/simple" }, "want an address that starts with https://", 0},
		{"index that is not there", func(x *index, _ *Source) { x.Close() }, "refused", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x := serve(t)
			s := x.source()
			tt.change(x, &s)
			dir := t.TempDir()
			path, err := Fetch(context.Background(), pinned(), dir, s)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), pinned().File) {
				t.Errorf("got %q, error %v; want one with %q", path, err, tt.want)
			}
			if _, err := os.Stat(filepath.Join(dir, pinned().File)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("a file is there under the wheel's name: %v", err)
			}
			if n := x.requests.Load(); int(n) != tt.requests {
				t.Errorf("%d requests for the file, want %d", n, tt.requests)
			}
		})
	}
}

// TestFetchGoesOn ends a download and takes it up in a second call.
func TestFetchGoesOn(t *testing.T) {
	x := serve(t)
	ctx, cancel := context.WithCancel(context.Background())
	x.file = func(w http.ResponseWriter, r *http.Request, n int) {
		if n == 1 {
			_, _ = w.Write(content[:100_000])
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return
		}
		if r.Header.Get("Range") == "" {
			t.Error("the second call begins anew")
		}
		whole(w, r)
	}
	s := x.source()
	s.Progress = func(done, _ int64) {
		if done >= 100_000 {
			cancel()
		}
	}
	dir := t.TempDir()
	if _, err := Fetch(ctx, pinned(), dir, s); !errors.Is(err, context.Canceled) {
		t.Fatalf("the interrupted call: %v", err)
	}
	s.Progress = nil
	for range 2 { // the second finds the file
		if _, err := Fetch(context.Background(), pinned(), dir, s); err != nil {
			t.Fatal(err)
		}
	}
	if n := x.requests.Load(); n != 2 {
		t.Errorf("%d requests, want 2", n)
	}
}

func TestCredentialsStayWithTheirHost(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("another host got the password")
		}
		whole(w, r)
	}))
	defer elsewhere.Close()
	for _, url := range []string{elsewhere.URL + "/w.whl", "/files/w.whl"} {
		x := serve(t)
		x.page = func(w http.ResponseWriter, r *http.Request) {
			if _, pass, _ := r.BasicAuth(); pass != "geheim" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			w.Header().Set("Content-Type", jsonType)
			fmt.Fprintf(w, `{"files":[{"filename":%q,"url":%q}]}`, pinned().File, url)
		}
		x.file = func(w http.ResponseWriter, r *http.Request, _ int) {
			if _, pass, _ := r.BasicAuth(); pass != "geheim" {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			whole(w, r)
		}
		s := x.source()
		s.Index = strings.Replace(s.Index, "://", "://me:geheim@", 1)
		if _, err := Fetch(context.Background(), pinned(), t.TempDir(), s); err != nil {
			t.Errorf("%s: %v", url, err)
		}
		x.page = http.NotFound
		if _, err := Fetch(context.Background(), pinned(), t.TempDir(), s); err == nil || strings.Contains(err.Error(), "geheim") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
}

func TestFetchFromAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "renamed.whl")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Fetch(context.Background(), pinned(), t.TempDir(), Source{File: path})
	if err != nil || got != path {
		t.Errorf("%q, %v", got, err)
	}
	for name, b := range map[string][]byte{"short": content[:10], "long": append(content[:len(content):len(content)], 1), "other": make([]byte, len(content))} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Fetch(context.Background(), pinned(), t.TempDir(), Source{File: path}); !errors.Is(err, errWrong) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Fetch(context.Background(), pinned(), t.TempDir(), Source{File: path + "x"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

func TestConfigured(t *testing.T) {
	home := t.TempDir()
	conf := filepath.Join(home, ".config", "pip", "pip.conf")
	if err := os.MkdirAll(filepath.Dir(conf), 0o700); err != nil {
		t.Fatal(err)
	}
	named := filepath.Join(home, "named.conf")
	for path, text := range map[string]string{
		conf:  "# comment\n[global]\ntimeout = 5\nindex-url = https://global.example/simple\n",
		named: "[global]\nindex_url=https://named.example/simple\n[download]\nindex-url : https://download.example/simple\n[install]\nindex-url = https://install.example/simple\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name string
		env  map[string]string
		want string
	}{
		{"nothing", map[string]string{"PIP_CONFIG_FILE": os.DevNull, "HOME": home}, ""},
		{"own variable first", map[string]string{IndexVariable: "https://own.example", "PIP_INDEX_URL": "https://pip.example"}, "https://own.example"},
		{"pip's variable", map[string]string{"PIP_INDEX_URL": " https://pip.example ", "HOME": home}, "https://pip.example"},
		{"user's file", map[string]string{"HOME": home}, "https://global.example/simple"},
		{"XDG folder", map[string]string{"XDG_CONFIG_HOME": filepath.Join(home, ".config")}, "https://global.example/simple"},
		{"named file", map[string]string{"HOME": home, "PIP_CONFIG_FILE": named}, "https://download.example/simple"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Configured(func(k string) string { return tt.env[k] }); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestPipIsAsked puts a program named python3 first in the path.
func TestPipIsAsked(t *testing.T) {
	bin := t.TempDir()
	t.Setenv("PATH", bin)
	none := Source{Env: func(k string) string {
		return map[string]string{"PIP_CONFIG_FILE": os.DevNull}[k]
	}}
	_, err := Fetch(context.Background(), pinned(), t.TempDir(), none)
	if err == nil || !strings.Contains(err.Error(), "pip was not found") || !strings.Contains(err.Error(), IndexVariable) {
		t.Errorf("without pip: %v", err)
	}
	source := filepath.Join(t.TempDir(), "source")
	if err := os.WriteFile(source, content, 0o600); err != nil {
		t.Fatal(err)
	}
	script := func(body string) {
		if err := os.WriteFile(filepath.Join(bin, "python3"), []byte("#!/bin/sh\n"+body), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	script("echo no such option >&2\nexit 2\n")
	dir := t.TempDir()
	if _, err := Fetch(context.Background(), pinned(), dir, none); err == nil || !strings.Contains(err.Error(), "no such option") {
		t.Errorf("pip that fails: %v", err)
	}
	deliver := `for last; do :; done
[ "$last" = "some-wheel==1.2" ] || exit 3
while [ "$1" != --dest ]; do shift; done
/bin/cp ` + source + ` "$2/` + pinned().File + `"
`
	script(deliver)
	path, err := Fetch(context.Background(), pinned(), dir, none)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != string(content) {
		t.Errorf("the file is wrong: %v", err)
	}
	if err := os.WriteFile(source, []byte("something else"), 0o600); err != nil {
		t.Fatal(err)
	}
	other := t.TempDir()
	if _, err := Fetch(context.Background(), pinned(), other, none); !errors.Is(err, errWrong) {
		t.Errorf("pip that brings something else: %v", err)
	}
	if entries, _ := os.ReadDir(other); len(entries) != 0 {
		t.Errorf("something is left: %v", entries)
	}
}
