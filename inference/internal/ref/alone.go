package ref

import (
	"context"

	"chorale/inference/internal/graph"
	"chorale/inference/internal/kernel"
	"chorale/inference/internal/weights"
)

// Embed sets the rows of x, [len(ids), Hidden], to those of the embedding.
func (b *Backend) Embed(x []float32, ids []uint32) error {
	m := dense(b.w.Embedding)
	return weights.Guard(func() error {
		for i, id := range ids {
			m.Row(x[i*b.c.Hidden:][:b.c.Hidden], int(id))
		}
		return nil
	})
}

// Experts does what the operation of that name does in graph.Ops, and nothing
// else, for a backend that has no room for the experts of all layers: it adds
// the outputs of the chosen experts on norm, weighted by mix, to x. The slices
// have a row for each of up to graph.MaxChunk tokens, as wide as the registers of
// these names; choices are whole numbers.
func (b *Backend) Experts(ctx context.Context, up, down *graph.Affine, x, norm, choice, mix []float32) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := &b.pass
	s.ctx, s.err, s.tap = ctx, ctx.Err(), nil
	s.rows = make([]row, len(mix)/b.c.TopK)
	lent := map[graph.Reg][]float32{graph.X: x, graph.Norm: norm, graph.Choice: choice, graph.Mix: mix}
	for r, values := range lent {
		s.regs[r] = values
	}
	err := weights.Guard(func() error { s.Experts(up, down); return s.err })
	for r := range lent {
		s.regs[r] = nil
	}
	return err
}

// WorkBytes returns the memory of a pass's registers, for as many tokens as a
// pass takes at most; with bytes, those of rounded rows beside them.
func WorkBytes(c *graph.Config, bytes bool) int64 {
	words := 0
	for r := range graph.Reg(graph.NumRegs) {
		n := chunk
		if r == graph.Last || r == graph.LastN || r == graph.Logits {
			n = graph.MaxDraws / 2 // more would be guesses of several sequences at once
		}
		words += n * c.RegWidth(r)
	}
	return AloneBytes(c, bytes) + int64(4*words)
}

// AloneBytes returns the memory that Experts takes beside what it is lent.
func AloneBytes(c *graph.Config, bytes bool) int64 {
	input := chunk * max(c.TopK*c.Width, c.Hidden, c.QWidth()) // rows in the split layout
	n := 4 * (chunk*c.TopK*(c.Width+c.Hidden) + input)         // activations and outputs beside them
	if bytes {
		n += kernel.BytesOf(input)
	}
	return int64(n)
}
