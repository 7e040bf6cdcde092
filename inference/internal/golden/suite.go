package golden

import (
	"context"
	"fmt"
	"math"
	"os"
	"testing"

	"chorale/inference/internal/graph"
)

// Suite is how a backend is to be tested.
type Suite struct {
	// Load makes the backend; the suite closes it.
	Load func(c *graph.Config, w *graph.Weights) (graph.Backend, error)

	Tolerance float64 // on logits of standard deviation 2.5; 2e-3 suits f32
	MaxPrompt int     // longer prompts are left out; 0 is no limit
	MaxTrace  int     // as MaxPrompt, for the comparison of router choices

	// MinGap leaves out positions where the oracle's router was less sure of an
	// expert than that: in less than f32 such a choice falls the other way now and
	// then, and moves the logits far. Of greedy paths it is not known how sure the
	// router was, so with a gap set they are left out.
	MinGap float64
}

// HalfCache returns the suite for caches in f16: the prompts of up to 500 tokens,
// with AGENT_PROFILES set all of them. Logits then are within 0.01, and 0.06 where
// 5,000 tokens are in sight, wherever no router's choice falls the other way.
func (s Suite) HalfCache() Suite {
	s.Tolerance, s.MinGap = max(s.Tolerance, 0.1), max(s.MinGap, 0.02)
	s.MaxTrace, s.MaxPrompt = 1, 500
	if os.Getenv("AGENT_PROFILES") != "" {
		s.MaxPrompt = 0
	}
	return s
}

// Run compares the backend with every golden of the model.
func (s Suite) Run(t *testing.T, m Model) {
	t.Helper()
	b, err := s.Load(m.Config, m.Weights)
	if err != nil {
		t.Fatalf("load %s: %v", m.Name, err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	cases := 0
	for _, p := range m.Golden.Prompts() {
		ids := tokens(m.Golden.Ints(t, p+".ids"))
		if s.MaxPrompt > 0 && len(ids) > s.MaxPrompt {
			continue
		}
		cases++
		r := &run{Suite: s, m: m, b: b, prompt: p, ids: ids}
		t.Run(p, func(t *testing.T) {
			r.state(t)
			r.logits(t)
			if m.Golden.Has(p+".greedy") && s.MinGap == 0 {
				r.greedy(t)
			}
			if len(ids) > 1 {
				r.rewind(t)
			}
			if s.MaxTrace == 0 || len(ids) <= s.MaxTrace {
				r.trace(t)
			}
		})
	}
	t.Logf("%s in layout %s: %d prompts", m.Name, m.Layout, cases)
	if cases == 0 {
		t.Errorf("%s has no prompt", m.Name)
	}
}

// run is the test of one prompt.
type run struct {
	Suite
	m      Model
	b      graph.Backend
	prompt string
	ids    []uint32
	s      graph.State
	back   int       // where rewind will go back to
	gaps   []float32 // of the router, [layers, tokens]
}

func tokens(v []int) []uint32 {
	ids := make([]uint32, len(v))
	for i, x := range v {
		ids[i] = uint32(x)
	}
	return ids
}

func (r *run) state(t *testing.T) {
	t.Helper()
	s, err := r.b.NewState(len(r.ids) + 64)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close state: %v", err)
		}
	})
	r.s, r.back = s, len(r.ids)-(len(r.ids)+2)/3
}

// each feeds ids from pos on in batches of at most n tokens and shows f every
// row of logits.
func (r *run) each(t *testing.T, ids []uint32, pos, n int, f func(pos int, logits []float32)) {
	t.Helper()
	for i := 0; i < len(ids); i += n {
		b := graph.Batch{IDs: ids[i:min(i+n, len(ids))], Pos: pos + i}
		for j := range b.IDs {
			b.Rows = append(b.Rows, j)
		}
		out, err := r.s.Forward(context.Background(), b)
		if err != nil {
			t.Fatalf("forward at %d: %v", b.Pos, err)
		}
		if end := b.Pos + len(b.IDs); b.Pos < r.back && r.back <= end {
			if err := r.s.Mark(r.back); err != nil {
				t.Fatalf("mark %d: %v", r.back, err)
			}
		}
		v := r.m.Config.Vocab
		if len(out) != len(b.Rows)*v {
			t.Fatalf("%d logits for %d rows of %d", len(out), len(b.Rows), v)
		}
		for j := range b.Rows {
			f(b.Pos+j, out[j*v:(j+1)*v])
		}
	}
}

// logits compares kept logits and the argmax at every position.
func (r *run) logits(t *testing.T) {
	t.Helper()
	g, p, v := r.m.Golden, r.prompt, r.m.Config.Vocab
	want := map[int][]float32{}
	all := g.F32(t, p+".logits")
	for i, pos := range g.Ints(t, p+".logit_pos") {
		want[pos] = all[i*v : (i+1)*v]
	}
	argmax := g.Ints(t, p+".argmax")
	var worst float64
	unsure := 0
	r.each(t, r.ids, 0, r.b.Chunk(), func(pos int, logits []float32) {
		if r.gap(t, pos) < r.MinGap {
			unsure++
			return
		}
		if w := want[pos]; w != nil {
			d := MaxDiff(logits, w)
			worst = max(worst, d)
			if d > r.Tolerance {
				t.Errorf("position %d: logits are off by %.2g, tolerance %.2g", pos, d, r.Tolerance)
			}
		}
		if got := best(logits); got != argmax[pos] && logits[got]-logits[argmax[pos]] > float32(r.Tolerance) {
			t.Errorf("position %d: argmax is %d, want %d", pos, got, argmax[pos])
		}
	})
	t.Logf("logits of %d positions within %.2g, %d of %d argmax compared", len(want), worst, len(argmax)-unsure, len(argmax))
}

// gap is how sure the oracle's router was of its experts at a position, in the
// layer where it was least sure.
func (r *run) gap(t *testing.T, pos int) float64 {
	if r.gaps == nil {
		r.gaps = r.m.Golden.F32(t, r.prompt+".router_gap")
	}
	least := math.Inf(1)
	for i := pos; i < len(r.gaps); i += len(r.ids) {
		least = min(least, float64(r.gaps[i]))
	}
	return least
}

func best(v []float32) int {
	b := 0
	for i, x := range v {
		if x > v[b] {
			b = i
		}
	}
	return b
}

// greedy goes on token by token, as far as the oracle is sure of its choice.
func (r *run) greedy(t *testing.T) {
	t.Helper()
	g, p := r.m.Golden, r.prompt
	want, margin := g.Ints(t, p+".greedy"), g.F32(t, p+".greedy_margin")
	last := len(r.ids) - 1
	pos, next, step := last, r.ids[last], 0
	for ; step < len(want) && float64(margin[step]) >= 2*r.Tolerance; step++ {
		var got int
		r.each(t, []uint32{next}, pos, 1, func(_ int, logits []float32) {
			got = best(logits)
			if step == len(want)-1 {
				if d := MaxDiff(logits, g.F32(t, p+".greedy_last_logits")); d > r.Tolerance {
					t.Errorf("greedy: last logits are off by %.2g", d)
				}
			}
		})
		if got != want[step] {
			t.Fatalf("greedy step %d: token %d, want %d", step, got, want[step])
		}
		pos, next = pos+1, uint32(got)
	}
	t.Logf("greedy: %d of %d steps compared", step, len(want))
}

// rewind goes back to the last third of the prompt, which has been marked, and
// runs it in batches that do not divide it; what comes out must be the same.
func (r *run) rewind(t *testing.T) {
	t.Helper()
	g, p, v := r.m.Golden, r.prompt, r.m.Config.Vocab
	all := g.F32(t, p+".logits")
	want := all[len(all)-v:]
	from, err := r.s.Rewind(r.back)
	if err != nil || from != r.back {
		t.Fatalf("rewound to %d, want %d: %v", from, r.back, err)
	}
	r.each(t, r.ids[from:], from, min(r.b.Chunk(), 37), func(pos int, logits []float32) {
		if pos == len(r.ids)-1 && r.gap(t, pos) >= r.MinGap {
			if d := MaxDiff(logits, want); d > r.Tolerance {
				t.Errorf("rewound to %d: last logits are off by %.2g", from, d)
			}
		}
	})
}

// trace compares router choices and, where the golden has them, the inner
// activations.
func (r *run) trace(t *testing.T) {
	t.Helper()
	c := newComparer(t, r)
	n := r.b.Chunk()
	for pos := 0; pos < len(r.ids); pos += n {
		ids := r.ids[pos:min(pos+n, len(r.ids))]
		c.begin(pos, len(ids))
		b := graph.Batch{IDs: ids, Pos: pos}
		if r.m.Golden.Has(r.prompt + ".final_norm") {
			for i := range ids {
				b.Rows = append(b.Rows, i)
			}
		}
		err := r.s.Trace(context.Background(), b, c.tap)
		if err != nil {
			t.Fatalf("trace at %d: %v", pos, err)
		}
	}
	t.Logf("trace: %d router choices and %d arrays compared", c.choices, c.arrays)
}

// comparer follows a trace: it knows by the order of writes which golden a
// register is.
type comparer struct {
	t               *testing.T
	r               *run
	topk            []int
	gap             []float32
	pos, n          int
	writes          [graph.NumRegs]int
	choices, arrays int
}

func newComparer(t *testing.T, r *run) *comparer {
	return &comparer{t: t, r: r, topk: r.m.Golden.Ints(t, r.prompt+".router_topk"), gap: r.m.Golden.F32(t, r.prompt+".router_gap")}
}

func (c *comparer) begin(pos, n int) {
	c.pos, c.n = pos, n
	c.writes = [graph.NumRegs]int{}
}

func (c *comparer) tap(reg graph.Reg, values []float32) {
	i := c.writes[reg]
	c.writes[reg]++
	if reg == graph.Choice {
		c.compareChoice(i, values)
		return
	}
	name, ok := goldenName(reg, i)
	name = c.r.prompt + "." + name
	if !ok || !c.r.m.Golden.Has(name) || c.n != len(c.r.ids) {
		return
	}
	want := c.r.m.Golden.F32(c.t, name)
	if len(values) != len(want) {
		c.t.Fatalf("%s has %d numbers, want %d", name, len(values), len(want))
	}
	each := len(want) / c.n
	for i := range c.n {
		if c.r.gap(c.t, i) < c.r.MinGap {
			continue
		}
		if d := MaxDiff(values[i*each:(i+1)*each], want[i*each:(i+1)*each]); d > c.r.Tolerance {
			c.t.Errorf("%s, position %d, is off by %.2g", name, i, d)
		}
	}
	c.arrays++
}

// goldenName says what the i-th write of a register is: most registers are
// written once a layer, Norm, Q, K and X twice. X is the embedding first.
func goldenName(reg graph.Reg, i int) (string, bool) {
	layer, first := i/2, i%2 == 0
	switch reg {
	case graph.Norm:
		return fmt.Sprintf("l%d.%s", layer, pick(first, "attn_norm", "mlp_norm")), true
	case graph.Q:
		return fmt.Sprintf("l%d.q_rope", layer), !first
	case graph.K:
		return fmt.Sprintf("l%d.k_rope", layer), !first
	case graph.X:
		if i == 0 {
			return "embed", true
		}
		layer, first = (i-1)/2, (i-1)%2 == 0
		return fmt.Sprintf("l%d.%s", layer, pick(first, "h_attn", "h_out")), true
	case graph.V:
		return fmt.Sprintf("l%d.v", i), true
	case graph.Ctx:
		return fmt.Sprintf("l%d.attn_ctx", i), true
	case graph.Router:
		return fmt.Sprintf("l%d.router_logits", i), true
	case graph.Mix:
		return fmt.Sprintf("l%d.router_weights", i), true
	case graph.LastN:
		return "final_norm", true
	}
	return "", false
}

func pick(first bool, a, b string) string {
	if first {
		return a
	}
	return b
}

// compareChoice compares the chosen experts where the oracle's choice is clear.
func (c *comparer) compareChoice(layer int, values []float32) {
	k, all := c.r.m.Config.TopK, len(c.r.ids)
	for t := range c.n {
		at := layer*all + c.pos + t
		if c.gap[at] <= 1e-3 || c.r.gap(c.t, c.pos+t) < c.r.MinGap {
			continue
		}
		c.choices++
		if !sameSet(values[t*k:(t+1)*k], c.topk[at*k:(at+1)*k]) {
			c.t.Errorf("layer %d, position %d: experts %v, want %v", layer, c.pos+t, values[t*k:(t+1)*k], c.topk[at*k:(at+1)*k])
		}
	}
}

func sameSet(got []float32, want []int) bool {
	for _, w := range want {
		found := false
		for _, g := range got {
			found = found || int(g) == w
		}
		if !found {
			return false
		}
	}
	return true
}
