package weights

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// container makes a safetensors file of a header and n bytes of data.
func container(header string, n int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, n)...)
}

func TestParse(t *testing.T) {
	good := container(`{"__metadata__":{"format":"pt"},"b":{"dtype":"U8","shape":[2,3],"data_offsets":[4,10]},"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}   `, 10)
	tensors, err := parse("x.safetensors", good)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintln(tensors[0].Name, tensors[0].Shape, len(tensors[0].Data), tensors[1].Name, tensors[1].Shape, len(tensors[1].Data)); got != "a [2] 4 b [2 3] 6\n" {
		t.Errorf("parsed %q", got)
	}
}

func TestParseRefuses(t *testing.T) {
	entry := func(dtype, shape, offsets string) string {
		return fmt.Sprintf(`{"x":{"dtype":%s,"shape":%s,"data_offsets":%s}}`, dtype, shape, offsets)
	}
	for _, c := range []struct {
		name string
		data []byte
		want string // in the message, besides the file's name
	}{
		{"empty", nil, "too short"},
		{"short", []byte{1, 0, 0}, "too short"},
		{"header longer than the file", container("{}", 0)[:9], "truncated"},
		{"huge header", binary.LittleEndian.AppendUint64(nil, 1<<63), "truncated"},
		{"no object", container("[1]", 0), "not a JSON object"},
		{"half an object", container(`{"x":`, 0), "header"},
		{"something after the object", container(`{} {}`, 0), "after the JSON object"},
		{"entry is no object", container(`{"x":3}`, 0), `"x"`},
		{"twice", container(`{"x":{"dtype":"U8","shape":[],"data_offsets":[0,1]},"x":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}`, 1), "twice"},
		{"no dtype", container(`{"x":{"shape":[1],"data_offsets":[0,1]}}`, 1), "dtype is missing"},
		{"no shape", container(`{"x":{"dtype":"U8","data_offsets":[0,1]}}`, 1), "shape is missing"},
		{"no offsets", container(`{"x":{"dtype":"U8","shape":[1]}}`, 1), "data_offsets is missing"},
		{"unknown dtype", container(entry(`"Q4"`, "[1]", "[0,1]"), 1), "unknown dtype"},
		{"negative size", container(entry(`"U8"`, "[-1]", "[0,1]"), 1), "shape is [-1]"},
		{"fraction", container(entry(`"U8"`, "[1.5]", "[0,1]"), 1), "shape is [1.5]"},
		{"too many sizes", container(entry(`"U8"`, "[1,1,1,1,1,1,1,1,1]", "[0,1]"), 1), "at most eight"},
		{"product overflows", container(entry(`"U8"`, "[4294967296,4294967296,4294967296]", "[0,1]"), 1), "too large"},
		{"three offsets", container(entry(`"U8"`, "[1]", "[0,1,2]"), 1), "want two"},
		{"end before start", container(entry(`"U8"`, "[1]", "[1,0]"), 1), "outside"},
		{"past the end", container(entry(`"U8"`, "[9]", "[0,9]"), 8), "truncated"},
		{"offset overflows", container(entry(`"U8"`, "[1]", "[18446744073709551615,18446744073709551615]"), 1), "outside"},
		{"size and shape differ", container(entry(`"BF16"`, "[3]", "[0,4]"), 4), "takes 6"},
		{"rest", container(entry(`"U8"`, "[1]", "[0,1]"), 2), "after the last tensor"},
		{"gap", container(entry(`"U8"`, "[1]", "[1,2]"), 2), "unused bytes"},
		{"overlap", container(`{"x":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"y":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}}`, 3), `"y"`},
	} {
		_, err := parse("some.safetensors", c.data)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "some.safetensors") {
			t.Errorf("%s: error %v, want one with %q and the file's name", c.name, err, c.want)
		}
	}
}

const shards = "../../testdata/models/tiny-b/hf"

// copyDir copies a checkpoint to where a test may break it.
func copyDir(t *testing.T, from string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestOpenRefuses(t *testing.T) {
	const second = "model-00001-of-00002.safetensors"
	edit := func(t *testing.T, dir string, change func(weightMap map[string]any)) {
		path := filepath.Join(dir, indexName)
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var v map[string]any
		if err := json.Unmarshal(b, &v); err != nil {
			t.Fatal(err)
		}
		change(v["weight_map"].(map[string]any))
		if b, err = json.Marshal(v); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, dir string) error
		want   []string
	}{
		{"shard missing", func(t *testing.T, dir string) error { return os.Remove(filepath.Join(dir, second)) },
			[]string{second, "model.layers.", "among them"}},
		{"header truncated", func(t *testing.T, dir string) error { return os.Truncate(filepath.Join(dir, second), 100) },
			[]string{second, "truncated", "model.layers.", "among them"}},
		{"shard truncated", func(t *testing.T, dir string) error { return os.Truncate(filepath.Join(dir, second), 1_000_000) },
			[]string{second, "tensor", "truncated"}},
		{"shard empty", func(t *testing.T, dir string) error { return os.Truncate(filepath.Join(dir, second), 0) }, []string{second}},
		{"shard is a directory", func(t *testing.T, dir string) error {
			path := filepath.Join(dir, second)
			if err := os.Remove(path); err != nil {
				return err
			}
			return os.Mkdir(path, 0o755)
		}, []string{second, "regular"}},
		{"index is no JSON", func(t *testing.T, dir string) error {
			return os.WriteFile(filepath.Join(dir, indexName), []byte("{"), 0o644)
		}, []string{indexName}},
		{"index names nothing", func(t *testing.T, dir string) error {
			return os.WriteFile(filepath.Join(dir, indexName), []byte("{}"), 0o644)
		}, []string{indexName}},
		{"index leads outside", func(t *testing.T, dir string) error {
			edit(t, dir, func(m map[string]any) { m["lm_head.weight"] = "../secret.safetensors" })
			return nil
		}, []string{indexName, "lm_head.weight", "outside"}},
		{"index names a tensor that is not there", func(t *testing.T, dir string) error {
			edit(t, dir, func(m map[string]any) { m["ghost"] = second })
			return nil
		}, []string{second, "ghost", "missing"}},
		{"index names the wrong shard", func(t *testing.T, dir string) error {
			edit(t, dir, func(m map[string]any) { m["model.embed_tokens.weight"] = second })
			return nil
		}, []string{"model.embed_tokens.weight", second}},
		{"the same tensor in two files", func(t *testing.T, dir string) error {
			if err := os.Remove(filepath.Join(dir, indexName)); err != nil {
				return err
			}
			b, err := os.ReadFile(filepath.Join(dir, second))
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, "zz.safetensors"), b, 0o644)
		}, []string{"zz.safetensors", second, "as well"}},
		{"nothing there", func(t *testing.T, dir string) error {
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
			return os.Mkdir(dir, 0o755)
		}, []string{"no *.safetensors"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := copyDir(t, shards)
			if err := c.damage(t, dir); err != nil {
				t.Fatal(err)
			}
			s, err := Open(dir)
			if err == nil {
				s.Close()
				t.Fatal("it opened")
			}
			for _, w := range c.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error %q does not say %q", err, w)
				}
			}
		})
	}
}

func TestOpenWithoutIndex(t *testing.T) {
	dir := copyDir(t, shards)
	if err := os.Remove(filepath.Join(dir, indexName)); err != nil {
		t.Fatal(err)
	}
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Tensor("lm_head.weight", []int{1024, 160}, BF16); err != nil {
		t.Error(err)
	}
}

func TestMXFP4Refuses(t *testing.T) {
	s := &Store{names: []string{"f", "g"}, tensors: map[string]*Tensor{
		"b":    {Name: "b", File: "f", DType: U8, Shape: []int{2, 3, 1, 16}, Data: make([]byte, 96)},
		"s":    {Name: "s", File: "f", DType: U8, Shape: []int{2, 3, 1}, Data: make([]byte, 6)},
		"nan":  {Name: "nan", File: "f", DType: U8, Shape: []int{2, 3, 1}, Data: []byte{0, 1, 2, 255, 4, 5}},
		"less": {Name: "less", File: "f", DType: U8, Shape: []int{2, 2, 1}, Data: make([]byte, 4)},
	}}
	x, err := s.MXFP4("b", "s", 2, 3, 32)
	if err != nil {
		t.Fatal(err)
	}
	if e := x.Slice(1, 2); len(e.Data) != 48 || len(e.Scales) != 3 || e.Len() != 96 {
		t.Errorf("expert 1 has %d bytes, %d scales, %d elements", len(e.Data), len(e.Scales), e.Len())
	}
	for _, c := range []struct {
		scales string
		k      int
		want   string
	}{
		{"nan", 32, `f: tensor "nan": scale 3 is 255`},
		{"less", 32, `f: tensor "less"`},
		{"s", 64, `f: tensor "b"`},
		{"s", 33, `"b": 33 columns`},
		{"gone", 32, `f, g: tensor "gone" is missing`},
	} {
		if _, err := s.MXFP4("b", c.scales, 2, 3, c.k); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("scales %s, %d columns: error %v, want %q", c.scales, c.k, err, c.want)
		}
	}
}

// FuzzParse holds that no file makes the reader panic or hand out a view that
// does not have the size its shape calls for.
func FuzzParse(f *testing.F) {
	f.Add(container(`{"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}`, 4))
	f.Add(container(`{"a":{"dtype":"U8","shape":[0,9],"data_offsets":[0,0]}}`, 0))
	f.Add(container(`{"__metadata__":{}}`, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		tensors, err := parse("f", b)
		if err != nil {
			return
		}
		for _, x := range tensors {
			if len(x.Data) != x.Len()*sizes[x.DType] {
				t.Errorf("%s: %d bytes for %s %v", x.Name, len(x.Data), x.DType, x.Shape)
			}
		}
	})
}
