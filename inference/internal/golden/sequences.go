package golden

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"chorale/inference/internal/graph"
	"chorale/inference/synth"
)

// Sequences is how a backend is to be tested with sequences that share passes,
// that go back, and that are long.
type Sequences struct {
	Load func(c *graph.Config, w *graph.Weights, kv graph.KVType) (graph.Backend, error)

	// Bytes returns the memory that a sequence's cache takes, marks included.
	Bytes func(s graph.State) int64

	// Jump makes an empty sequence end at a position, whatever its cache holds.
	Jump func(s graph.State, pos int)
}

// sliding is small and has a window that its prompts leave far behind.
var sliding = synth.Model{Hidden: 64, Width: 64, Layers: 2, Experts: 8, TopK: 2, Heads: 4, KVHeads: 2, Window: 32, Vocab: 201, Seed: 1}

// Run runs every test with caches in both types; under the race detector only
// what takes little arithmetic.
func (q Sequences) Run(t *testing.T) {
	c, w := Synth(t, sliding)
	for _, kv := range []graph.KVType{graph.KVF32, graph.KVF16} {
		t.Run(kv.String(), func(t *testing.T) {
			b := q.backend(t, c, w, kv)
			t.Run("together", func(t *testing.T) { together(t, b, c) })
			t.Run("refused", func(t *testing.T) { refused(t, b, c) })
			t.Run("draws", func(t *testing.T) { Draws(t, b, c) })
			if Race {
				return
			}
			if kv == graph.KVF32 {
				t.Run("chunks", func(t *testing.T) { chunks(t, b, c) })
			}
			t.Run("rewind", func(t *testing.T) { rewinds(t, b, c) })
			t.Run("memory", func(t *testing.T) { q.memory(t, b, c, kv) })
		})
	}
	t.Run("far", func(t *testing.T) { q.far(t, c, w) })
}

func (q Sequences) backend(t *testing.T, c *graph.Config, w *graph.Weights, kv graph.KVType) graph.Backend {
	t.Helper()
	b, err := q.Load(c, w, kv)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return b
}

func newState(t *testing.T, b graph.Backend, context int) graph.State {
	t.Helper()
	s, err := b.NewState(context)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close state: %v", err)
		}
	})
	return s
}

// words returns n ids that depend on a seed.
func words(c *graph.Config, n int, seed uint64) []uint32 {
	r := rand.New(rand.NewPCG(seed, 1))
	ids := make([]uint32, n)
	for i := range ids {
		ids[i] = uint32(r.IntN(c.Vocab))
	}
	return ids
}

// feed runs ids from a position on in passes of at most n tokens and returns the
// logits after the last.
func feed(t *testing.T, s graph.State, ids []uint32, pos, n int) []float32 {
	t.Helper()
	for {
		part := ids[:min(n, len(ids))]
		ids = ids[len(part):]
		b := graph.Batch{IDs: part, Pos: pos}
		if len(ids) == 0 {
			b.Rows = []int{len(part) - 1}
		}
		logits, err := s.Forward(context.Background(), b)
		if err != nil {
			t.Fatal(err)
		}
		if pos += len(part); len(ids) == 0 {
			return slices.Clone(logits)
		}
	}
}

// story is a sequence that runs a prompt and then decodes greedily.
type story struct {
	state  graph.State
	prompt []uint32
	pos    int
	logits [][]float32 // after the prompt and after each token
}

// next returns the part that the sequence brings to the next pass, at most n
// tokens of what is left of its prompt.
func (s *story) next(c *graph.Config, n int) graph.Part {
	p := graph.Part{State: s.state, Batch: graph.Batch{Pos: s.pos}}
	if s.pos < len(s.prompt) {
		p.IDs = s.prompt[s.pos:min(s.pos+n, len(s.prompt))]
	} else {
		p.IDs = []uint32{uint32(best(s.logits[len(s.logits)-1]))}
	}
	if s.pos += len(p.IDs); s.pos >= len(s.prompt) {
		p.Rows, p.Logits = []int{len(p.IDs) - 1}, make([]float32, c.Vocab)
		s.logits = append(s.logits, p.Logits)
	}
	return p
}

// together runs as many sequences as a pass takes, of different lengths, first
// each alone, and then all in the same passes, where some have not done with
// their prompts when others decode. Every logit must be the same, bit by bit.
func together(t *testing.T, b graph.Backend, c *graph.Config) {
	const steps = 10
	play := func(group []*story) {
		for range steps {
			var parts []graph.Part
			for i, s := range group {
				parts = append(parts, s.next(c, 5+7*i))
			}
			if err := b.Forward(context.Background(), parts); err != nil {
				t.Fatal(err)
			}
		}
	}
	var lone, group []*story
	for i := range graph.MaxParts {
		prompt := words(c, []int{1, 5, 12, 40, 33, 200, 64, 90}[i], uint64(i))
		for _, list := range []*[]*story{&lone, &group} {
			*list = append(*list, &story{state: newState(t, b, 700), prompt: prompt})
		}
		for range steps {
			s := lone[i]
			if err := b.Forward(context.Background(), []graph.Part{s.next(c, 5+7*i)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	play(group)
	compared := 0
	for i, s := range group {
		for j, logits := range s.logits {
			if !slices.Equal(logits, lone[i].logits[j]) {
				t.Errorf("sequence %d, step %d: among others the logits are off by %.2g", i, j, MaxDiff(logits, lone[i].logits[j]))
			}
			compared++
		}
	}
	t.Logf("%d rows of logits are the same", compared)
}

// chunks cuts a prompt in several ways; the result must be the same, bit by bit.
func chunks(t *testing.T, b graph.Backend, c *graph.Config) {
	prompt := words(c, 620, 9)
	want := feed(t, newState(t, b, 700), prompt, 0, b.Chunk())
	for _, n := range []int{1, 64, 333} {
		if n == 1 { // the last ones alone
			s := newState(t, b, 700)
			feed(t, s, prompt[:600], 0, b.Chunk())
			if got := feed(t, s, prompt[600:], 600, 1); !slices.Equal(got, want) {
				t.Errorf("one by one: logits are off by %.2g", MaxDiff(got, want))
			}
			continue
		}
		if got := feed(t, newState(t, b, 700), prompt, 0, n); !slices.Equal(got, want) {
			t.Errorf("passes of %d tokens: logits are off by %.2g", n, MaxDiff(got, want))
		}
	}
}

// rewinds has a sequence go on by turns, each marked at its beginning and its
// end, and go back to somewhere, at random, near and far by turns. Wherever it
// stands then, it must say what a fresh sequence of the same tokens says.
func rewinds(t *testing.T, b graph.Backend, c *graph.Config) {
	const context = 1300 // more than twice what a ring holds
	r := rand.New(rand.NewPCG(4, 2))
	s := newState(t, b, context)
	var tokens []uint32
	again, exact := 0, 0
	for round := range 5 {
		for turn := 0; len(tokens) < 1000; turn++ {
			more := words(c, 50+r.IntN(250), uint64(round<<8+turn))
			got := feed(t, s, more, len(tokens), 1+r.IntN(b.Chunk()))
			tokens = append(tokens, more...)
			if turn == 0 && round > 0 { // the first after going back
				if want := feed(t, newState(t, b, context), tokens, 0, b.Chunk()); !slices.Equal(got, want) {
					t.Fatalf("round %d, at %d: logits are off by %.2g", round, len(tokens), MaxDiff(got, want))
				}
			}
			for _, pos := range []int{len(tokens) - r.IntN(len(more)), len(tokens)} {
				if err := s.Mark(pos); err != nil {
					t.Fatal(err)
				}
			}
		}
		to := len(tokens) - r.IntN(500)
		if round%2 == 0 {
			to = 100 + r.IntN(300)
		}
		at, err := s.Rewind(to)
		if err != nil || at > to {
			t.Fatalf("rewound to %d, asked for %d: %v", at, to, err)
		}
		if again += to - at; to == at {
			exact++
		}
		tokens = tokens[:at]
	}
	t.Logf("%d tokens to compute again, %d times none", again, exact)
	if again == 0 || exact == 0 {
		t.Error("no mark was used, or the ring never")
	}
}

// memory fills a context, with all marks, and compares what that takes with what
// graph.CacheBytes says.
func (q Sequences) memory(t *testing.T, b graph.Backend, c *graph.Config, kv graph.KVType) {
	for _, context := range []int{1, 64, 700} {
		s := newState(t, b, context)
		ids := words(c, context, 3)
		for i := range graph.MaxMarks {
			lo, hi := context*i/graph.MaxMarks, context*(i+1)/graph.MaxMarks
			if hi > lo {
				feed(t, s, ids[lo:hi], lo, b.Chunk())
			}
			if err := s.Mark(hi); err != nil {
				t.Fatal(err)
			}
		}
		if got, want := q.Bytes(s), graph.CacheBytes(c, context, kv); got != want {
			t.Errorf("a context of %d takes %d bytes, want %d", context, got, want)
		}
	}
}

// refused sees that a pass of parts that don't fit together does nothing.
func refused(t *testing.T, b graph.Backend, c *graph.Config) {
	s := newState(t, b, 100)
	ids, logits := words(c, 3, 1), make([]float32, c.Vocab)
	many := make([]graph.Part, graph.MaxParts+1)
	for i := range many {
		many[i] = graph.Part{State: newState(t, b, 100), Batch: graph.Batch{IDs: ids}}
	}
	good := graph.Part{State: s, Batch: graph.Batch{IDs: ids, Rows: []int{2}}, Logits: logits}
	for what, parts := range map[string][]graph.Part{
		"no part":             nil,
		"too many":            many,
		"the same twice":      {good, good},
		"no room for logits":  {{State: s, Batch: good.Batch}},
		"tokens after a hole": {{State: s, Batch: graph.Batch{IDs: ids, Pos: 1}}},
		"another's bad id":    {good, {State: many[0].State, Batch: graph.Batch{IDs: []uint32{uint32(c.Vocab)}}}},
	} {
		if err := b.Forward(context.Background(), parts); err == nil {
			t.Errorf("%s: was run", what)
		}
	}
	if err := b.Forward(context.Background(), []graph.Part{good}); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// far runs a prompt at the first positions and at the last of a long context.
// Attention knows only how far tokens are apart, so where every layer slides and
// the beginning is out of sight, the logits must be the same, but for rounding:
// they are not where angles are computed in f32.
func (q Sequences) far(t *testing.T, c *graph.Config, w *graph.Weights) {
	all := *c
	all.Window = []int{32, 32}
	b := q.backend(t, &all, w, graph.KVF32)
	prompt := words(c, 150, 5)
	near := feed(t, newState(t, b, 200), prompt, 0, b.Chunk())
	s := newState(t, b, 1<<17)
	pos := 1<<17 - len(prompt)
	q.Jump(s, pos)
	if d := MaxDiff(feed(t, s, prompt, pos, b.Chunk()), near); d > 2e-4 {
		t.Errorf("at the end of the context logits are off by %.2g", d)
	} else {
		t.Logf("at the end of the context within %.2g", d)
	}
}

// Together measures decoding of one sequence, of four and of eight in the same
// passes, by turns, and reports how many times the tokens per second of one they
// give. Tokens are random, so sequences share few experts.
func Together(b *testing.B, load func(c *graph.Config, w *graph.Weights) (graph.Backend, error)) {
	b.Run("pocket", func(b *testing.B) {
		c, w := Open(b, "../../pocket")
		decodeTogether(b, load, c, w)
	})
	b.Run("20b", func(b *testing.B) {
		m := synth.Presets["20b"]
		m.Layers, m.Vocab = 1, 16384
		c, w := Synth(b, m)
		decodeTogether(b, load, c, w)
	})
}

func decodeTogether(b *testing.B, load func(c *graph.Config, w *graph.Weights) (graph.Backend, error), c *graph.Config, w *graph.Weights) {
	backend, err := load(c, w)
	if err != nil {
		b.Fatal(err)
	}
	defer backend.Close()
	var parts [graph.MaxParts]graph.Part
	ids := rand.New(rand.NewPCG(1, 1))
	for i := range parts {
		s, err := backend.NewState(min(4096, c.MaxContext))
		if err != nil {
			b.Fatal(err)
		}
		defer s.Close()
		parts[i] = graph.Part{State: s, Batch: graph.Batch{Rows: []int{0}}, Logits: make([]float32, c.Vocab)}
	}
	step := func(n int) time.Duration {
		for i := range n {
			parts[i].Pos += len(parts[i].IDs)
			parts[i].IDs = []uint32{uint32(ids.IntN(c.Vocab))}
		}
		begin := time.Now()
		if err := backend.Forward(b.Context(), parts[:n]); err != nil {
			b.Fatal(err)
		}
		return time.Since(begin)
	}
	sizes := []int{1, 4, graph.MaxParts}
	took := map[int]time.Duration{}
	for _, n := range sizes {
		step(n) // compiles and records
	}
	for b.Loop() {
		for _, n := range sizes {
			took[n] += step(n)
		}
	}
	speed := func(n int) float64 { return float64(n*b.N) / took[n].Seconds() }
	for _, n := range sizes {
		b.ReportMetric(speed(n), fmt.Sprintf("tok/s-of-%d", n))
		b.ReportMetric(speed(n)/speed(1), fmt.Sprintf("x-of-%d", n))
	}
}
