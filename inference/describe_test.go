package inference

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// TestDescribeLayouts: the layouts of one model differ in name, tensors and what
// they take, and in nothing else.
func TestDescribeLayouts(t *testing.T) {
	for i, tree := range append([]string{"testdata/models"}, filepath.SplitList(os.Getenv("AGENT_MODELS"))...) {
		models, err := filepath.Glob(filepath.Join(tree, "*", "hf"))
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, hf := range models {
			want := description(t, hf)
			n++
			for layout, format := range map[string]string{"original": "openai", "model.gguf": "gguf"} {
				path := filepath.Join(filepath.Dir(hf), layout)
				if _, err := os.Stat(path); err != nil {
					continue
				}
				got := description(t, path)
				n++
				if got.Format != format || want.Format != "safetensors" {
					t.Errorf("%s is %s beside %s", path, got.Format, want.Format)
				}
				shape := func(d Description) string {
					return fmt.Sprint(d.Parameters, d.Layers, d.Hidden, d.Vocab, d.Heads, d.KVHeads, d.HeadDim, d.Experts, d.TopK, d.ExpertWidth, d.Windows, d.MaxContext)
				}
				if shape(got) != shape(want) {
					t.Errorf("%s: %s, want %s as in %s", path, shape(got), shape(want), hf)
				}
			}
		}
		if n == 0 && i > 0 {
			t.Errorf("AGENT_MODELS: %s holds no model", tree)
		}
		t.Logf("%s: %d checkpoints", tree, n)
	}
}

func description(t *testing.T, ref string) Description {
	t.Helper()
	d, err := Describe(ref)
	if err != nil {
		t.Fatal(err)
	}
	sum := int64(0)
	for _, r := range d.Roles {
		sum += r.Bytes
	}
	if sum != d.Bytes || d.Tensors == 0 || d.Tokenizer == "" {
		t.Errorf("%s: the roles have %d bytes of %d, in %d tensors; tokenizer %q", ref, sum, d.Bytes, d.Tensors, d.Tokenizer)
	}
	return d
}

// TestDescribeRealShapes holds the sizes against those of the model card, and of
// each part as computed from the published shapes.
func TestDescribeRealShapes(t *testing.T) {
	for ref, want := range map[string]struct{ parameters, total, experts, attention string }{
		Synthetic + "20b":  {"20.91", "13.76", "10.166", "1.274"},
		Synthetic + "120b": {"116.83", "65.25", "60.994", "1.912"},
	} {
		d := description(t, ref)
		giga := func(n int64, digits int) string { return fmt.Sprintf("%.*f", digits, float64(n)/1e9) }
		role := func(name string) int64 {
			return d.Roles[slices.IndexFunc(d.Roles, func(r Role) bool { return r.Name == name })].Bytes
		}
		got := []string{giga(d.Parameters, 2), giga(d.Bytes, 2), giga(role("experts"), 3), giga(role("attention"), 3)}
		if !slices.Equal(got, []string{want.parameters, want.total, want.experts, want.attention}) {
			t.Errorf("%s: got %v, want %v", ref, got, want)
		}
	}
}
