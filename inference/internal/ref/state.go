package ref

import (
	"context"

	"chorale/inference/internal/graph"
	"chorale/inference/internal/weights"
)

// state is one sequence. It implements graph.State, and graph.Ops by computing
// at once.
type state struct {
	*Backend
	context int
	cache   cache
	regs    [graph.NumRegs][]float32
	inner   []float32 // experts' activations, [pairs, Width]
	outer   []float32 // experts' outputs, [pairs, Hidden]
	input   []float32 // rows in the split layout
	gain    []float32 // an unpacked vector
	scratch scratch

	// Of the pass that runs.
	ctx   context.Context
	err   error
	batch graph.Batch
	tap   func(graph.Reg, []float32)
}

func newState(b *Backend, context int) *state {
	return &state{Backend: b, context: context, cache: newCache(b.c)}
}

// Close frees the cache.
func (s *state) Close() error {
	*s = state{Backend: s.Backend}
	return nil
}

// Forward implements graph.State.
func (s *state) Forward(ctx context.Context, b graph.Batch) ([]float32, error) {
	if err := b.Check(s.c, chunk, s.context); err != nil {
		return nil, err
	}
	s.ctx, s.batch, s.err = ctx, b, ctx.Err()
	s.cache.grow(b.Pos+len(b.IDs), s.context)
	for r := range s.regs {
		n := len(b.IDs)
		if r := graph.Reg(r); r == graph.Last || r == graph.LastN || r == graph.Logits {
			n = len(b.Rows)
		}
		s.regs[r] = resize(s.regs[r], n*s.c.RegWidth(graph.Reg(r)))
	}
	graph.Forward(s, s.c, s.w)
	return s.regs[graph.Logits], s.err
}

// Trace implements graph.State.
func (s *state) Trace(ctx context.Context, b graph.Batch, tap func(graph.Reg, []float32)) error {
	s.tap = tap
	defer func() { s.tap = nil }()
	_, err := s.Forward(ctx, b)
	return err
}

// resize returns a slice of n numbers, b itself where it is large enough.
func resize(b []float32, n int) []float32 {
	if cap(b) >= n {
		return b[:n]
	}
	return make([]float32, n)
}

// wrote shows a register to the tracer.
func (s *state) wrote(r graph.Reg) {
	if s.tap != nil && s.err == nil {
		s.tap(r, s.regs[r])
	}
}

// row returns row i of a register.
func (s *state) row(r graph.Reg, i int) []float32 {
	n := s.c.RegWidth(r)
	return s.regs[r][i*n : (i+1)*n]
}

// Embed implements graph.Ops.
func (s *state) Embed(table *weights.Tensor) {
	m := dense(table)
	for t, id := range s.batch.IDs {
		m.Row(s.row(graph.X, t), int(id))
	}
	s.wrote(graph.X)
}

// RMSNorm implements graph.Ops.
func (s *state) RMSNorm(dst, src graph.Reg, gain *weights.Tensor) {
	g := s.vector(gain)
	for t := range len(s.regs[src]) / s.c.Hidden {
		s.kernels.Norm(s.row(dst, t), s.row(src, t), g, s.c.Eps)
	}
	s.wrote(dst)
}

// Linear implements graph.Ops.
func (s *state) Linear(dst, src graph.Reg, a *graph.Affine) { s.linear(dst, src, a, false) }

// AddLinear implements graph.Ops.
func (s *state) AddLinear(dst, src graph.Reg, a *graph.Affine) { s.linear(dst, src, a, true) }

// Rotate implements graph.Ops.
func (s *state) Rotate(r graph.Reg) {
	half := s.c.HeadDim / 2
	cos, sin := s.rotary(s.batch.Pos + len(s.batch.IDs))
	for t := range s.batch.IDs {
		at := (s.batch.Pos + t) * half
		c, sn := cos[at:at+half], sin[at:at+half]
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
	}
	s.wrote(r)
}

// Pick implements graph.Ops.
func (s *state) Pick() {
	for i, t := range s.batch.Rows {
		copy(s.row(graph.Last, i), s.row(graph.X, t))
	}
	s.wrote(graph.Last)
}
