package synth

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// trees are where the checkpoints of make_synthetic.py lie, the generator that
// this package agrees with byte for byte.
func trees() []string {
	return append([]string{"../testdata/models"}, filepath.SplitList(os.Getenv("AGENT_MODELS"))...)
}

// TestFiles writes the named checkpoints and compares every file that there is
// of them.
func TestFiles(t *testing.T) {
	layouts := map[string]Output{
		"hf": {Format: HF}, "original": {Format: OpenAI}, "model.gguf": {Format: GGUF}, "model-q8_0.gguf": {Format: GGUF, Q8: true},
	}
	compared := 0
	for _, tree := range trees() {
		for name, m := range Presets {
			for layout, o := range layouts {
				want := filepath.Join(tree, name, layout)
				if _, err := os.Stat(want); err != nil {
					continue
				}
				if name == "tiny-b" && layout == "hf" {
					o.Shard = 2e6
				}
				got := filepath.Join(t.TempDir(), layout)
				if err := m.Write(t.Context(), got, o); err != nil {
					t.Fatal(err)
				}
				compared += compare(t, got, want)
			}
		}
	}
	if t.Logf("%d files compared", compared); compared < 8 {
		t.Errorf("only %d files compared", compared)
	}
}

// compare holds each file below want against the one below got.
func compare(t *testing.T, got, want string) (compared int) {
	t.Helper()
	err := filepath.WalkDir(want, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rest, err := filepath.Rel(want, path)
		if err != nil {
			return err
		}
		expected, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if made, err := os.ReadFile(filepath.Join(got, rest)); err != nil || !bytes.Equal(made, expected) {
			t.Errorf("%s: other bytes (%v)", path, err)
		}
		compared++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return compared
}

// TestPieces makes tensors in pieces of every kind of length, as device buffers
// and files take them, and in place: the bytes are always the same.
func TestPieces(t *testing.T) {
	m := Presets["tiny-a"]
	m.Vocab = large/m.Hidden + 1001 // the embedding repeats its pool
	for _, made := range m.huggingFace() {
		whole := make([]byte, made.Size())
		made.Fill(whole, 0)
		for _, step := range []int{16, 4080, 1 << 20, 3<<20 + 16} {
			if step < made.Size()/1000 {
				continue
			}
			part := make([]byte, step)
			for at := 0; at < len(whole); at += step {
				p := part[:min(step, len(whole)-at)]
				if made.Fill(p, at); !bytes.Equal(p, whole[at:at+len(p)]) {
					t.Fatalf("%s: other bytes at %d in steps of %d", made.Name, at, step)
				}
			}
		}
	}
	store, err := m.Weights()
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	for _, made := range m.huggingFace() {
		whole := make([]byte, made.Size())
		made.Fill(whole, 0)
		tensor, err := store.Tensor(made.Name, made.Shape, made.DType)
		if err != nil {
			t.Fatal(err)
		}
		half := tensor.Data[len(whole)/32*16:]
		copied := make([]byte, len(half))
		if tensor.Copy(copied, half); !bytes.Equal(copied, whole[len(whole)-len(half):]) {
			t.Errorf("%s: other bytes copied", made.Name)
		}
		if err := tensor.Load(); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(tensor.Data, whole) {
			t.Errorf("%s: other bytes loaded", made.Name)
		}
	}
}

func TestParse(t *testing.T) {
	m, err := Parse("120b?layers=1&vocab=4096&kv-heads=4&seed=7")
	if err != nil {
		t.Fatal(err)
	}
	want := Presets["120b"]
	want.Layers, want.Vocab, want.KVHeads, want.Seed = 1, 4096, 4, 7
	if m != want {
		t.Errorf("parsed %+v, want %+v", m, want)
	}
	for spec, say := range map[string]string{
		"":                       "no such shape",
		"20b?layers=2&layers=3":  "layers is given 2 times",
		"30b":                    "120b, 20b",
		"20b?layer=2":            `"layer" is unknown`,
		"20b?layers=two":         `layers is "two"`,
		"20b?layers=0":           "layers is 0",
		"20b?layers=99999999999": "layers is 99999999999",
		"20b?experts=3":          "4 experts per token of 3",
		"20b?hidden=33":          "multiples of 32",
		"20b?kv-heads=7":         "no multiple of 7",
		"20b?layers=%zz":         "invalid URL escape",
		"20b?seed=-1":            "seed is",
	} {
		if _, err := Parse(spec); err == nil || !strings.Contains(err.Error(), say) {
			t.Errorf("%q: %v, want an error with %q", spec, err, say)
		}
	}
}

// TestOutput: what a layout does not have is refused, and nothing is written.
func TestOutput(t *testing.T) {
	m := Presets["tiny-a"]
	for say, o := range map[string]Output{
		"want hf, openai or gguf":         {Format: "pt"},
		"must not be negative":            {Shard: -1},
		"several files, not openai":       {Format: OpenAI, Shard: 1e6},
		"several files, not gguf":         {Format: GGUF, Shard: 1e6},
		"only gguf has dense matrices in": {Q8: true},
	} {
		dir := t.TempDir()
		if err := m.Write(t.Context(), filepath.Join(dir, "model"), o); err == nil || !strings.Contains(err.Error(), say) {
			t.Errorf("%+v: %v, want an error with %q", o, err, say)
		}
		if left := list(t, dir); len(left) > 0 {
			t.Errorf("%+v: %v was written", o, left)
		}
	}
}

// TestAtomic cancels writing at a step, and writes over what is there: nothing
// is left of it, and nothing is lost.
func TestAtomic(t *testing.T) {
	m := Presets["tiny-a"]
	for _, format := range []Format{HF, OpenAI, GGUF, "other"} {
		dir := t.TempDir()
		ctx, cancel := context.WithCancel(t.Context())
		steps := 0
		err := m.Write(ctx, filepath.Join(dir, "model"), Output{Format: format, Progress: func(done, total int64) {
			if steps++; steps == 10 {
				cancel()
			}
		}})
		cancel()
		if format != "other" && !errors.Is(err, context.Canceled) || err == nil {
			t.Errorf("%s: cancelled writing ended with %v", format, err)
		}
		if left := list(t, dir); len(left) > 0 {
			t.Errorf("%s: %v was left", format, left)
		}
	}
	dir := t.TempDir()
	there := filepath.Join(dir, "there")
	if err := os.WriteFile(there, []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := m.Write(t.Context(), there, Output{}); err == nil || !strings.Contains(err.Error(), "there already") {
		t.Errorf("writing over a file: %v", err)
	}
	if left := list(t, dir); !slices.Equal(left, []string{"there"}) {
		t.Errorf("%v was left", left)
	}
}

func list(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
