//go:build cgo && (amd64 || arm64)

package gpu

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"chorale/inference/internal/drivers"
	"chorale/inference/internal/golden"
	"chorale/inference/internal/graph"
)

// TestPipelines keeps compiled kernels in a file, and then damages it in every way:
// what is whole is given to the driver again, what is not is replaced, and the model
// says the same in any case.
func TestPipelines(t *testing.T) {
	drivers.Lavapipe.Use(t)
	path := filepath.Join(t.TempDir(), "kernels")
	c, w := golden.Synth(t, shapes["plain"])
	var want []float32
	run := func(what string) (given bool) {
		t.Helper()
		b, err := Open(t.Context(), only(t), c, w, Options{Pipelines: path, Validate: true})
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		instance := b.instance
		file, _ := os.ReadFile(path)
		b.compiled = false
		given = b.readPipelines(file) != nil
		s, err := b.NewState(20)
		if err != nil {
			t.Fatal(err)
		}
		got := forward(t, s, graph.Batch{IDs: []uint32{1, 2, 3}, Rows: []int{2}})
		if want == nil {
			want = append(want, got...)
		} else if d := golden.MaxDiff(got, want); d != 0 {
			t.Errorf("%s: logits are off by %.2g", what, d)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		silent(t, instance)
		return given
	}
	if run("no file") {
		t.Error("there was a file")
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !run("whole") {
		t.Error("what was kept is not read again")
	}
	flipped := bytes.Clone(whole)
	flipped[len(flipped)-1] ^= 1
	foreign := bytes.Clone(whole)
	foreign[len(pipelinesMagic)] ^= 1
	for what, file := range map[string][]byte{
		"empty": {}, "cut": whole[:len(whole)-1], "short": whole[:10], "flipped": flipped, "another's": foreign, "longer": append(bytes.Clone(whole), 0),
	} {
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		if run(what) {
			t.Errorf("%s: was given to the driver", what)
		}
		if now, err := os.ReadFile(path); err != nil || bytes.Equal(now, file) {
			t.Errorf("%s: was not replaced: %v", what, err)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	run("a folder")
}

// TestPipelinesOfMesa: lavapipe's pipeline cache is empty, and Mesa keeps what it has
// compiled in a folder of its own. A second process finds nearly all of it there; the
// last pieces may not have been written yet when the first one ended.
func TestPipelinesOfMesa(t *testing.T) {
	const child = "AGENT_TEST_MESA_CHILD"
	drivers.Lavapipe.Use(t)
	if os.Getenv(child) != "" {
		c, w := golden.Synth(t, shapes["plain"])
		b, err := Open(t.Context(), only(t), c, w, Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		s, err := b.NewState(20)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		forward(t, s, graph.Batch{IDs: []uint32{1, 2, 3}, Rows: []int{2}})
		return
	}
	dir := t.TempDir()
	compiled := func() (n int) {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestPipelinesOfMesa$")
		cmd.Env = append(os.Environ(), child+"=1", "MESA_SHADER_CACHE_DIR="+dir, "MESA_SHADER_CACHE_DISABLE=false")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				n++
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	first := compiled()
	second := compiled() - first
	t.Logf("%d files of a first process, %d more of a second", first, second)
	if first < 5 || second > first/3 {
		t.Errorf("a first process left %d files, a second one %d more", first, second)
	}
}
