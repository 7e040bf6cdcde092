package ref

import (
	"context"
	"math"

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
	for t, id := range s.batch.IDs {
		unpackBF16(s.row(graph.X, t), table.Data[2*int(id)*s.c.Hidden:])
	}
	s.wrote(graph.X)
}

// RMSNorm implements graph.Ops.
func (s *state) RMSNorm(dst, src graph.Reg, gain *weights.Tensor) {
	n := s.c.Hidden
	for t := range len(s.regs[src]) / n {
		x, y := s.row(src, t), s.row(dst, t)
		var sum float64
		for _, v := range x {
			sum += float64(v) * float64(v)
		}
		scale := float32(1 / math.Sqrt(sum/float64(n)+float64(s.c.Eps)))
		for i := range y {
			y[i] = x[i] * scale * bf16(gain.Data, i)
		}
	}
	s.wrote(dst)
}

// Linear implements graph.Ops.
func (s *state) Linear(dst, src graph.Reg, a *graph.Affine) { s.linear(dst, src, a, false) }

// AddLinear implements graph.Ops.
func (s *state) AddLinear(dst, src graph.Reg, a *graph.Affine) { s.linear(dst, src, a, true) }

func (s *state) linear(dst, src graph.Reg, a *graph.Affine, add bool) {
	if s.err != nil {
		return
	}
	m := dense(a.W)
	in := rows{data: s.regs[src], width: m.in}
	out := s.regs[dst]
	count := in.len()
	s.pool.run(&s.scratch, m.tiles(), grain(m.in*count), func(k *scratch, lo, hi int) {
		for i := lo; i < hi; i++ {
			n := m.tile(k, i, in)
			for t := range count {
				y := out[t*m.out+i*tileRows:][:n]
				for r := range y {
					v := k.acc[t][r]
					if a.B != nil {
						v += bf16(a.B.Data, i*tileRows+r)
					}
					if add {
						v += y[r]
					}
					y[r] = v
				}
			}
		}
	})
	s.wrote(dst)
}

// grain returns how many tiles make a piece of work that is worth handing to
// another thread, about 30 microseconds. macs is the work of one row.
func grain(macs int) int { return max(1, 64_000/(tileRows*max(macs, 1))) }

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
