package ref

import (
	"chorale/inference/internal/graph"
	"chorale/inference/internal/weights"
)

// Route implements graph.Ops.
func (s *state) Route() {
	for t := range s.batch.IDs {
		topK(s.row(graph.Choice, t), s.row(graph.Mix, t), s.row(graph.Router, t))
	}
	s.wrote(graph.Choice)
	s.wrote(graph.Mix)
}

// topK sets choice to the indices of the largest logits in descending order and
// mix to their softmax. Among equals the lower index comes first.
func topK(choice, mix, logits []float32) {
	for k := range choice {
		best := -1
		for i, v := range logits {
			if !taken(choice[:k], i) && (best < 0 || v > logits[best]) {
				best = i
			}
		}
		choice[k], mix[k] = float32(best), logits[best]
	}
	top := mix[0]
	var sum float32
	for k, v := range mix {
		mix[k] = exp(v - top)
		sum += mix[k]
	}
	for k := range mix {
		mix[k] /= sum
	}
}

func taken(choice []float32, i int) bool {
	for _, c := range choice {
		if int(c) == i {
			return true
		}
	}
	return false
}

// Experts implements graph.Ops. Tokens are grouped by expert, so each expert's
// weights are unpacked once a batch. A pair is one choice of one token, counted
// in the order of Choice; an expert has at most one of each token.
func (s *state) Experts(up, down *graph.Affine) {
	if s.err != nil {
		return
	}
	c := s.c
	groups := s.groups()
	pairs := len(s.batch.IDs) * c.TopK
	s.inner = resize(s.inner, pairs*c.Width)
	s.outer = resize(s.outer, pairs*c.Hidden)

	norm := rows{data: s.regs[graph.Norm], width: c.Hidden}
	s.eachTile(groups, up.W, func(k *scratch, g group, m *matrix, i int) {
		norm := norm
		norm.pick = g.tokens
		n := m.tile(k, i, norm)
		b := bias(up.B, g.expert, i*tileRows, n)
		for j, p := range g.pairs {
			s.activate(int(p), i*tileRows, k.acc[j][:n], b)
		}
	})
	inner := rows{data: s.inner, width: c.Width}
	s.eachTile(groups, down.W, func(k *scratch, g group, m *matrix, i int) {
		inner := inner
		inner.pick = g.pairs
		n := m.tile(k, i, inner)
		b := bias(down.B, g.expert, i*tileRows, n)
		for j, p := range g.pairs {
			y := s.outer[int(p)*c.Hidden+i*tileRows:][:n]
			for r := range y {
				y[r] = k.acc[j][r] + bf16(b, r)
			}
		}
	})
	for t := range s.batch.IDs {
		x := s.row(graph.X, t)
		for k, p := range s.row(graph.Mix, t) {
			axpy(x, s.outer[(t*c.TopK+k)*c.Hidden:], p)
		}
	}
	s.wrote(graph.X)
}

// group is an expert with the pairs that chose it.
type group struct {
	expert        int
	pairs, tokens []int32
}

// groups returns the experts that the batch uses, in order.
func (s *state) groups() []group {
	all := make([]group, s.c.Experts)
	for p, e := range s.regs[graph.Choice] {
		g := &all[int(e)]
		g.expert = int(e)
		g.pairs = append(g.pairs, int32(p))
		g.tokens = append(g.tokens, int32(p/s.c.TopK))
	}
	used := all[:0]
	for _, g := range all {
		if len(g.pairs) > 0 {
			used = append(used, g)
		}
	}
	return used
}

// eachTile runs f for every tile of every used expert of w, over the threads.
func (s *state) eachTile(groups []group, w *weights.Tensor, f func(k *scratch, g group, m *matrix, i int)) {
	experts := make([]matrix, len(groups))
	for i, g := range groups {
		experts[i] = expert(w, g.expert)
	}
	tiles := experts[0].tiles()
	perGroup := max(1, len(s.batch.IDs)*s.c.TopK/len(groups))
	s.pool.run(&s.scratch, len(groups)*tiles, grain(experts[0].in*perGroup), func(k *scratch, lo, hi int) {
		for i := lo; i < hi; i++ {
			f(k, groups[i/tiles], &experts[i/tiles], i%tiles)
		}
	})
}

// bias returns n numbers of an expert's bias from row on, packed.
func bias(b *weights.Tensor, expert, row, n int) []byte {
	at := expert*b.Shape[1] + row
	return b.Data[2*at : 2*(at+n)]
}

// activate applies bias and SwiGLU to a tile of a pair's values: gate and up by
// turns from an even row on.
func (s *state) activate(pair, row int, u []float32, b []byte) {
	limit := s.c.Limit
	out := s.inner[pair*s.c.Width+row/2:][:len(u)/2]
	for i := range out {
		gate := min(u[2*i]+bf16(b, 2*i), limit)
		lin := min(max(u[2*i+1]+bf16(b, 2*i+1), -limit), limit)
		out[i] = gate / (1 + exp(-graph.Alpha*gate)) * (lin + 1)
	}
}
