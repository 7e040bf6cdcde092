package inference

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"chorale/harmony"
)

const ggufFile = tinyA + "model.gguf"

// encodings returns the encodings of the same model in Hugging Face's layout and
// in GGUF.
func encodings(t *testing.T) (hf, gguf *harmony.Encoding) {
	t.Helper()
	a, b := openModel(t, tinyA+"hf", Options{Device: "cpu"}), openModel(t, ggufFile, Options{Device: "cpu"})
	if i := b.Info(); i.Name != "model" || i.Parameters != a.Info().Parameters || i.MaxContext != 131072 ||
		!slices.Equal(i.Stop, []uint32{484}) {
		t.Errorf("info %+v", i)
	}
	src, err := a.Tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	if hf, err = harmony.FromTokenizerJSON(src.JSON); err != nil {
		t.Fatal(err)
	}
	if src, err = b.Tokenizer(); err != nil {
		t.Fatal(err)
	}
	if gguf, err = harmony.FromVocabulary(harmony.Vocabulary(*src.Lists)); err != nil {
		t.Fatal(err)
	}
	return hf, gguf
}

// TestGGUFTokenizer holds that a GGUF file's vocabulary is that of the
// tokenizer.json of the same model: ids, texts, and what text becomes.
func TestGGUFTokenizer(t *testing.T) {
	hf, gguf := encodings(t)
	if hf.Control() != gguf.Control() || hf.VocabSize() != gguf.VocabSize() {
		t.Errorf("control tokens %+v of %d, want %+v of %d", gguf.Control(), gguf.VocabSize(), hf.Control(), hf.VocabSize())
	}
	for id := range uint32(hf.VocabSize()) {
		if hf.TokenText(id) != gguf.TokenText(id) || hf.IsSpecial(id) != gguf.IsSpecial(id) || hf.Sampleable(id) != gguf.Sampleable(id) {
			t.Errorf("id %d is %q, want %q", id, gguf.TokenText(id), hf.TokenText(id))
		}
	}
	text, err := os.ReadFile("gguf_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{string(text), "naïve 漢字 \x00\xff", "<|end|> ist Text", strings.Repeat(" the", 400)} {
		if a, b := hf.Encode(s), gguf.Encode(s); !slices.Equal(a, b) {
			t.Errorf("%.40q becomes %v, want %v", s, b, a)
		}
	}
}

// TestOpenGGUF opens a file by each way to name it.
func TestOpenGGUF(t *testing.T) {
	raw, err := os.ReadFile(ggufFile)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write := func(name string, b []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	opens := func(ref, name string) {
		t.Helper()
		m, err := Open(context.Background(), ref, Options{Device: "cpu"})
		if err != nil {
			t.Error(err)
			return
		}
		defer m.Close()
		if got := m.Info().Name; got != name {
			t.Errorf("%s is called %q, want %q", ref, got, name)
		}
	}
	refuses := func(ref string, want ...string) {
		t.Helper()
		m, err := Open(context.Background(), ref, Options{Device: "cpu"})
		if err == nil {
			m.Close()
			t.Errorf("%s opened", ref)
			return
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: error %q does not say %q", ref, err, w)
			}
		}
	}
	write("small.gguf", raw)
	opens(filepath.Join(dir, "small.gguf"), "small")
	opens(dir, filepath.Base(dir))
	write("other.gguf", raw)
	refuses(dir, "small.gguf", "other.gguf", "the path of one")
	write("notes.txt", raw)
	refuses(filepath.Join(dir, "notes.txt"), "GGUF")
	write("part-00001-of-00002.gguf", raw)
	refuses(filepath.Join(dir, "part-00001-of-00002.gguf"), "split.count is missing")
	write("cut.gguf", raw[:len(raw)-64])
	refuses(filepath.Join(dir, "cut.gguf"), "cut.gguf", "output.weight", "truncated")
	write("k.gguf", retyped(t, raw, "blk.1.attn_k.weight", 12))
	refuses(filepath.Join(dir, "k.gguf"), "k.gguf", "blk.1.attn_k.weight", "Q4_K is not supported", "F32, F16, BF16, Q8_0 and MXFP4")
	write("unknown.gguf", retyped(t, raw, "blk.1.attn_k.weight", 4711))
	refuses(filepath.Join(dir, "unknown.gguf"), "blk.1.attn_k.weight", "4711")
	write("llama.gguf", bytes.Replace(raw, []byte("gpt-oss"), []byte("llama-4"), 1))
	refuses(filepath.Join(dir, "llama.gguf"), "general.architecture", "llama-4")
}

// retyped returns the file with another type for a tensor.
func retyped(t *testing.T, file []byte, name string, kind uint32) []byte {
	t.Helper()
	at := bytes.Index(file, []byte(name))
	if at < 0 {
		t.Fatalf("no tensor %s", name)
	}
	at += len(name)
	at += 4 + 8*int(file[at]) // dimensions
	out := bytes.Clone(file)
	out[at], out[at+1] = byte(kind), byte(kind>>8)
	return out
}

// TestGGUFSpeaks holds that a greedy run is the same in both formats.
func TestGGUFSpeaks(t *testing.T) {
	var runs [2][]uint32
	for i, ref := range []string{tinyA + "hf", ggufFile} {
		m := openModel(t, ref, Options{Device: "cpu"})
		s, err := m.NewSession(Sampling{})
		if err != nil {
			t.Fatal(err)
		}
		for id, err := range s.Generate(context.Background(), []uint32{1, 2, 3, 400}, nil, nil) {
			if err != nil {
				t.Fatal(err)
			}
			if runs[i] = append(runs[i], id); len(runs[i]) == 40 {
				break
			}
		}
		s.Close()
	}
	if !slices.Equal(runs[0], runs[1]) {
		t.Errorf("GGUF says %v, Hugging Face's layout %v", runs[1], runs[0])
	}
}
