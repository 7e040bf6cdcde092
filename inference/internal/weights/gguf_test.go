package weights_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"chorale/inference/internal/golden"
	"chorale/inference/internal/weights"
)

// open opens a GGUF file that is in memory.
func open(b []byte) (*weights.Store, error) {
	return weights.OpenFiles("memory", map[string][]byte{"some.gguf": b})
}

// le packs numbers, least byte first.
func le(t testing.TB, all ...any) (b []byte) {
	t.Helper()
	for _, v := range all {
		var err error
		if b, err = binary.Append(b, binary.LittleEndian, v); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func str(t testing.TB, s string) []byte { return append(le(t, uint64(len(s))), s...) }

func TestMetadata(t *testing.T) {
	g := &golden.GGUF{}
	numbers := map[string]struct {
		kind  uint32
		value any
		want  float64
	}{
		"u8": {0, uint8(200), 200}, "i8": {1, int8(-100), -100}, "u16": {2, uint16(60000), 60000}, "i16": {3, int16(-30000), -30000},
		"u32": {4, uint32(4e9), 4e9}, "i32": {5, int32(-2e9), -2e9}, "f32": {6, float32(1.5), 1.5},
		"u64": {10, uint64(1 << 40), 1 << 40}, "i64": {11, int64(-1 << 40), -1 << 40}, "f64": {12, 0.1, 0.1},
	}
	for key, n := range numbers {
		g.Raw(key, n.kind, le(t, n.value))
	}
	g.Key("yes", true)
	g.Key("name", "gpt-oss")
	g.Raw("huge", 10, le(t, uint64(math.MaxUint64)))
	g.Raw("types", 9, le(t, uint32(5), uint64(3), int32(1), int32(-3), int32(5)))
	g.Raw("words", 9, slices.Concat(le(t, uint32(8), uint64(3)), str(t, "a"), str(t, ""), str(t, "漢字")))
	g.Raw("nested", 9, slices.Concat(le(t, uint32(9), uint64(2)), le(t, uint32(0), uint64(1), uint8(9)), le(t, uint32(8), uint64(1)), str(t, "x")))
	s, err := open(g.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	m := s.Metadata()
	for key, n := range numbers {
		if v, err := m.Float(key); err != nil || v != n.want {
			t.Errorf("%s is %v, %v", key, v, err)
		}
		v, err := m.Int(key)
		if float := strings.HasPrefix(key, "f"); float != (err != nil) || !float && float64(v) != n.want {
			t.Errorf("%s as an integer is %v, %v", key, v, err)
		}
	}
	if v, err := m.String("name"); err != nil || v != "gpt-oss" {
		t.Errorf("name is %q, %v", v, err)
	}
	if v, err := m.Ints("types"); err != nil || !slices.Equal(v, []int{1, -3, 5}) {
		t.Errorf("types are %v, %v", v, err)
	}
	if v, err := m.Strings("words"); err != nil || !slices.Equal(v, []string{"a", "", "漢字"}) {
		t.Errorf("words are %q, %v", v, err)
	}
	_, missing := m.Int("none")
	_, kind := m.String("types")
	_, large := m.Int("huge")
	_, words := m.Strings("name")
	for err, want := range map[error]string{missing: "none is missing", kind: "array of i32, want a string", large: "out of range", words: "is string, want an array of strings"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

func TestGGUFRefuses(t *testing.T) {
	header := func(tensors, keys uint64, rest ...[]byte) []byte {
		return slices.Concat([]byte("GGUF"), le(t, uint32(3), tensors, keys), slices.Concat(rest...))
	}
	info := func(kind uint32, offset uint64, dims ...uint64) []byte {
		return slices.Concat(str(t, "x"), le(t, uint32(len(dims)), dims, kind, offset))
	}
	// file is a whole file with these tensors and so many bytes of data.
	file := func(data int, infos ...[]byte) []byte {
		b := header(uint64(len(infos)), 0, infos...)
		return append(b, make([]byte, -len(b)&31+data)...)
	}
	key := func(kind uint32, value ...any) []byte {
		return append(append(str(t, "k"), le(t, kind)...), le(t, value...)...)
	}
	const huge = math.MaxUint64
	for _, c := range []struct {
		name string
		data []byte
		want string // in the message, besides the file's name
	}{
		{"empty", nil, "truncated"},
		{"magic", []byte("GGML...."), "not GGUF"},
		{"ends in its head", []byte("GGUF\x03\x00\x00\x00\x01"), "truncated"},
		{"version 2", []byte("GGUF\x02\x00\x00\x00"), "version 2"},
		{"big-endian", []byte("GGUF\x00\x00\x00\x03"), "big-endian"},
		{"too many tensors", header(huge, 0), "more than a checkpoint has"},
		{"too many keys", header(0, huge), "more than a checkpoint has"},
		{"keys missing", header(0, 1), "truncated"},
		{"long key", header(0, 1, le(t, uint64(huge))), "name of"},
		{"no name", header(0, 1, le(t, uint64(0))), "name of 0"},
		{"unknown value", header(0, 1, key(13)), "unknown type 13"},
		{"string past the end", header(0, 1, key(8, uint64(huge))), "truncated"},
		{"array past the end", header(0, 1, key(9, uint32(10), uint64(1<<61))), "truncated"},
		{"strings past the end", header(0, 1, key(9, uint32(8), uint64(huge))), "truncated"},
		{"array of nothing known", header(0, 1, key(9, uint32(99), uint64(1))), "unknown type"},
		{"deep", header(0, 1, key(9, uint32(9), uint64(1), uint32(9), uint64(1), uint32(9), uint64(1), uint32(9), uint64(1), uint32(9), uint64(1))), "nested"},
		{"key twice", header(0, 2, key(0, uint8(1)), key(0, uint8(1))), "twice"},
		{"alignment", header(0, 1, str(t, "general.alignment"), le(t, uint32(4), uint32(24))), "power of two"},
		{"tensor twice", file(64, info(0, 0, 1), info(0, 32, 1)), "twice"},
		{"unknown type", file(32, info(77, 0, 32)), "type 77 is unknown"},
		{"Q4_K", file(32, info(12, 0, 256)), `tensor "x": its type Q4_K is not supported; F32, F16, BF16, Q8_0 and MXFP4 are`},
		{"too many dimensions", file(32, info(0, 0, 1, 1, 1, 1, 1)), "5 dimensions"},
		{"product overflows", file(32, info(0, 0, 1<<31-1, 1<<31-1, 1<<31-1)), "too large"},
		{"a dimension is too large", file(32, info(0, 0, 1<<40)), "too large"},
		{"half a block", file(64, info(8, 0, 33)), "whole blocks"},
		{"no dimension", file(64, info(39, 0)), "whole block"},
		{"past the end", file(32, info(0, 0, 9)), "truncated"},
		{"offset past the end", file(32, info(0, huge&^31, 1)), "truncated"},
		{"offset is not aligned", file(64, info(0, 4, 1)), "alignment"},
		{"gap", file(128, info(0, 64, 1)), "unused bytes"},
		{"rest", file(128, info(0, 0, 1)), "after the last tensor"},
	} {
		_, err := open(c.data)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "some.gguf") {
			t.Errorf("%s: error %v, want one with %q and the file's name", c.name, err, c.want)
		}
	}
}

// TestSplit opens a model in parts by any of them, and refuses what does not
// belong together.
func TestSplit(t *testing.T) {
	dir := t.TempDir()
	part := func(name string, no, count, tensors uint32, hold ...string) string {
		t.Helper()
		g := &golden.GGUF{}
		if no == 0 {
			g.Key("general.architecture", "gpt-oss")
		}
		g.Raw("split.no", 2, le(t, uint16(no)))
		g.Raw("split.count", 2, le(t, uint16(count)))
		g.Raw("split.tensors.count", 5, le(t, tensors))
		for _, h := range hold {
			g.Tensor(h, 0, []int{2}, make([]byte, 8))
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, g.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	refuse := func(path, want string) {
		t.Helper()
		if _, err := weights.Open(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	first := part("m-00001-of-00002.gguf", 0, 2, 3)
	refuse(first, "m-00002-of-00002.gguf")
	second := part("m-00002-of-00002.gguf", 1, 2, 3, "a", "b", "c")
	for _, path := range []string{first, second, dir} {
		s, err := weights.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if a, err := s.Metadata().String("general.architecture"); err != nil || a != "gpt-oss" {
			t.Errorf("%s: architecture %q, %v", path, a, err)
		}
		if _, err := s.Tensor("c", []int{2}, weights.F32); err != nil {
			t.Error(err)
		}
		s.Close()
	}
	part("m-00002-of-00002.gguf", 1, 2, 3, "a", "b")
	refuse(dir, "2 tensors are there")
	part("m-00002-of-00002.gguf", 0, 2, 3, "a", "b", "c")
	refuse(dir, "split.no is 0, want 1")
	refuse(part("alone.gguf", 0, 2, 3), "split.count is 2, want 1")
}

// FuzzGGUF holds that no file makes the reader panic or hand out a view that
// does not have the size its shape calls for.
func FuzzGGUF(f *testing.F) {
	g := &golden.GGUF{}
	g.Key("general.architecture", "gpt-oss")
	g.Raw("words", 9, slices.Concat(le(f, uint32(8), uint64(2)), str(f, "a"), str(f, "b")))
	g.Tensor("x", 8, []int{2, 32}, make([]byte, 68))
	g.Tensor("y", 39, []int{1, 2, 32}, make([]byte, 34))
	f.Add(g.Bytes())
	f.Add(bytes.Replace(g.Bytes(), []byte("words"), []byte("word\x00"), 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := open(b)
		if err != nil {
			return
		}
		if words, err := s.Metadata().Strings("words"); err == nil && len(words) > len(b) {
			t.Errorf("%d words in %d bytes", len(words), len(b))
		}
		for _, name := range []string{"x", "y"} {
			shape, _ := s.Shape(name)
			for kind, size := range map[weights.DType]int{weights.Q8_0: weights.Q8Bytes, weights.MXFP4Blocks: weights.MXFP4Bytes} {
				x, err := s.Tensor(name, shape, kind)
				if err == nil && len(x.Data) != x.Len()/weights.Block*size {
					t.Errorf("%s: %d bytes for %s %v", name, len(x.Data), x.DType, x.Shape)
				}
			}
		}
	})
}
