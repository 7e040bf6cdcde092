package ref

import (
	"context"
	"time"

	"chorale/inference/internal/graph"
	"chorale/inference/internal/sample"
	"chorale/inference/internal/weights"
)

// pass is the work on the parts of one pass. It implements graph.Ops by
// computing at once. Its memory serves every pass of a backend.
type pass struct {
	*Backend
	regs     [graph.NumRegs][]float32
	inner    []float32 // experts' activations, [pairs, Width]
	outer    []float32 // experts' outputs, [pairs, Hidden]
	input    []float32 // rows in the split layout
	rounded  []byte    // the same as bytes
	gain     []float32 // an unpacked vector
	cos, sin []float32 // of the rows' positions, [rows, HeadDim/2]
	scratch  scratch
	seen     []seen // of spans that are computed first

	// Of the pass that runs.
	ctx    context.Context
	err    error
	rows   []row
	wanted []int // rows whose logits are
	tap    func(graph.Reg, []float32)
}

// row is one token of a pass.
type row struct {
	id    uint32
	state *state
	pos   int
}

// run computes the parts and hands their logits out.
func (s *pass) run(ctx context.Context, parts []graph.Part, tap func(graph.Reg, []float32)) error {
	s.ctx, s.err, s.tap = ctx, ctx.Err(), tap
	if err := s.begin(parts); err != nil {
		return err
	}
	graph.Forward(s.watched(), s.c, s.w)
	if s.err != nil {
		return s.err
	}
	if err := s.handOut(parts); err != nil {
		return err
	}
	for _, p := range parts {
		p.State.(*state).history.Done(len(p.IDs))
	}
	return nil
}

// watched returns the pass, or Ops that also tell how long they take.
func (s *pass) watched() graph.Ops {
	if s.watch == nil {
		return s
	}
	return graph.Watch(s, s.c, func(section, operation string) func() {
		start := time.Now()
		return func() { s.watch(section, operation, s.kernels.Name, time.Since(start)) }
	})
}

// handOut gives each part the logits that it wants, or the tokens.
func (s *pass) handOut(parts []graph.Part) error {
	type choice struct {
		draw  *sample.Draw
		token *uint32
		row   int
		err   error
	}
	var choices []choice
	row := 0
	for _, p := range parts {
		if p.Draws == nil {
			n := len(p.Rows) * s.c.Vocab
			copy(p.Logits, s.regs[graph.Logits][row*s.c.Vocab:][:n])
		}
		for i := range p.Draws {
			choices = append(choices, choice{&p.Draws[i], &p.Tokens[i], row + i, nil})
		}
		row += len(p.Rows)
	}
	s.spread(len(choices), 1, func(k *scratch, lo, hi int) {
		for i := range choices[lo:hi] {
			c := &choices[lo+i]
			*c.token, c.err = k.chooser.Choose(c.draw, s.row(graph.Logits, c.row))
		}
	})
	for _, c := range choices {
		if c.err != nil {
			return c.err
		}
	}
	return s.err
}

// begin lays the parts out as rows.
func (s *pass) begin(parts []graph.Part) error {
	s.rows, s.wanted = s.rows[:0], s.wanted[:0]
	s.cos, s.sin = s.cos[:0], s.sin[:0]
	for _, p := range parts {
		st := p.State.(*state)
		if err := p.Check(s.c, chunk, st.context); err != nil {
			return err
		}
		if err := st.history.Begin(p.Pos, len(p.IDs)); err != nil {
			return err
		}
		for _, r := range p.Rows {
			s.wanted = append(s.wanted, len(s.rows)+r)
		}
		for i, id := range p.IDs {
			s.rows = append(s.rows, row{id, st, p.Pos + i})
		}
		cos, sin := s.c.Rotary(p.Pos, len(p.IDs))
		s.cos, s.sin = append(s.cos, cos...), append(s.sin, sin...)
	}
	for r := range s.regs {
		n := len(s.rows)
		if r := graph.Reg(r); r == graph.Last || r == graph.LastN || r == graph.Logits {
			n = len(s.wanted)
		}
		s.regs[r] = resize(s.regs[r], n*s.c.RegWidth(graph.Reg(r)))
	}
	return nil
}

// resize returns a slice of n numbers, b itself where it is large enough.
func resize(b []float32, n int) []float32 {
	if cap(b) >= n {
		return b[:n]
	}
	return make([]float32, n)
}

// spread runs a loop on all threads.
func (s *pass) spread(n, grain int, body func(k *scratch, lo, hi int)) {
	if err := s.pool.run(&s.scratch, n, grain, body); err != nil && s.err == nil {
		s.err = err
	}
}

// eachRow calls f for so many rows, on all threads where there is work for them. Numbers
// is how many it treats in each.
func (s *pass) eachRow(rows, numbers int, f func(t int)) {
	const piece = 1 << 15 // about 10 microseconds
	s.spread(rows, max(1, piece/numbers), func(_ *scratch, lo, hi int) {
		for t := lo; t < hi; t++ {
			f(t)
		}
	})
}

// wrote shows a register to the tracer.
func (s *pass) wrote(r graph.Reg) {
	if s.tap != nil && s.err == nil {
		s.tap(r, s.regs[r])
	}
}

// row returns row i of a register.
func (s *pass) row(r graph.Reg, i int) []float32 {
	n := s.c.RegWidth(r)
	return s.regs[r][i*n : (i+1)*n]
}

// Embed implements graph.Ops.
func (s *pass) Embed(table *weights.Tensor) {
	m := dense(table)
	for t, r := range s.rows {
		m.Row(s.row(graph.X, t), int(r.id))
	}
	s.wrote(graph.X)
}

// RMSNorm implements graph.Ops.
func (s *pass) RMSNorm(dst, src graph.Reg, gain *weights.Tensor) {
	g := s.vector(gain)
	s.eachRow(len(s.regs[src])/s.c.Hidden, s.c.Hidden, func(t int) {
		s.kernels.Norm(s.row(dst, t), s.row(src, t), g, s.c.Eps)
	})
	s.wrote(dst)
}

// Linear implements graph.Ops.
func (s *pass) Linear(dst, src graph.Reg, a *graph.Affine) { s.linear(dst, src, a, false) }

// AddLinear implements graph.Ops.
func (s *pass) AddLinear(dst, src graph.Reg, a *graph.Affine) { s.linear(dst, src, a, true) }

// Rotate implements graph.Ops.
func (s *pass) Rotate(r graph.Reg) {
	half := s.c.HeadDim / 2
	s.eachRow(len(s.rows), s.c.RegWidth(r), func(t int) {
		c, sn := s.cos[t*half:][:half], s.sin[t*half:][:half]
		x := s.row(r, t)
		for len(x) > 0 {
			a, b := x[:half], x[half:2*half]
			for i := range a {
				u, v := a[i], b[i]
				a[i] = u*c[i] - v*sn[i]
				b[i] = v*c[i] + u*sn[i]
			}
			x = x[2*half:]
		}
	})
	s.wrote(r)
}

// Pick implements graph.Ops.
func (s *pass) Pick() {
	for i, t := range s.wanted {
		copy(s.row(graph.Last, i), s.row(graph.X, t))
	}
	s.wrote(graph.Last)
}
