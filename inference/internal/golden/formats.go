package golden

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"testing"

	"chorale/inference/internal/graph"
	"chorale/inference/internal/weights"
	"chorale/inference/synth"
)

// RunFormats holds that equal weights give equal bits, in every register of a
// pass, whatever the format that they are stored in; and that the Q8_0 files
// of the trees stay as close to the goldens as its 8 bits let it.
func (s Suite) RunFormats(t *testing.T, trees []string) {
	t.Run("layouts", s.layouts)
	for _, tree := range trees {
		for _, path := range Find(t, tree, "model.gguf") {
			t.Run("types", func(t *testing.T) { s.types(t, path) })
		}
		for _, path := range Find(t, tree, "model-q8_0.gguf") {
			t.Run("q8_0", func(t *testing.T) { s.q8(t, path) })
		}
	}
}

// layouts compares the three layouts of a model, as its writer makes them.
func (s Suite) layouts(t *testing.T) {
	m := synth.Presets["tiny-b"]
	m.Layers = 2
	var want []write
	for i, layout := range []synth.Format{synth.HF, synth.OpenAI, synth.GGUF} {
		path := filepath.Join(t.TempDir(), "model."+string(layout))
		if err := m.Write(context.Background(), path, synth.Output{Format: layout}); err != nil {
			t.Fatal(err)
		}
		got := s.pass(Open(t, path))
		if i == 0 {
			want = got(t)
			continue
		}
		sameBits(t, string(layout), got(t), want)
	}
}

// types compares files of the same numbers in different types, in the shapes of
// the file at path.
func (s Suite) types(t *testing.T, path string) {
	c, w := Open(t, path)
	for _, odd := range []bool{false, true} {
		list := []Types{{Dense: weights.Q8_0, Vector: weights.F32}, {Dense: weights.F32, Vector: weights.BF16, KeyType: weights.Q8_0}}
		if !odd {
			list = append(list, Types{Dense: weights.BF16, Vector: weights.F16}, Types{Dense: weights.F16, Vector: weights.F32, KeyType: weights.BF16})
		}
		var want []write
		for i, types := range list {
			types.Odd = odd
			path := filepath.Join(t.TempDir(), "mixed.gguf")
			if err := os.WriteFile(path, Mixed(c, w, 7, types), 0o644); err != nil {
				t.Fatal(err)
			}
			got := s.pass(Open(t, path))(t)
			if i == 0 {
				want = got
				continue
			}
			sameBits(t, string(types.Dense), got, want)
		}
	}
}

// write is a register as an operation left it.
type write struct {
	reg    graph.Reg
	values []float32
}

// pass runs a prompt in two batches and a single token, and returns all that was
// written.
func (s Suite) pass(c *graph.Config, w *graph.Weights) func(t *testing.T) []write {
	return func(t *testing.T) []write {
		t.Helper()
		b, err := s.Load(c, w)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		state, err := b.NewState(64)
		if err != nil {
			t.Fatal(err)
		}
		defer state.Close()
		var all []write
		tap := func(r graph.Reg, v []float32) { all = append(all, write{r, append([]float32(nil), v...)}) }
		for _, x := range []struct{ pos, n int }{{0, 33}, {33, 9}, {42, 1}} {
			batch := graph.Batch{Pos: x.pos, Rows: []int{x.n - 1}}
			for i := range x.n {
				batch.IDs = append(batch.IDs, uint32((x.pos+i)*7919%c.Vocab))
			}
			if err := state.Trace(context.Background(), batch, tap); err != nil {
				t.Fatal(err)
			}
		}
		return all
	}
}

func sameBits(t *testing.T, what string, got, want []write) {
	t.Helper()
	if len(got) != len(want) || len(want) == 0 {
		t.Fatalf("%s: %d registers were written, want %d", what, len(got), len(want))
	}
	for i, w := range want {
		for j, v := range w.values {
			if math.Float32bits(got[i].values[j]) != math.Float32bits(v) {
				t.Fatalf("%s: write %d, register %d: number %d is %v, want %v", what, i, w.reg, j, got[i].values[j], v)
			}
			if math.IsNaN(float64(v)) {
				t.Fatalf("%s: write %d, register %d: number %d is none", what, i, w.reg, j)
			}
		}
	}
	t.Logf("%s: %d registers are equal", what, len(want))
}

// The distance of tiny-a in Q8_0 from its goldens: what llama.cpp has with f32
// activations is at most 0.83, 0.09 in the mean.
const (
	q8Max  = 0.83
	q8Mean = 0.09
)

// q8 compares the logits of a Q8_0 file with the goldens of the exact weights.
func (s Suite) q8(t *testing.T, path string) {
	g, err := ReadBlob(filepath.Join(filepath.Dir(path), "golden/golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	c, w := Open(t, path)
	b, err := s.Load(c, w)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	var worst, sum float64
	n := 0
	for _, p := range g.Prompts() {
		r := &run{Suite: s, m: Model{Config: c, Golden: g}, b: b, prompt: p, ids: tokens(g.Ints(t, p+".ids"))}
		if len(r.ids) > 1000 {
			continue
		}
		r.state(t)
		kept := g.Ints(t, p+".logit_pos")
		want := g.F32(t, p+".logits")
		r.each(t, r.ids, 0, b.Chunk(), func(pos int, logits []float32) {
			for i, k := range kept {
				if k != pos {
					continue
				}
				for j, v := range logits {
					d := math.Abs(float64(v) - float64(want[i*c.Vocab+j]))
					worst, sum, n = max(worst, d), sum+d, n+1
				}
			}
		})
	}
	t.Logf("%d logits: at most %.3f off, %.4f in the mean", n, worst, sum/float64(n))
	if !(worst <= q8Max && sum/float64(n) <= q8Mean) {
		t.Errorf("want at most %v, %v in the mean", q8Max, q8Mean)
	}
}
