package harmony

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func loadTokenizer(t *testing.T, path string) *Encoding {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	e, err := FromTokenizerJSON(data)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return e
}

// Text becomes the tokens that the library `tokenizers` makes of it; how these
// vectors were made is in testdata/tokenizerjson/make.py.
func TestTokenizerJSONVectors(t *testing.T) {
	encodings := map[string]*Encoding{}
	for _, name := range []string{"pocket", "tiny-a", "tiny-b"} {
		encodings[name+".jsonl"] = loadTokenizer(t, "testdata/tokenizerjson/"+name+".json")
	}
	type vector struct {
		Text   string  `json:"text"`
		Tokens []Token `json:"tokens"`
	}
	cases := 0
	for _, path := range vectorFiles(t, "testdata", "tokenizerjson/*.jsonl") {
		file := filepath.Base(path)
		e := encodings[strings.TrimSuffix(file, ".gz")]
		eachLine(t, path, func(line int, c vector) {
			cases++
			if got := e.Encode(c.Text); !slices.Equal(got, c.Tokens) {
				t.Errorf("%s:%d: %.80q\n got %v\nwant %v", file, line, c.Text, got, c.Tokens)
			}
			if got, err := e.Decode(c.Tokens); err != nil || got != c.Text {
				t.Errorf("%s:%d: decode gives %.80q, %v", file, line, got, err)
			}
		})
	}
	t.Logf("%d cases", cases)
	if cases == 0 {
		t.Error("no vectors")
	}
}

// Both merge loops agree with the definition for a merge list too.
func TestMergeLoopsAgreeOnTokenizerJSON(t *testing.T) {
	e := loadTokenizer(t, "testdata/tokenizerjson/pocket.json")
	for _, piece := range []string{"a", " the", "hello world", strings.Repeat("import", 40), strings.Repeat(" ", 500)} {
		want := naiveMerge(e, piece)
		if got := e.mergeLong(nil, piece); !slices.Equal(got, want) {
			t.Errorf("mergeLong(%.20q) = %v, want %v", piece, got, want)
		}
		if got := e.merge(nil, piece, 0, len(piece)); !slices.Equal(got, want) {
			t.Errorf("merge(%.20q) = %v, want %v", piece, got, want)
		}
	}
}

func TestControlTokensByName(t *testing.T) {
	e := loadTokenizer(t, "testdata/tokenizerjson/pocket.json")
	want := Control{Return: 2041, Constrain: 2042, Channel: 2043, Start: 2044, End: 2045, Message: 2046, Call: 2047}
	if got := e.Control(); got != want {
		t.Errorf("control tokens %+v, want %+v", got, want)
	}
	if e.VocabSize() != 2048 {
		t.Errorf("vocabulary of %d, want 2048", e.VocabSize())
	}
	for id, want := range map[Token]bool{2038: true, 2039: false, 2040: false, 2044: true, 2047: true, 2048: false} {
		if got := e.Sampleable(id); got != want {
			t.Errorf("Sampleable(%d) = %v, want %v", id, got, want)
		}
	}
	if got := e.Encode("<|end|>"); slices.Contains(got, want.End) {
		t.Errorf("text became the control token: %v", got)
	}
	if got := e.EncodeWithSpecial("<|end|>"); !slices.Equal(got, []Token{want.End}) {
		t.Errorf("EncodeWithSpecial gives %v", got)
	}
}

// What the package does not do it refuses, and says what it is.
func TestTokenizerJSONRefusals(t *testing.T) {
	good, err := os.ReadFile("testdata/tokenizerjson/tiny-a.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ old, new, want string }{
		{`"type": "BPE"`, `"type": "Unigram"`, "only BPE"},
		{`"dropout": null`, `"dropout": 0.1`, "dropout"},
		{`"byte_fallback": false`, `"byte_fallback": true`, "byte_fallback"},
		{`"normalizer": null`, `"normalizer": {"type": "NFC"}`, "normalizers"},
		{`\\p{N}{1,3}`, `\\p{N}`, "split pattern"},
		{`"behavior": "Isolated"`, `"behavior": "Removed"`, "Isolated"},
		{`"use_regex": false`, `"use_regex": true`, "use_regex"},
		{`"content": "<|start|>"`, `"content": "<|begin|>"`, "<|start|>"},
		{`"special": true`, `"special": false`, "not special"},
		{`"id": 480`, `"id": 4294967295`, "beyond"},
		{`"id": 480`, `"id": 481`, "two tokens"},
		{`["Ġ", "e"]`, `["Ġ", "漢"]`, "not in the vocabulary"},
		{`["Ġ", "e"]`, `["Ġ"]`, "two tokens"},
		{`"!": 33`, `"漢": 33`, "byte"},
		{`{`, `[`, "tokenizer.json"},
	} {
		if !bytes.Contains(good, []byte(c.old)) {
			t.Fatalf("the file does not contain %s", c.old)
		}
		_, err := FromTokenizerJSON(bytes.Replace(good, []byte(c.old), []byte(c.new), 1))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("with %s: error %v, want one that names %q", c.new, err, c.want)
		}
	}
}

// A damaged file is an error or another encoding, never a panic.
func TestDamagedTokenizerJSON(t *testing.T) {
	good, err := os.ReadFile("testdata/tokenizerjson/tiny-a.json")
	if err != nil {
		t.Fatal(err)
	}
	for seed := range 400 {
		bad := slices.Clone(good)
		at := (seed * 7919) % len(bad)
		switch seed % 4 {
		case 0:
			bad = bad[:at]
		case 1:
			bad[at] ^= byte(1 << (seed % 7))
		case 2:
			bad = slices.Delete(bad, at, min(len(bad), at+seed%23))
		case 3:
			bad = slices.Insert(bad, at, good[:seed%40]...)
		}
		e, err := FromTokenizerJSON(bad)
		if err != nil {
			continue
		}
		text := "Hello <|end|> world 123"
		if got, err := e.Decode(e.Encode(text)); err != nil || got != text {
			t.Errorf("damage %d: %q comes back as %q, %v", seed, text, got, err)
		}
	}
}
