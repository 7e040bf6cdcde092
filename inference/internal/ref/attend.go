package ref

import (
	"math"

	"chorale/inference/internal/graph"
	"chorale/inference/internal/weights"
)

// Append implements graph.Ops.
func (s *pass) Append(layer int) {
	for t, r := range s.rows {
		r.state.cache.layers[layer].put(r.pos, s.row(graph.K, t), s.row(graph.V, t))
	}
}

// Attend implements graph.Ops. One piece of work is a token's query heads that
// share a KV head.
func (s *pass) Attend(layer int, sinks *weights.Tensor) {
	if s.err != nil {
		return
	}
	if s.err = s.ctx.Err(); s.err != nil {
		return
	}
	group, kv := s.c.Heads/s.c.KVHeads, s.c.KVHeads
	keys := 0
	for _, r := range s.rows {
		keys += r.pos + 1 - s.firstKey(layer, r.pos)
	}
	work := keys * s.c.HeadDim * group / len(s.rows)
	s.spread(len(s.rows)*kv, max(1, 50_000/work), func(k *scratch, lo, hi int) {
		for i := lo; i < hi; i++ {
			s.attend(k, layer, i/kv, i%kv, sinks)
		}
	})
	s.wrote(graph.Ctx)
}

// firstKey is the first position that a query sees.
func (s *pass) firstKey(layer, pos int) int {
	if w := s.c.Window[layer]; w > 0 {
		return max(0, pos-w+1)
	}
	return 0
}

// attend computes row t's query heads of KV head h, page by page of its cache.
func (s *pass) attend(k *scratch, layer, t, h int, sinks *weights.Tensor) {
	d, group := s.c.HeadDim, s.c.Heads/s.c.KVHeads
	row := s.rows[t]
	cache := &row.state.cache.layers[layer]
	first, end := s.firstKey(layer, row.pos), row.pos+1
	count := end - first
	q, ctx := s.row(graph.Q, t)[h*group*d:], s.row(graph.Ctx, t)[h*group*d:]

	k.scores = resize(k.scores, group*count)
	for at := 0; at < count; {
		page, n := cache.keys(h, first+at, end)
		keys := s.floats(k, page)
		for g := range group {
			s.kernels.Score(k.scores[g*count+at:][:n], q[g*d:][:d], keys)
		}
		at += n
	}
	scale := float32(1 / math.Sqrt(float64(d)))
	k.sums = resize(k.sums, group)
	for g := range group {
		k.sums[g] = s.kernels.Softmax(k.scores[g*count:][:count], scale, at(sinks, h*group+g))
	}
	clear(ctx[:group*d])
	for at := 0; at < count; {
		page, n := cache.values(h, first+at, end)
		values := s.floats(k, page)
		for g := range group {
			s.kernels.Mix(ctx[g*d:][:d], k.scores[g*count+at:][:n], values)
		}
		at += n
	}
	for g, sum := range k.sums {
		for i := range d {
			ctx[g*d+i] /= sum
		}
	}
}

// floats returns the numbers of a page, halves widened in a thread's memory.
func (s *pass) floats(k *scratch, p page) []float32 {
	if p.f16 == nil {
		return p.f32
	}
	k.wide = resize(k.wide, len(p.f16))
	s.kernels.Widen(k.wide, p.f16)
	return k.wide
}
