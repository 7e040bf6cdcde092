package inference

import (
	"bufio"
	"context"
	"encoding/json"
	"math"
	"os"
	"slices"
	"testing"

	"chorale/harmony"
	"chorale/inference/internal/drivers"
	"chorale/inference/internal/golden"
	"chorale/inference/internal/graph"
)

// TestDense: matrices that are converted while they are loaded give on a device
// what they give on the CPU, and little else than before; a type that is none is
// refused.
func TestDense(t *testing.T) {
	drivers.Lavapipe.Use(t)
	p := repeating(80, 1)
	var rows [3][]float32
	for i, o := range []Options{{Device: "cpu"}, {Device: "cpu", Dense: "q8_0"}, {Device: "software", Dense: "q8_0"}} {
		m := openTiny(t, o)
		s, err := m.backend.NewState(100)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		logits, err := s.Forward(t.Context(), graph.Batch{IDs: p, Rows: []int{40, 79}})
		if err != nil {
			t.Fatal(err)
		}
		rows[i] = slices.Clone(logits)
	}
	if d := golden.MaxDiff(rows[1], rows[2]); d > 0.02 {
		t.Errorf("the device is off by %.3g", d)
	}
	if d := golden.MaxDiff(rows[0], rows[1]); d == 0 || d > 1 {
		t.Errorf("the conversion changes logits by %.3g", d)
	} else {
		t.Logf("the conversion changes logits by %.3g", d)
	}
	if _, err := Open(t.Context(), tinyA+"hf", Options{Device: "cpu", Dense: "q4"}); err == nil {
		t.Error("matrices in q4 were promised")
	}
}

// TestHeavyDensePerplexity measures what the conversion costs the embedded model:
// the perplexity of what it should say in its held-out episodes, and of these as a
// whole, of which it has not learned to say the most part.
func TestHeavyDensePerplexity(t *testing.T) {
	if golden.Race {
		t.Skip("much arithmetic, and nothing shared")
	}
	f, err := os.Open("testdata/pocket/eval.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	plain, dense := openModel(t, Pocket, Options{}), openModel(t, Pocket, Options{Dense: "q8_0"})
	source, err := plain.Tokenizer()
	if err != nil {
		t.Fatal(err)
	}
	enc := harmony.O200kHarmony()
	if source.JSON != nil {
		if enc, err = harmony.FromTokenizerJSON(source.JSON); err != nil {
			t.Fatal(err)
		}
	}
	var was, is [2]surprise // of what is said, of everything
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<24)
	for n := 0; lines.Scan(); n++ {
		if n%48 != 0 {
			continue
		}
		var e struct {
			Prompt string
			Turns  []struct{ Expect, Then string }
		}
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		ids := enc.EncodeWithSpecial(e.Prompt)
		said := make([]bool, len(ids))
		for _, turn := range e.Turns {
			for i, text := range []string{turn.Expect, turn.Then} {
				more := enc.EncodeWithSpecial(text)
				ids = append(ids, more...)
				for range more {
					said = append(said, i == 0)
				}
			}
		}
		add(t, &was, plain, ids, said)
		add(t, &is, dense, ids, said)
	}
	for i, what := range []string{"what is said", "everything"} {
		a, b := was[i].perplexity(), is[i].perplexity()
		t.Logf("perplexity of %s, %d tokens: %.5f as the file has them, %.5f in Q8_0, %+.3f %%", what, was[i].n, a, b, 100*(b/a-1))
		if was[i].n < 300 || math.Abs(b/a-1) > 0.01 {
			t.Error("the conversion costs more than a hundredth")
		}
	}
}

// surprise adds up what tokens were not expected.
type surprise struct {
	sum float64
	n   int
}

func (s *surprise) perplexity() float64 { return math.Exp(s.sum / float64(s.n)) }

// add adds those of a text.
func add(t *testing.T, to *[2]surprise, m *Model, ids []uint32, said []bool) {
	t.Helper()
	state, err := m.backend.NewState(len(ids))
	if err != nil {
		t.Fatal(err)
	}
	defer state.Close()
	for pos := 0; pos < len(ids); pos += m.backend.Chunk() {
		b := graph.Batch{IDs: ids[pos:min(pos+m.backend.Chunk(), len(ids))], Pos: pos}
		for i := range b.IDs[:min(len(b.IDs), len(ids)-1-pos)] {
			b.Rows = append(b.Rows, i)
		}
		logits, err := state.Forward(context.Background(), b)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range b.Rows {
			row := logits[i*m.info.Vocab:][:m.info.Vocab]
			top, sum := float64(slices.Max(row)), 0.0
			for _, v := range row {
				sum += math.Exp(float64(v) - top)
			}
			next := pos + r + 1
			for k := range to {
				if k == 1 || said[next] {
					to[k].sum += top + math.Log(sum) - float64(row[ids[next]])
					to[k].n++
				}
			}
		}
	}
}
