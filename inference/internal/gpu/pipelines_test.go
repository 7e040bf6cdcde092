//go:build cgo && (amd64 || arm64)

package gpu

import (
	"bytes"
	"os"
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
