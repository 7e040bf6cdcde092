// Package golden is the test suite that every backend of the graph must pass:
// small checkpoints with what independent oracles compute from them
// (transformers in f32, a float64 reference). Tests of backends call it; nothing
// else imports it.
//
// The checkpoints lie in inference/testdata/models. Trees of the same layout
// that the environment's AGENT_MODELS names (a list as in PATH) are read as
// well.
package golden

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// known are the files of a tree that some test of this module reads.
var known = []string{"golden/golden.json", "kernels.json", "eval.jsonl", "tokenizer.json"}

// Trees returns the directories to look for cases in: own, and those of
// AGENT_MODELS. A tree of AGENT_MODELS that holds nothing of the known layout
// fails the test; it need not hold every kind of case.
func Trees(t testing.TB, own string) []string {
	t.Helper()
	trees := []string{own}
	for _, dir := range filepath.SplitList(os.Getenv("AGENT_MODELS")) {
		if dir == "" {
			continue
		}
		if !slices.ContainsFunc(known, func(name string) bool { return len(Find(t, dir, name)) > 0 }) {
			t.Fatalf("AGENT_MODELS names %s, which holds nothing that a test reads: no %s", dir, strings.Join(known, ", no "))
		}
		trees = append(trees, dir)
	}
	return trees
}

// Find returns the files of that name in a tree: in its root, which may be the
// folder of one model, and up to three folders below.
func Find(t testing.TB, tree, name string) []string {
	t.Helper()
	var all []string
	for depth := range 4 {
		files, err := filepath.Glob(filepath.Join(tree, strings.Repeat("*/", depth), name))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, files...)
	}
	return all
}

// Blob is a manifest (JSON) and its arrays: golden.json and golden.bin, or
// kernels.json and kernels.bin.
type Blob struct {
	path    string
	data    []byte
	tensors map[string]tensor
	names   []string
}

type tensor struct {
	Name   string
	DType  string `json:"dtype"`
	Shape  []int
	Offset int
	NBytes int `json:"nbytes"`
}

// ReadBlob opens a manifest by the path of its JSON file.
func ReadBlob(path string) (*Blob, error) {
	manifest, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(strings.TrimSuffix(path, ".json") + ".bin")
	if err != nil {
		return nil, err
	}
	var m struct{ Tensors []tensor }
	if err := json.Unmarshal(manifest, &m); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	b := &Blob{path: path, data: data, tensors: map[string]tensor{}}
	for _, t := range m.Tensors {
		if t.Offset < 0 || t.NBytes < 0 || t.Offset > len(data)-t.NBytes {
			return nil, fmt.Errorf("%s: %s lies outside the data", path, t.Name)
		}
		b.tensors[t.Name] = t
		b.names = append(b.names, t.Name)
	}
	return b, nil
}

// Has reports whether there is an array of that name.
func (b *Blob) Has(name string) bool { _, ok := b.tensors[name]; return ok }

// Shape returns an array's shape.
func (b *Blob) Shape(t testing.TB, name string) []int {
	t.Helper()
	b.bytes(t, name)
	return b.tensors[name].Shape
}

// Prompts returns the names of the prompts (p1, p7, ...) by length.
func (b *Blob) Prompts() []string {
	names := b.Groups("ids")
	slices.SortFunc(names, func(x, y string) int { return b.tensors[x+".ids"].NBytes - b.tensors[y+".ids"].NBytes })
	return names
}

// Groups returns the groups of arrays (attn_full, router32, ...) that have one
// of that name.
func (b *Blob) Groups(name string) []string {
	var groups []string
	for _, n := range b.names {
		if g, ok := strings.CutSuffix(n, "."+name); ok {
			groups = append(groups, g)
		}
	}
	return groups
}

func (b *Blob) bytes(t testing.TB, name string, dtypes ...string) []byte {
	t.Helper()
	x, ok := b.tensors[name]
	if !ok {
		t.Fatalf("%s has no %s", b.path, name)
	}
	if dtypes != nil && !slices.Contains(dtypes, x.DType) {
		t.Fatalf("%s: %s is %s, want %v", b.path, name, x.DType, dtypes)
	}
	return b.data[x.Offset : x.Offset+x.NBytes]
}

// F32 returns an array of f32 or bf16, widened.
func (b *Blob) F32(t testing.TB, name string) []float32 {
	t.Helper()
	raw := b.bytes(t, name, "f32", "bf16")
	if b.tensors[name].DType == "bf16" {
		v := make([]float32, len(raw)/2)
		for i := range v {
			v[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(raw[2*i:])) << 16)
		}
		return v
	}
	v := make([]float32, len(raw)/4)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return v
}

// Ints returns an array of integers.
func (b *Blob) Ints(t testing.TB, name string) []int {
	t.Helper()
	raw := b.bytes(t, name, "i32", "u8")
	if b.tensors[name].DType == "u8" {
		v := make([]int, len(raw))
		for i := range v {
			v[i] = int(raw[i])
		}
		return v
	}
	v := make([]int, len(raw)/4)
	for i := range v {
		v[i] = int(int32(binary.LittleEndian.Uint32(raw[4*i:])))
	}
	return v
}

// U8 returns an array of bytes.
func (b *Blob) U8(t testing.TB, name string) []byte {
	t.Helper()
	return b.bytes(t, name, "u8")
}

// Kernels returns the kernel goldens of every tree that have an array of that
// name, with its group (rmsnorm.w) or in any (topk); own must.
func Kernels(t testing.TB, own, name string) []*Blob {
	t.Helper()
	var blobs []*Blob
	for _, tree := range Trees(t, own) {
		for _, path := range Find(t, tree, "kernels.json") {
			b, err := ReadBlob(path)
			if err != nil {
				t.Fatal(err)
			}
			if b.Has(name) || b.Groups(name) != nil {
				blobs = append(blobs, b)
			}
		}
		if len(blobs) == 0 {
			t.Fatalf("%s has no kernel goldens with %s", own, name)
		}
	}
	t.Logf("%d sets of kernel goldens with %s", len(blobs), name)
	return blobs
}

// MaxDiff returns the largest distance between two arrays, infinite where their
// lengths differ or a number is none.
func MaxDiff(got, want []float32) float64 {
	if len(got) != len(want) {
		return math.Inf(1)
	}
	var d float64
	for i := range got {
		e := math.Abs(float64(got[i]) - float64(want[i]))
		if got[i] == want[i] {
			e = 0 // also for infinities
		}
		if math.IsNaN(e) {
			return math.Inf(1)
		}
		d = max(d, e)
	}
	return d
}
