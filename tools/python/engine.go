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
)

// Engine is the compiled interpreter. One engine serves any number of
// sessions, also at the same time; it takes some tens of megabytes, which is
// why it can be shared.
type Engine struct {
	runtime wazero.Runtime
	module  wazero.CompiledModule
	cache   wazero.CompilationCache
	minimum int64 // bytes of memory that an interpreter starts with
}

// Load loads the prepared interpreter from the cache folder (empty: the
// user's), or says how to prepare it: ErrNotPrepared. Close the engine after
// its sessions.
func Load(ctx context.Context, cache string) (*Engine, error) {
	dir, err := basic.prepared(cache)
	if err != nil {
		return nil, err
	}
	e, err := load(ctx, dir)
	if err != nil {
		return nil, fmt.Errorf("load Python: %w", err)
	}
	return e, nil
}

// load compiles the module in dir, or takes the code from dir's cache.
func load(ctx context.Context, dir string) (_ *Engine, err error) {
	code, err := os.ReadFile(filepath.Join(dir, moduleFile))
	if err != nil {
		return nil, err
	}
	cache, err := wazero.NewCompilationCacheWithDir(filepath.Join(dir, nativeDir))
	if err != nil {
		return nil, err
	}
	ctx = experimental.WithCompilationWorkers(ctx, runtime.GOMAXPROCS(0))
	e := &Engine{cache: cache}
	e.runtime = wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCompilationCache(cache))
	defer func() {
		if err != nil {
			e.Close()
		}
	}()
	if err := instantiateHost(ctx, e.runtime); err != nil {
		return nil, err
	}
	if e.module, err = e.runtime.CompileModule(ctx, code); err != nil {
		return nil, err
	}
	mem, ok := e.module.ExportedMemories()["memory"]
	if !ok {
		return nil, errors.New("the interpreter exports no memory")
	}
	e.minimum = int64(mem.Min()) * pageSize
	return e, nil
}

// Close frees the engine. No session of it may be open.
func (e *Engine) Close() error {
	ctx := context.Background()
	return errors.Join(e.runtime.Close(ctx), e.cache.Close(ctx))
}

// compile fills the compilation cache in dir.
func compile(ctx context.Context, dir string) error {
	if err := os.Mkdir(filepath.Join(dir, nativeDir), 0o700); err != nil {
		return err
	}
	e, err := load(ctx, dir)
	if err != nil {
		return err
	}
	return e.Close()
}
