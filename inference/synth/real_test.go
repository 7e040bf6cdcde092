package synth_test

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"testing"

	"chorale/inference/internal/golden"
	"chorale/inference/synth"
)

// real are hashes of what make_synthetic.py --preset 20b --layers 1 --experts 1
// --topk 1 --vocab 1500 --q-heads 32 --kv-heads 4 writes: the real widths, and
// tensors so large that they repeat a pool.
var real = map[synth.Format]map[string]string{
	synth.HF: {
		"config.json":       "fa7261a71b771c7e7a8557329b1aa4409ef64afb24523200d4198e9cc3d28b82",
		"model.safetensors": "e4b1eef7f4b9362245a4e4e9248687d95fad5ae222ee27534c126e88a64ca503",
		"tokenizer.json":    "60bf7851a605575724aa6e78a3581240f5cdcd9472b14618db7293246cfd8821",
	},
	synth.GGUF: {"": "24ea70f2340baa365d753d6f2677d24c3d1963012b8293346b79cfa7bd118938"},
}

func TestHeavyRealWidths(t *testing.T) {
	if golden.Race {
		t.Skip("57 MB are made without the race detector")
	}
	m, err := synth.Parse("20b?layers=1&experts=1&topk=1&vocab=1500&heads=32&kv-heads=4")
	if err != nil {
		t.Fatal(err)
	}
	for format, files := range real {
		path := filepath.Join(t.TempDir(), string(format))
		if err := m.Write(t.Context(), path, synth.Output{Format: format}); err != nil {
			t.Fatal(err)
		}
		for name, want := range files {
			if got := hash(t, filepath.Join(path, name)); got != want {
				t.Errorf("%s %s has hash %s, want %s", format, name, got, want)
			}
		}
	}
}

func hash(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil))
}
