package harmony

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// spell writes bytes in the byte-level alphabet.
func spell(text string) string {
	var b strings.Builder
	for i := range len(text) {
		b.WriteRune(byteLevel[text[i]])
	}
	return b.String()
}

// asLists states the built-in vocabulary as a file would: each token's merges are
// all the ways to make it of two, in the order of its rank.
func asLists() Vocabulary {
	e := O200kHarmony()
	v := Vocabulary{Tokens: make([]string, e.VocabSize()), Special: make([]bool, e.VocabSize())}
	for id := range Token(e.VocabSize()) {
		text := e.TokenText(id)
		if e.IsSpecial(id) {
			v.Tokens[id], v.Special[id] = text, true
			continue
		}
		v.Tokens[id] = spell(text)
		for i := 1; i < len(text); i++ {
			a, okA := e.vocab.find(text, 0, i)
			b, okB := e.vocab.find(text, i, len(text))
			if okA && okB && a < id && b < id {
				v.Merges = append(v.Merges, spell(text[:i])+" "+spell(text[i:]))
			}
		}
	}
	return v
}

// The whole of o200k, given as lists, is the encoding that is built in.
func TestVocabularyOfO200k(t *testing.T) {
	want := O200kHarmony()
	v := asLists()
	e, err := FromVocabulary(v)
	if err != nil {
		t.Fatal(err)
	}
	if e.Control() != want.Control() || e.VocabSize() != want.VocabSize() {
		t.Errorf("control tokens %+v of %d, want %+v of %d", e.Control(), e.VocabSize(), want.Control(), want.VocabSize())
	}
	type vector struct {
		Text   string  `json:"text"`
		Tokens []Token `json:"tokens"`
	}
	cases := 0
	for _, path := range vectorFiles(t, "testdata", "tokenizer/o200k_harmony.jsonl") {
		eachLine(t, path, func(line int, c vector) {
			cases++
			if got, want := e.Encode(c.Text), want.Encode(c.Text); !slices.Equal(got, want) {
				t.Errorf("%s:%d: %.80q\n got %v\nwant %v", path, line, c.Text, got, want)
			}
		})
	}
	t.Logf("%d merges, %d cases", len(v.Merges), cases)
	if cases == 0 {
		t.Error("no vectors")
	}
}

// lists is the vocabulary of a tokenizer.json as a file with lists has it.
func lists(t *testing.T, path string) (Vocabulary, *Encoding) {
	t.Helper()
	e := loadTokenizer(t, path)
	v := Vocabulary{Tokens: make([]string, e.VocabSize()), Special: make([]bool, e.VocabSize())}
	for id := range Token(e.VocabSize()) {
		text := e.TokenText(id)
		if v.Special[id] = e.IsSpecial(id); !v.Special[id] {
			text = spell(text)
		}
		v.Tokens[id] = text
	}
	v.Merges = make([]string, len(e.merges.results))
	for pair, rank := range e.merges.ranks {
		v.Merges[rank] = v.Tokens[pair>>32] + " " + v.Tokens[Token(pair)]
	}
	return v, e
}

func TestVocabularyIsTokenizerJSON(t *testing.T) {
	v, want := lists(t, "testdata/tokenizerjson/tiny-a.json")
	text, err := os.ReadFile("vocabulary.go")
	if err != nil {
		t.Fatal(err)
	}
	same := func(v Vocabulary) {
		t.Helper()
		e, err := FromVocabulary(v)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := e.Encode(string(text)), want.Encode(string(text)); !slices.Equal(got, want) {
			t.Error("the text becomes other tokens")
		}
		if e.Control() != want.Control() || e.VocabSize() != want.VocabSize() {
			t.Errorf("control tokens %+v of %d, want %+v of %d", e.Control(), e.VocabSize(), want.Control(), want.VocabSize())
		}
	}
	same(v)
	v.Tokens = append(v.Tokens, "", "") // rows that no token has
	same(v)
	v.Special[want.Control().End] = false // the format's own tokens are special whatever a file says
	same(v)
}

func TestVocabularyRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(v *Vocabulary)
		want   string
	}{
		"no control token":     {func(v *Vocabulary) { v.Tokens[slices.Index(v.Tokens, "<|call|>")] = "<|shout|>" }, "<|call|>"},
		"a byte is missing":    {func(v *Vocabulary) { v.Tokens[7] = "" }, "byte 0x07"},
		"another alphabet":     {func(v *Vocabulary) { v.Tokens[300] = "漢" }, "byte-level"},
		"a token twice":        {func(v *Vocabulary) { v.Tokens[300] = v.Tokens[301] }, "both"},
		"merge of one":         {func(v *Vocabulary) { v.Merges[5] = "e" }, "two tokens"},
		"merge of three":       {func(v *Vocabulary) { v.Merges[5] = "e e e" }, "two tokens"},
		"merge of unknown":     {func(v *Vocabulary) { v.Merges[5] = "e 漢" }, "not in the vocabulary"},
		"nothing":              {func(v *Vocabulary) { *v = Vocabulary{} }, "byte 0x00"},
		"special past its end": {func(v *Vocabulary) { v.Tokens = v.Tokens[:256] }, "not in the vocabulary"},
	} {
		v, _ := lists(t, "testdata/tokenizerjson/tiny-a.json")
		c.damage(&v)
		if _, err := FromVocabulary(v); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
	}
}

// BenchmarkFromTokenizerJSON loads a file of the size of gpt-oss's.
func BenchmarkFromTokenizerJSON(b *testing.B) {
	v := asLists()
	var f struct {
		Added []map[string]any `json:"added_tokens"`
		Pre   json.RawMessage  `json:"pre_tokenizer"`
		Model struct {
			Type   string           `json:"type"`
			Vocab  map[string]Token `json:"vocab"`
			Merges [][]string       `json:"merges"`
		} `json:"model"`
	}
	pattern, err := json.Marshal(o200kPattern)
	if err != nil {
		b.Fatal(err)
	}
	f.Pre = fmt.Appendf(nil, `{"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": %s}, "behavior": "Isolated"}, {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}]}`, pattern)
	f.Model.Type, f.Model.Vocab = "BPE", map[string]Token{}
	for id, name := range v.Tokens {
		switch {
		case name == "":
		case v.isSpecial(id):
			f.Added = append(f.Added, map[string]any{"id": id, "content": name, "special": true})
		default:
			f.Model.Vocab[name] = Token(id)
		}
	}
	for _, pair := range v.Merges {
		f.Model.Merges = append(f.Model.Merges, strings.Split(pair, " "))
	}
	data, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := FromTokenizerJSON(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFromVocabulary(b *testing.B) {
	v := asLists()
	for b.Loop() {
		if _, err := FromVocabulary(v); err != nil {
			b.Fatal(err)
		}
	}
}
