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
			for g := 0; g < group; g += 2 {
				s.attendPair(k, t, h*group+g, min(2, group-g), keys, values, sinks)
			}
		}
	})
	s.wrote(graph.Ctx)
}

// span returns keys and values of positions first to end.
func (c *cache) span(i, first, end int) (keys, values []float32) {
	return c.keys[i][first*c.dim : end*c.dim], c.values[i][first*c.dim : end*c.dim]
}

// attendPair attends with n query heads, one or two, from the head on.
func (s *state) attendPair(k *scratch, t, head, n int, keys, values []float32, sinks *weights.Tensor) {
	d := s.c.HeadDim
	count := len(keys) / d
	k.scores = resize(k.scores, 2*count)
	a, b := k.scores[:count], k.scores[count:]
	q := s.row(graph.Q, t)[head*d:]
	x := q[:d]
	y := x
	if n == 2 {
		y = q[d : 2*d]
	}
	score(a, b, x, y, keys)
	ctx := s.row(graph.Ctx, t)[head*d:]
	scale := float32(1 / math.Sqrt(float64(d)))
	for i, w := range [][]float32{a, b}[:n] {
		norm := softmax(w, scale, bf16(sinks.Data, head+i))
		mix(ctx[i*d:(i+1)*d], w, values, norm)
	}
}

// score sets a and b to the products of x and y with every key.
func score(a, b, x, y, keys []float32) {
	d := len(x)
	i := 0
	for ; i+3 <= len(a); i += 3 {
		k := keys[i*d : (i+3)*d]
		var u, v [3]float32
		dot3x2(k[:d], k[d:2*d], k[2*d:], x, y, &u, &v)
		copy(a[i:], u[:])
		copy(b[i:], v[:])
	}
	for ; i < len(a); i++ {
		k := keys[i*d : (i+1)*d]
		var u, v float32
		for j, w := range k {
			u += w * x[j]
			v += w * y[j]
		}
		a[i], b[i] = u, v
	}
}

// softmax turns scores into weights that want multiplying by the result. The
// sink takes part in the maximum and in the sum.
func softmax(w []float32, scale, sink float32) (norm float32) {
	top := sink
	for i, v := range w {
		v *= scale
		w[i] = v
		top = max(top, v)
	}
	sum := exp(sink - top)
	for i, v := range w {
		e := exp(v - top)
		w[i] = e
		sum += e
	}
	return 1 / sum
}

// mix sets dst to the sum of the rows of values weighted by w, times norm.
func mix(dst, w, values []float32, norm float32) {
	d := len(dst)
	clear(dst)
	i := 0
	for ; i+4 <= len(w); i += 4 {
		v := values[i*d : (i+4)*d]
		axpy4(dst, v[:d], v[d:2*d], v[2*d:3*d], v[3*d:], w[i], w[i+1], w[i+2], w[i+3])
	}
	for ; i < len(w); i++ {
		axpy(dst, values[i*d:(i+1)*d], w[i])
	}
	for i := range dst {
		dst[i] *= norm
	}
}
