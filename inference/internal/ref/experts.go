package ref

import (
	"chorale/inference/internal/graph"
	"chorale/inference/internal/kernel"
	"chorale/inference/internal/weights"
)

// Route implements graph.Ops.
func (s *pass) Route() {
	for t := range s.rows {
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
		mix[k] = kernel.Exp(v - top)
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
func (s *pass) Experts(up, down *graph.Affine) {
	if s.err != nil {
		return
	}
	c := s.c
	groups := s.groups()
	pairs := len(s.rows) * c.TopK
	s.inner = resize(s.inner, pairs*c.Width)
	s.outer = resize(s.outer, pairs*c.Hidden)

	norm := s.split(s.regs[graph.Norm], c.Hidden, up.W)
	s.eachTile(groups, up.W, func(k *scratch, g group, m *kernel.Matrix, i int) {
		in := norm
		in.Pick = g.tokens
		first, n := s.upTile(k, up, g.expert, m, i, in)
		for j, p := range g.pairs {
			s.kernels.SwiGLU(s.inner[int(p)*c.Width+first:][:n], k.gateUp[j][:2*n], graph.Alpha, c.Limit)
		}
	})
	inner := s.split(s.inner, c.Width, down.W)
	s.eachTile(groups, down.W, func(k *scratch, g group, m *kernel.Matrix, i int) {
		in := inner
		in.Pick = g.pairs
		n := s.kernels.Tile(&k.Scratch, m, i, in)
		row := i * kernel.TileRows
		b := bias(down.B, g.expert, row, n)
		for j, p := range g.pairs {
			y := s.outer[int(p)*c.Hidden+row:][:n]
			for r := range y {
				y[r] = k.Sums[j][r] + b[r]
			}
		}
	})
	s.eachRow(len(s.rows), c.TopK*c.Hidden, func(t int) {
		x := s.row(graph.X, t)
		for k, p := range s.row(graph.Mix, t) {
			s.kernels.Axpy(x, s.outer[(t*c.TopK+k)*c.Hidden:], p)
		}
	})
	s.wrote(graph.X)
}

// upTile computes tile i of an expert's first matrix, of which m has the rows or
// the gate rows alone. It leaves k.gateUp, n pairs of gate and up from the first
// on for each input row, biases added.
func (s *pass) upTile(k *scratch, up *graph.Affine, e int, m *kernel.Matrix, i int, in kernel.Rows) (first, n int) {
	rows, row := s.kernels.Tile(&k.Scratch, m, i, in), i*kernel.TileRows
	if cap(k.gateUp) < len(k.Sums) {
		k.gateUp = make([][2 * kernel.TileRows]float32, len(k.Sums))
	}
	k.gateUp = k.gateUp[:len(k.Sums)]
	spread := func(b *weights.Tensor, from, step int) {
		v := bias(b, e, row, rows)
		for j := range k.Sums {
			for r := range rows {
				k.gateUp[j][from+step*r] = k.Sums[j][r] + v[r]
			}
		}
	}
	if up.W.Odd == nil {
		spread(up.B, 0, 1)
		return row / 2, rows / 2
	}
	spread(up.B, 0, 2)
	odd := expert(up.W.Odd, e)
	s.kernels.Tile(&k.Scratch, &odd, i, in)
	spread(up.B.Odd, 1, 2)
	return row, rows
}

// group is an expert with the pairs that chose it.
type group struct {
	expert        int
	pairs, tokens []int32
}

// groups returns the experts that the batch uses, in order.
func (s *pass) groups() []group {
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
func (s *pass) eachTile(groups []group, w *weights.Tensor, f func(k *scratch, g group, m *kernel.Matrix, i int)) {
	experts := make([]kernel.Matrix, len(groups))
	for i, g := range groups {
		experts[i] = expert(w, g.expert)
	}
	tiles := experts[0].Tiles()
	perGroup := max(1, len(s.rows)*s.c.TopK/len(groups))
	s.spread(len(groups)*tiles, grain(experts[0].Cols*perGroup), func(k *scratch, lo, hi int) {
		for i := lo; i < hi; i++ {
			f(k, groups[i/tiles], &experts[i/tiles], i%tiles)
		}
	})
}

// bias returns n numbers of an expert's bias from row on, not counting an Odd
// part's.
func bias(b *weights.Tensor, expert, row, n int) (v [kernel.TileRows]float32) {
	rows := b.Shape[1]
	if b.Odd != nil {
		rows /= 2
	}
	numbers(v[:n], b, expert*rows+row)
	return v
}
