package python

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental"

	"chorale/tools/python/internal/linear"
	"chorale/tools/python/internal/wasmpass"
)

// Engine is the compiled interpreter. One engine serves any number of
// sessions, also at the same time; it takes some tens of megabytes (the full
// one some hundreds), which is why it can be shared.
type Engine struct {
	image   image
	runtime wazero.Runtime
	module  wazero.CompiledModule
	cache   wazero.CompilationCache
	library []mount
	warm    *linear.Image // the memory that sessions begin with; nil: that of the module
	minimum int64         // bytes of memory that an interpreter starts with
}

// Load loads the prepared interpreter of a runtime from the cache folder
// (empty: the user's), or says how to prepare it: ErrNotPrepared. Close the
// engine after its sessions.
func Load(ctx context.Context, cache string, r Runtime) (*Engine, error) {
	im, dir, err := r.find(cache)
	if err != nil {
		return nil, err
	}
	e, err := im.load(ctx, dir)
	if err == nil && im.warm != "" {
		err = e.openWarm(ctx, dir)
	}
	if err != nil {
		if e != nil {
			e.Close()
		}
		return nil, fmt.Errorf("load Python: %w", err)
	}
	return e, nil
}

// Runtime says which interpreter it is: Full or Basic.
func (e *Engine) Runtime() Runtime { return Runtime(e.image.name) }

// load takes the code from dir's cache. What is missing or damaged there is
// compiled anew, but not that of a hollow module: it would be no interpreter.
func (im image) load(ctx context.Context, dir string) (*Engine, error) {
	module, err := os.ReadFile(filepath.Join(dir, moduleFile))
	if err != nil {
		return nil, err
	}
	var e *Engine
	if im.hollow {
		e, err = loadHollow(ctx, module, dir)
	} else {
		e, err = loadAnyway(ctx, module, filepath.Join(dir, nativeDir))
	}
	if err != nil {
		return nil, err
	}
	e.image, e.library = im, im.libraryMounts(dir)
	return e, nil
}

// loadAnyway takes the code from native, or compiles it where that fails.
func loadAnyway(ctx context.Context, module []byte, native string) (*Engine, error) {
	e, err := newEngine(ctx, module, native)
	if err == nil || ctx.Err() != nil {
		return e, err
	}
	if err := os.RemoveAll(native); err != nil {
		return nil, err
	}
	return newEngine(ctx, module, native)
}

// newEngine compiles the module, or takes the code from the cache in dir.
func newEngine(ctx context.Context, module []byte, dir string) (_ *Engine, err error) {
	cache, err := wazero.NewCompilationCacheWithDir(dir)
	if err != nil {
		return nil, err
	}
	ctx = experimental.WithCompilationWorkers(ctx, runtime.GOMAXPROCS(0))
	e := &Engine{cache: cache}
	e.runtime = wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCompilationCache(cache).WithDebugInfoEnabled(false))
	defer func() {
		if err != nil {
			e.Close()
		}
	}()
	if err := instantiateHost(ctx, e.runtime); err != nil {
		return nil, err
	}
	if e.module, err = e.runtime.CompileModule(ctx, module); err != nil {
		return nil, err
	}
	mem, ok := e.module.ExportedMemories()["memory"]
	if !ok {
		return nil, errors.New("the interpreter exports no memory")
	}
	e.minimum = int64(mem.Min()) * linear.Page
	return e, nil
}

// Close frees the engine. No session of it may be open.
func (e *Engine) Close() error {
	ctx := context.Background()
	errs := []error{e.runtime.Close(ctx), e.cache.Close(ctx)}
	if e.warm != nil {
		errs = append(errs, e.warm.Close())
	}
	return errors.Join(errs...)
}

// compile puts the module into dir, and its native code beside it; a hollow
// image's module without its code.
//
// wazero reads and checks all of a module before it looks for compiled code,
// and keeps it: for a large interpreter that is seconds and hundreds of
// megabytes at each start. So it is shown a hollow module later, and the
// original's code under the name of the hollow one's.
func (im image) compile(ctx context.Context, module []byte, dir string) error {
	native, original := filepath.Join(dir, nativeDir), filepath.Join(dir, "original")
	if !im.hollow {
		if err := os.WriteFile(filepath.Join(dir, moduleFile), module, 0o600); err != nil {
			return err
		}
		return compileInto(ctx, module, native)
	}
	hollow, err := wasmpass.Hollow(module)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, moduleFile), hollow, 0o600); err != nil {
		return err
	}
	var files []string
	for _, c := range []struct {
		dir    string
		module []byte
	}{{native, hollow}, {original, module}} {
		if err := compileInto(ctx, c.module, c.dir); err != nil {
			return err
		}
		file, err := nativeFile(c.dir)
		if err != nil {
			return err
		}
		files = append(files, file)
	}
	if err := os.Rename(files[1], files[0]); err != nil {
		return err
	}
	if err := os.RemoveAll(original); err != nil {
		return err
	}
	return recordNative(dir)
}

// compileInto makes a compilation cache of one module.
func compileInto(ctx context.Context, module []byte, dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	e, err := newEngine(ctx, module, dir)
	if err != nil {
		return err
	}
	return e.Close()
}
