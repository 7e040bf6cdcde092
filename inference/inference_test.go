package inference

import (
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const tinyA = "testdata/models/tiny-a/"

func TestPocketInfo(t *testing.T) {
	m := openModel(t, Pocket, Options{Threads: 1})
	got := m.Info()
	if got.Name != "pocket" || got.Backend != "ref" || got.Vocab != 2048 || got.Context != DefaultContext ||
		got.MaxContext != 131072 || got.Parameters < 8_600_000 || got.Parameters > 8_800_000 {
		t.Errorf("%+v", got)
	}
	if !slices.Equal(got.Stop, []uint32{2041, 2047}) || got.Dialect == "" {
		t.Errorf("stop %v, dialect %q", got.Stop, got.Dialect)
	}
	if src, err := m.Tokenizer(); err != nil || len(src.JSON) == 0 {
		t.Errorf("tokenizer.json: %d bytes, %v", len(src.JSON), err)
	}
}

func TestOpenLayouts(t *testing.T) {
	for _, c := range []struct {
		dir       string
		tokenizer bool
		stop      int
	}{{tinyA + "hf", true, 1}, {tinyA + "original", false, 0}} {
		m, err := Open(context.Background(), c.dir, Options{Device: "cpu"})
		if err != nil {
			t.Fatal(err)
		}
		if i := m.Info(); i.Name != "tiny-a" || len(i.Stop) != c.stop {
			t.Errorf("%s: %+v", c.dir, i)
		}
		if src, err := m.Tokenizer(); err != nil || (src.JSON != nil) != c.tokenizer {
			t.Errorf("%s: tokenizer.json of %d bytes, %v", c.dir, len(src.JSON), err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	broken := func(change func(dir string) error) string {
		dir := t.TempDir()
		if err := errors.Join(os.CopyFS(dir, os.DirFS(tinyA+"hf")), change(dir)); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	write := func(name, text string) func(string) error {
		return func(dir string) error { return os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644) }
	}
	const file = "model.safetensors"
	for _, c := range []struct {
		name, ref string
		o         Options
		want      []string
	}{
		{"nothing there", filepath.Join(t.TempDir(), "none"), Options{}, []string{"no such file or directory", "pocket"}},
		{"a file", tinyA + "hf/" + file, Options{}, []string{"directory"}},
		{"empty directory", t.TempDir(), Options{}, []string{"no *.safetensors and no *.gguf"}},
		{"config is no JSON", broken(write("config.json", "{")), Options{}, []string{"config.json"}},
		{"config of another model", broken(write("config.json", `{"model_type":"llama"}`)), Options{}, []string{"config.json", "llama"}},
		{"weights missing", broken(func(dir string) error { return os.Remove(filepath.Join(dir, file)) }), Options{}, []string{"safetensors"}},
		{"weights truncated", broken(func(dir string) error { return os.Truncate(filepath.Join(dir, file), 200_000) }), Options{},
			[]string{file, "tensor", "truncated"}},
		{"generation_config is no JSON", broken(write("generation_config.json", "[")), Options{}, []string{"generation_config.json"}},
		{"tokenizer_config is no JSON", broken(write("tokenizer_config.json", "[")), Options{}, []string{"tokenizer_config.json"}},
		{"context too long", Pocket, Options{Context: 1 << 20}, []string{"context", "131072"}},
		{"context negative", Pocket, Options{Context: -1}, []string{"context"}},
		{"unknown device", Pocket, Options{Device: "abacus"}, []string{"abacus", "cpu"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := Open(context.Background(), c.ref, c.o)
			if err == nil {
				m.Close()
				t.Fatal("it opened")
			}
			for _, w := range append(c.want, "open model") {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q does not say %q", err, w)
				}
			}
		})
	}
}

func TestOpenCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Open(ctx, Pocket, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("open with a cancelled context: %v", err)
	}
}

// TestDamaged opens checkpoints with a few wrong bytes: each is refused or runs,
// and none panics.
func TestDamaged(t *testing.T) {
	whole := map[string][]byte{}
	for _, name := range []string{"config.json", "model.safetensors", "tokenizer_config.json"} {
		b, err := os.ReadFile(tinyA + "hf/" + name)
		if err != nil {
			t.Fatal(err)
		}
		whole[name] = b
	}
	header := 8 + int(binary.LittleEndian.Uint64(whole["model.safetensors"]))
	r := rand.New(rand.NewPCG(3, 4))
	const wrong = "0123456789\"{}[],:-e\x00\xff"
	refused := 0
	for range 400 {
		memory := maps.Clone(whole)
		name, reach := "model.safetensors", header
		if r.IntN(3) == 0 {
			name, reach = "config.json", len(whole["config.json"])
		}
		b := slices.Clone(whole[name])
		for range 1 + r.IntN(3) {
			b[r.IntN(reach)] = wrong[r.IntN(len(wrong))]
		}
		if r.IntN(4) == 0 {
			b = b[:r.IntN(len(b))]
		}
		memory[name] = b
		m, err := open(context.Background(), files{memory: memory}, Options{Device: "cpu", Threads: 1, Context: 16})
		if err != nil {
			refused++
			continue
		}
		s := newSession(t, m, Sampling{})
		for range s.Generate(context.Background(), prompt(3, 1), nil, nil) {
			break // weights that make no sense may give an error here
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d of 400 refused", refused)
	if refused < 200 {
		t.Errorf("only %d of 400 damaged checkpoints were refused", refused)
	}
}

// TestSynthetic opens weights that are in no file, and gets what the file gives.
func TestSynthetic(t *testing.T) {
	said := map[string][]uint32{}
	for _, ref := range []string{"synth:tiny-a", "testdata/models/tiny-a/hf"} {
		m, err := Open(t.Context(), ref, Options{Device: "cpu", Threads: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		if src, err := m.Tokenizer(); err != nil || src.JSON == nil {
			t.Errorf("%s has no tokenizer (%v)", ref, err)
		}
		s, err := m.NewSession(Sampling{})
		if err != nil {
			t.Fatal(err)
		}
		for id, err := range s.Generate(t.Context(), []uint32{1, 2, 3, 400}, nil, nil) {
			if err != nil {
				t.Fatal(err)
			}
			if said[ref] = append(said[ref], id); len(said[ref]) == 20 {
				break
			}
		}
	}
	if got, want := said["synth:tiny-a"], said["testdata/models/tiny-a/hf"]; !slices.Equal(got, want) {
		t.Errorf("said %v, want %v", got, want)
	}
	if _, err := Open(t.Context(), "synth:20c", Options{}); err == nil || !strings.Contains(err.Error(), "120b, 20b") {
		t.Errorf("an unknown shape: %v", err)
	}
}
