package inference

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"testing"

	"chorale/harmony"
	"chorale/inference/internal/graph"
	"chorale/inference/internal/ref"
)

// corruptions is how many damaged checkpoints are tried, in all formats
// together, where AGENT_CORRUPTIONS does not say it.
func corruptions(t *testing.T) int {
	text := os.Getenv("AGENT_CORRUPTIONS")
	if text == "" {
		return 2000
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("AGENT_CORRUPTIONS: %v", err)
	}
	return n
}

// checkpoint is a model's files in memory, and of each the part that says what
// lies where: that is what damage falls on, mostly.
type checkpoint struct {
	name   string
	files  map[string][]byte
	header map[string]int // bytes
}

func checkpoints(t *testing.T) []checkpoint {
	t.Helper()
	gguf := func(file string) checkpoint {
		b := readFile(t, tinyA+file)
		return checkpoint{name: file, files: map[string][]byte{file: b}, header: map[string]int{file: bytes.Index(b, []byte("output.weight")) + 64}}
	}
	safetensors := func(layout string) checkpoint {
		c := checkpoint{name: layout, files: map[string][]byte{}, header: map[string]int{}}
		for _, file := range []string{"model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"} {
			b, err := os.ReadFile(filepath.Join(tinyA, layout, file))
			if err != nil {
				continue // OpenAI's layout has no tokenizer
			}
			c.files[file], c.header[file] = b, len(b)
			if file == "model.safetensors" {
				c.header[file] = 8 + int(binary.LittleEndian.Uint64(b))
			}
		}
		return c
	}
	return []checkpoint{safetensors("hf"), safetensors("original"), gguf("model.gguf"), gguf("model-q8_0.gguf")}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// edges are numbers at which arithmetic goes wrong.
var edges = []uint64{0, 1, 2, 3, 4, 7, 8, 9, 12, 30, 31, 32, 33, 39, 63, 64, 127, 128, 255, 256, 1<<15 - 1, 1 << 16, 1<<31 - 1, 1 << 31,
	1<<32 - 1, 1 << 32, 1<<48 + 1, 1<<62 - 1, 1 << 62, 1<<63 - 1, 1 << 63, math.MaxUint64 - 31, math.MaxUint64 - 7, math.MaxUint64}

// damage returns the files with one to three changes to one of them, and says
// what it did.
func (c *checkpoint) damage(seed uint64) (map[string][]byte, string) {
	r := rand.New(rand.NewPCG(seed, 5))
	names := slices.Sorted(maps.Keys(c.files))
	name := names[r.IntN(len(names))]
	if r.IntN(2) == 0 {
		name = names[slices.IndexFunc(names, func(n string) bool { return strings.HasPrefix(n, "model") })]
	}
	files := maps.Clone(c.files)
	b, did := slices.Clone(c.files[name]), name
	for range 1 + r.IntN(4)/3 {
		head := min(c.header[name], len(b))
		if head < 16 {
			break
		}
		at := r.IntN(head - 8)
		kind := r.IntN(14)
		did += fmt.Sprintf(", %d at %d", kind, at)
		switch kind {
		case 0:
			b[at] ^= 1 << r.IntN(8)
		case 1:
			b[at] = byte(r.Uint32())
		case 2:
			binary.LittleEndian.PutUint32(b[at:], uint32(edges[r.IntN(len(edges))]))
		case 3:
			binary.LittleEndian.PutUint64(b[at:], edges[r.IntN(len(edges))])
		case 4:
			b = b[:at]
		case 5: // inside the data too
			b = b[:r.IntN(len(b))]
		case 6:
			b = slices.Delete(b, at, min(at+1+r.IntN(40), len(b)))
		case 7:
			b = slices.Insert(b, at, c.files[name][:r.IntN(40)]...)
		case 8:
			copy(b[at:], c.files[name][r.IntN(head):])
		case 9:
			b = append(b, make([]byte, r.IntN(100))...)
		case 10: // in the data: numbers, scales
			b[r.IntN(len(b))] = byte(r.Uint32())
		case 11: // numbers that are none
			from := r.IntN(len(b))
			for i := range min(r.IntN(100), len(b)-from) {
				b[from+i] = 0xff
			}
		default:
			b = renumber(b, at, head, r)
		}
	}
	files[name] = b
	return files, did
}

// renumber replaces the next number of a text, or the next string's length of a
// binary header, by an edge.
func renumber(b []byte, at, head int, r *rand.Rand) []byte {
	edge := edges[r.IntN(len(edges))]
	if gguf := b[0] == 'G'; gguf { // dimensions, types, offsets and values stand behind names
		name := []string{".weight", ".bias", "_length", "_count", "tokens", "merges", "_type"}[r.IntN(7)]
		if i := bytes.Index(b[at:head], []byte(name)); i >= 0 && at+i+48 < len(b) {
			binary.LittleEndian.PutUint64(b[at+i+len(name)+4*r.IntN(7):], edge)
		}
		return b
	}
	i := bytes.IndexAny(b[at:head], "0123456789")
	if i < 0 {
		return b
	}
	end := at + i
	for end < head && b[end] >= '0' && b[end] <= '9' {
		end++
	}
	text := strconv.FormatUint(edge, 10)
	if r.IntN(4) == 0 {
		text = "-" + text
	}
	return slices.Replace(b, at+i, end, []byte(text)...)
}

// TestCorrupted damages headers, offsets, shapes, lengths and numbers of small
// checkpoints in every format. Each opens or is an error that names a file or a
// key; none panics, hangs, or takes memory out of proportion.
func TestCorrupted(t *testing.T) {
	all, n := checkpoints(t), corruptions(t)
	var opened, ran, spoiled int
	var most uint64
	errs := map[string]bool{}
	for i := range n {
		c := &all[i%len(all)]
		files, did := c.damage(uint64(i))
		what := fmt.Sprintf("%s, seed %d: %s", c.name, i, did)
		before := allocated()
		m, w, err := tryOpen(t, what, files)
		took := allocated() - before
		most = max(most, took)
		if took > 32<<20 {
			t.Fatalf("%s: %d bytes were allocated", what, took)
		}
		if err != nil {
			checkError(t, what, err, errs)
			continue
		}
		opened++
		if opened%4 == 0 {
			ran++
			if !tryRun(t, what, m.config, w) {
				spoiled++
			}
		}
		if err := m.Close(); err != nil {
			t.Errorf("%s: close: %v", what, err)
		}
	}
	t.Logf("%d damaged checkpoints: %d opened, %d of them ran (%d to numbers that are none), %d refused in %d ways; at most %d KB each",
		n, opened, ran, spoiled, n-opened, len(errs), most>>10)
	if opened == 0 || ran == 0 || n-opened < n/4 || len(errs) < 20 {
		t.Error("the damage is too little or too much to find anything")
	}
}

func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// tryOpen reads a checkpoint and its tokenizer.
func tryOpen(t *testing.T, what string, files_ map[string][]byte) (m *Model, w *graph.Weights, err error) {
	t.Helper()
	defer func() {
		if r := recover(); r != nil {
			t.Fatalf("%s: panic: %v", what, r)
		}
	}()
	if m, w, err = read(context.Background(), files{memory: files_}, Options{Context: 16}); err != nil {
		return nil, nil, err
	}
	src, err := m.Tokenizer()
	switch {
	case err != nil:
	case src.JSON != nil:
		_, err = harmony.FromTokenizerJSON(src.JSON)
	case src.Lists != nil:
		_, err = harmony.FromVocabulary(harmony.Vocabulary(*src.Lists))
	}
	if err != nil {
		m.Close()
		return nil, nil, err
	}
	return m, w, nil
}

// tryRun runs a few tokens. It reports whether all logits are numbers: the
// sampler refuses others.
func tryRun(t *testing.T, what string, c *graph.Config, w *graph.Weights) bool {
	t.Helper()
	defer func() {
		if r := recover(); r != nil {
			t.Fatalf("%s: panic in a pass: %v", what, r)
		}
	}()
	b := ref.New(c, w, ref.Options{Threads: 1})
	defer b.Close()
	s, err := b.NewState(min(16, c.MaxContext))
	if err != nil {
		return true
	}
	defer s.Close()
	logits, err := s.Forward(context.Background(), graph.Batch{IDs: []uint32{0}, Rows: []int{0}})
	if err != nil {
		t.Errorf("%s: %v", what, err)
	}
	return !slices.ContainsFunc(logits, func(v float32) bool { return v != v || math.IsInf(float64(v), 0) })
}

// checkError holds that an error says where the damage is, in a few words, and
// counts the kinds.
func checkError(t *testing.T, what string, err error, kinds map[string]bool) {
	t.Helper()
	text := err.Error()
	names := []string{"model", "config.json", "tokenizer", "vocabulary", "tensor", "GGUF", "safetensors", "context"}
	if !slices.ContainsFunc(names, func(n string) bool { return strings.Contains(text, n) }) || len(text) > 2000 || strings.Contains(text, "runtime error") {
		t.Errorf("%s: the error %q does not say where", what, text)
	}
	kinds[strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r == ' ' {
			return r
		}
		return -1
	}, text)] = true
}
