package golden

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"chorale/inference/internal/graph"
	"chorale/inference/internal/weights"
	"chorale/inference/synth"
)

// Model is a checkpoint with goldens.
type Model struct {
	Name    string // directory's name
	Layout  string // hf, original, or gguf
	Golden  *Blob
	Config  *graph.Config
	Weights *graph.Weights
}

// Models opens the checkpoints of a tree whose names are given, all of them
// where none is, in every layout that is there. Where a model has goldens but
// no weights at all, they are made from its preset, in both layouts.
func Models(t testing.TB, tree string, names ...string) []Model {
	t.Helper()
	var models []Model
	for _, path := range Find(t, tree, "golden/golden.json") {
		dir, err := filepath.Abs(filepath.Dir(filepath.Dir(path)))
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(dir)
		if names != nil && !slices.Contains(names, name) {
			continue
		}
		blob, err := ReadBlob(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range locate(t, dir) {
			m := Model{Name: name, Layout: at.layout, Golden: blob}
			m.Config, m.Weights = Open(t, at.path)
			models = append(models, m)
		}
	}
	t.Logf("%s: %d checkpoints with goldens, counting layouts", tree, len(models))
	return models
}

// located is a checkpoint in one layout: a directory or a GGUF file.
type located struct{ layout, path string }

// locate returns the layouts of a model (flat is a checkpoint that lies beside
// its goldens), made from its preset where there is none.
func locate(t testing.TB, dir string) (all []located) {
	t.Helper()
	for _, l := range []struct{ layout, file string }{
		{"hf", "hf/config.json"}, {"original", "original/config.json"}, {"flat", "config.json"}, {"gguf", "model.gguf"},
	} {
		path := filepath.Join(dir, l.file)
		if _, err := os.Stat(path); err != nil {
			continue
		}
		if l.layout != "gguf" {
			path = filepath.Dir(path)
		}
		all = append(all, located{l.layout, path})
	}
	if all != nil {
		return all
	}
	s, ok := synth.Presets[filepath.Base(dir)]
	if !ok {
		t.Fatalf("%s has goldens but no weights, and no preset to make them from", dir)
	}
	for layout, format := range map[string]synth.Format{"hf": synth.HF, "original": synth.OpenAI} {
		made := filepath.Join(t.TempDir(), layout)
		if err := s.Write(t.Context(), made, synth.Output{Format: format}); err != nil {
			t.Fatal(err)
		}
		all = append(all, located{layout, made})
	}
	return all
}

// Open opens a checkpoint, a directory or a GGUF file, for the time of the test.
func Open(t testing.TB, path string) (*graph.Config, *graph.Weights) {
	t.Helper()
	store, err := weights.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	c, err := config(store, path)
	if err != nil {
		t.Fatal(err)
	}
	w, err := graph.Bind(store, c)
	if err != nil {
		t.Fatal(err)
	}
	return c, w
}

func config(s *weights.Store, dir string) (*graph.Config, error) {
	if s.Metadata() != nil {
		return graph.GGUFConfig(s)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		return nil, err
	}
	return graph.ParseConfig(raw)
}

// Synth opens a checkpoint of random weights for the time of the test, every
// tensor loaded.
func Synth(t testing.TB, m synth.Model) (*graph.Config, *graph.Weights) {
	t.Helper()
	c, w := Unloaded(t, m)
	if err := w.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c, w
}

// Unloaded is Synth for a backend that copies its weights: they are made on the
// way.
func Unloaded(t testing.TB, m synth.Model) (*graph.Config, *graph.Weights) {
	t.Helper()
	if err := m.Check(); err != nil {
		t.Fatal(err)
	}
	c, err := graph.ParseConfig(m.Config())
	if err != nil {
		t.Fatal(err)
	}
	store, err := m.Weights()
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
