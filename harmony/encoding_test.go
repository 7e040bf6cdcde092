package harmony

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// The embedded ranks, written out again the way tiktoken ships them, are that
// file to the last byte.
func TestRanksAreO200kBase(t *testing.T) {
	e := O200kHarmony()
	h := sha256.New()
	for id := range Token(o200kRanks) {
		fmt.Fprintf(h, "%s %d\n", base64.StdEncoding.EncodeToString([]byte(e.TokenText(id))), id)
	}
	const want = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		t.Errorf("sha256 of the ranks is %s, want %s", got, want)
	}
	if e.VocabSize() != 201089 {
		t.Errorf("vocabulary of %d ids, want 201089", e.VocabSize())
	}
}

func TestEncodeVectors(t *testing.T) {
	type vector struct {
		Text    string  `json:"text"`
		Special bool    `json:"special"`
		Tokens  []Token `json:"tokens"`
	}
	e := O200kHarmony()
	eachVector(t, "tokenizer/o200k_harmony*.jsonl", func(t *testing.T, file string, line int, c vector) {
		encode := e.Encode
		if c.Special {
			encode = e.EncodeWithSpecial
		}
		if got := encode(c.Text); !slices.Equal(got, c.Tokens) {
			t.Errorf("%s:%d: %.80q\n got %v\nwant %v", file, line, c.Text, got, c.Tokens)
		}
		if got, err := e.Decode(c.Tokens); err != nil || got != c.Text {
			t.Errorf("%s:%d: decode gives %.80q, %v; want %.80q", file, line, got, err, c.Text)
		}
	})
}

func TestDecodeVectors(t *testing.T) {
	type vector struct {
		Tokens []Token `json:"tokens"`
		Bytes  []byte  `json:"bytes_b64"`
		Lossy  string  `json:"text_lossy"`
		Error  string  `json:"error"`
	}
	e := O200kHarmony()
	eachVector(t, "tokenizer/decode*.jsonl", func(t *testing.T, file string, line int, c vector) {
		got, err := e.Decode(c.Tokens)
		if errorText(err) != c.Error {
			t.Errorf("%s:%d: error %v, want %q", file, line, err, c.Error)
		}
		if got != string(c.Bytes) {
			t.Errorf("%s:%d: decode gives %q, want %q", file, line, got, c.Bytes)
		}
		if err == nil && lossy(got) != c.Lossy {
			t.Errorf("%s:%d: lossy text %q, want %q", file, line, lossy(got), c.Lossy)
		}
	})
}

func TestSpecialTokenTable(t *testing.T) {
	type table struct {
		Mergeable int              `json:"mergeable_tokens"`
		Format    map[string]Token `json:"format_tokens"`
		Stop      []Token          `json:"stop_tokens"`
		Actions   []Token          `json:"stop_tokens_for_assistant_actions"`
		Special   map[string]Token `json:"special_tokens"`
	}
	e := O200kHarmony()
	for _, tree := range vectorTrees() {
		files := vectorFiles(t, tree, "tokenizer/special_tokens.json")
		if len(files) == 0 {
			requireAny(t, tree, "harmony/*.jsonl", "tokenizer/*.jsonl")
		}
		for _, path := range files {
			var want table
			if err := json.Unmarshal(bytes.Join(vectorLines(t, path), nil), &want); err != nil {
				t.Fatal(err)
			}
			if !maps.Equal(e.special, want.Special) {
				t.Errorf("%s: the special tokens differ", path)
			}
			c := e.Control()
			format := map[string]Token{
				"start": c.Start, "end": c.End, "message": c.Message, "channel": c.Channel,
				"constrain": c.Constrain, "return": c.Return, "call": c.Call,
			}
			if !maps.Equal(format, want.Format) {
				t.Errorf("%s: control tokens %v, want %v", path, format, want.Format)
			}
			if got := slices.Sorted(slices.Values(e.StopTokens())); !slices.Equal(got, want.Stop) {
				t.Errorf("%s: stop tokens %v, want %v", path, got, want.Stop)
			}
			if got := slices.Sorted(slices.Values(e.ActionStopTokens())); !slices.Equal(got, want.Actions) {
				t.Errorf("%s: action stop tokens %v, want %v", path, got, want.Actions)
			}
			for t0 := range Token(e.VocabSize()) {
				if got, want := e.IsSpecial(t0), int(t0) >= want.Mergeable; got != want {
					t.Fatalf("IsSpecial(%d) = %v", t0, got)
				}
			}
			t.Logf("%s: %d special tokens", path, len(want.Special))
		}
	}
}

// The classes of what Unicode 16 adds to Go's tables are the oracle's, and the
// list in the package is the oracle's list.
func TestUnicode16(t *testing.T) {
	type delta struct {
		Ranges [][3]string `json:"ranges"` // first and last in hexadecimal, general category
	}
	classOf := map[string]uint8{"Lu": upper | letter, "Lt": upper | letter, "Ll": lower | letter,
		"Lm": upper | lower | letter, "Lo": upper | lower | letter, "M": upper | lower, "N": number}
	for _, tree := range vectorTrees() {
		files := vectorFiles(t, tree, "tokenizer/unicode_delta*.json")
		if len(files) == 0 {
			requireAny(t, tree, "harmony/*.jsonl", "tokenizer/*.jsonl")
		}
		for _, path := range files {
			var d delta
			if err := json.Unmarshal(bytes.Join(vectorLines(t, path), nil), &d); err != nil {
				t.Fatal(err)
			}
			points := 0
			for _, r := range d.Ranges {
				want, ok := classOf[r[2]]
				if !ok {
					want = classOf[r[2][:1]]
				}
				first, err1 := strconv.ParseInt(r[0], 16, 32)
				last, err2 := strconv.ParseInt(r[1], 16, 32)
				if err := errors.Join(err1, err2); err != nil {
					t.Fatalf("%s: %v", path, err)
				}
				for c := first; c <= last; c++ {
					points++
					if got := classes()[c]; got != want {
						t.Errorf("%s: U+%04X (%s) has the classes %b, want %b", path, c, r[2], got, want)
					}
				}
			}
			t.Logf("%s: %d code points", path, points)
			if points == 0 {
				t.Errorf("%s has no ranges", path)
			}
		}
	}
}

// naiveMerge is BPE as the definition has it: of all pairs the lowest, leftmost.
func naiveMerge(e *Encoding, piece string) []Token {
	type piecePart struct {
		start int
		id    Token
	}
	var parts []piecePart
	for i := range len(piece) {
		parts = append(parts, piecePart{i, e.bytes[piece[i]]})
	}
	for {
		best, at := noRank, -1
		for i := range len(parts) - 1 {
			end := len(piece)
			if i+2 < len(parts) {
				end = parts[i+2].start
			}
			if r := e.pairRank(piece, parts[i].start, end, parts[i].id, parts[i+1].id); r < best {
				best, at = r, i
			}
		}
		if at < 0 {
			break
		}
		parts[at].id = e.merged(best)
		parts = slices.Delete(parts, at+1, at+2)
	}
	ids := make([]Token, len(parts))
	for i, p := range parts {
		ids[i] = p.id
	}
	return ids
}

// Both merge loops agree with the definition on pieces around the length at
// which one takes over from the other.
func TestMergeLoopsAgree(t *testing.T) {
	e := O200kHarmony()
	words := []string{"a", "ab", " ", "the", "ing", "é", "日本", "ABC", "-=", "xq", "\xff"}
	for seed := range 60 {
		var b strings.Builder
		for k := seed; b.Len() < 20+2*seed; k = (k*7 + 3) % 1009 {
			b.WriteString(words[k%len(words)])
		}
		piece := b.String()
		want := naiveMerge(e, piece)
		if got := e.merge(nil, piece, 0, len(piece)); !slices.Equal(got, want) {
			t.Errorf("merge(%q) = %v, want %v", piece, got, want)
		}
		if got := e.mergeLong(nil, piece); !slices.Equal(got, want) {
			t.Errorf("mergeLong(%q) = %v, want %v", piece, got, want)
		}
	}
}

// The work grows with the length of the input, whatever is in it. Each of these
// takes some 20 ms on a quiet machine; quadratic work would take minutes.
func TestLongPieces(t *testing.T) {
	e := O200kHarmony()
	for _, unit := range []string{" ", "a", "A", "é", "日", "1", "-", "\n", " \n", "ab", "\u0301", "\xff", "ªA", "<|end|>"} {
		text := strings.Repeat(unit, 400_000/len(unit))
		start := time.Now()
		tokens := e.Encode(text)
		took := time.Since(start)
		if got, err := e.Decode(tokens); err != nil || got != text {
			t.Errorf("400 kB of %q do not come back", unit)
		}
		t.Logf("400 kB of %q: %d tokens, %v", unit, len(tokens), took)
		if took > 20*time.Second {
			t.Errorf("400 kB of %q took %v", unit, took)
		}
	}
}

func TestTenMegabytesOfOnePiece(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	e := O200kHarmony()
	text := strings.Repeat(" ", 10_000_000) + "x"
	if got, err := e.Decode(e.Encode(text)); err != nil || got != text {
		t.Error("10 MB of spaces do not come back")
	}
}

func TestInvalidUTF8IsKept(t *testing.T) {
	e := O200kHarmony()
	for _, text := range []string{"\xff", "a\xc3", "\xe6\x97x", "ok \xf0\x9f then", string([]byte{0, 255, 128})} {
		got, err := e.Decode(e.Encode(text))
		if err != nil || got != text {
			t.Errorf("%q comes back as %q, %v", text, got, err)
		}
	}
}

// One encoding serves many goroutines.
func TestConcurrentUse(t *testing.T) {
	e := O200kHarmony()
	texts := []string{strings.Repeat("a", 5000), strings.Repeat(" ", 3000) + "x", "plain words and 日本語", strings.Repeat("-=", 900)}
	var want [][]Token
	for _, s := range texts {
		want = append(want, e.Encode(s))
	}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for k := range 40 {
				i := (g + k) % len(texts)
				if got := e.Encode(texts[i]); !slices.Equal(got, want[i]) {
					t.Errorf("text %d becomes other tokens in parallel", i)
				}
			}
		})
	}
	wg.Wait()
}
