package ref

import (
	"math"

	"chorale/inference/internal/graph"
	"chorale/inference/internal/weights"
)

// cache holds keys and values of all positions, f32, [positions, HeadDim] for
// each layer and KV head.
type cache struct {
	keys, values [][]float32 // index layer*KVHeads + head
	heads, dim   int
}

func newCache(c *graph.Config) cache {
	n := c.Layers * c.KVHeads
	return cache{keys: make([][]float32, n), values: make([][]float32, n), heads: c.KVHeads, dim: c.HeadDim}
}

// grow makes room for n positions, by doubling up to the limit.
func (c *cache) grow(n, limit int) {
	if have := len(c.keys[0]) / c.dim; have >= n {
		return
	}
	n = min(max(n, 2*len(c.keys[0])/c.dim, 256), limit)
	for i := range c.keys {
		c.keys[i] = append(make([]float32, 0, n*c.dim), c.keys[i]...)[:n*c.dim]
		c.values[i] = append(make([]float32, 0, n*c.dim), c.values[i]...)[:n*c.dim]
	}
}

// Append implements graph.Ops.
func (s *state) Append(layer int) {
	d := s.c.HeadDim
	for t := range s.batch.IDs {
		k, v := s.row(graph.K, t), s.row(graph.V, t)
		at := (s.batch.Pos + t) * d
		for h := range s.c.KVHeads {
			i := layer*s.c.KVHeads + h
			copy(s.cache.keys[i][at:], k[h*d:(h+1)*d])
			copy(s.cache.values[i][at:], v[h*d:(h+1)*d])
		}
	}
}

// Attend implements graph.Ops. One piece of work is a token's query heads that
// share a KV head.
func (s *state) Attend(layer int, sinks *weights.Tensor) {
	if s.err = s.ctx.Err(); s.err != nil {
		return
	}
	group, kv := s.c.Heads/s.c.KVHeads, s.c.KVHeads
	work := (s.batch.Pos + len(s.batch.IDs)) * s.c.HeadDim * group
	s.pool.run(&s.scratch, len(s.batch.IDs)*kv, max(1, 50_000/work), func(k *scratch, lo, hi int) {
		for i := lo; i < hi; i++ {
			t, h := i/kv, i%kv
			last := s.batch.Pos + t
			first := 0
			if w := s.c.Window[layer]; w > 0 {
				first = max(0, last-w+1)
			}
			keys, values := s.cache.span(layer*kv+h, first, last+1)
			for g := range group {
				s.attend(k, t, h*group+g, keys, values, sinks)
			}
		}
	})
	s.wrote(graph.Ctx)
}

// span returns keys and values of positions first to end.
func (c *cache) span(i, first, end int) (keys, values []float32) {
	return c.keys[i][first*c.dim : end*c.dim], c.values[i][first*c.dim : end*c.dim]
}

// attend attends with one query head.
func (s *state) attend(k *scratch, t, head int, keys, values []float32, sinks *weights.Tensor) {
	d := s.c.HeadDim
	k.scores = resize(k.scores, len(keys)/d)
	s.kernels.Score(k.scores, s.row(graph.Q, t)[head*d:(head+1)*d], keys)
	sum := s.kernels.Softmax(k.scores, float32(1/math.Sqrt(float64(d))), at(sinks, head))
	ctx := s.row(graph.Ctx, t)[head*d : (head+1)*d]
	clear(ctx)
	s.kernels.Mix(ctx, k.scores, values)
	for i := range ctx {
		ctx[i] /= sum
	}
}
