package golden

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"chorale/inference/internal/graph"
	"chorale/inference/internal/weights"
)

// Model is a checkpoint with goldens.
type Model struct {
	Name    string // directory's name
	Layout  string // hf or original
	Golden  *Blob
	Config  *graph.Config
	Weights *graph.Weights
}

// Models opens the checkpoints of a tree whose names are given, all of them
// where none is, in every layout that is there. A tree that holds none fails
// the test. Where a model has goldens but no weights they are made from its
// preset, in both layouts.
func Models(t testing.TB, tree string, names ...string) []Model {
	t.Helper()
	goldens, err := filepath.Glob(filepath.Join(tree, "*", "golden", "golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	var models []Model
	for _, path := range goldens {
		dir := filepath.Dir(filepath.Dir(path))
		name := filepath.Base(dir)
		if names != nil && !slices.Contains(names, name) {
			continue
		}
		blob, err := ReadBlob(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, layout := range []string{"hf", "original"} {
			m := Model{Name: name, Layout: layout, Golden: blob}
			m.Config, m.Weights = Open(t, locate(t, dir, layout))
			models = append(models, m)
		}
	}
	if len(models) == 0 && names == nil {
		t.Fatalf("%s holds no checkpoint with goldens", tree)
	}
	return models
}

// locate returns the directory of a layout, made from the preset where it is
// not there.
func locate(t testing.TB, dir, layout string) string {
	t.Helper()
	there := filepath.Join(dir, layout)
	if _, err := os.Stat(there); err == nil {
		return there
	}
	s, ok := Presets[filepath.Base(dir)]
	if !ok {
		t.Fatalf("%s has no layout %s and no preset to make it from", dir, layout)
	}
	made := t.TempDir()
	if err := s.Write(made, layout == "original"); err != nil {
		t.Fatal(err)
	}
	return made
}

// Open opens a checkpoint for the time of the test.
func Open(t testing.TB, dir string) (*graph.Config, *graph.Weights) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := graph.ParseConfig(raw)
	if err != nil {
		t.Fatal(err)
	}
	store, err := weights.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	w, err := graph.Bind(store, c)
	if err != nil {
		t.Fatal(err)
	}
	return c, w
}
