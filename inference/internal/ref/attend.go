package ref

import (
	"math"

	"chorale/inference/internal/graph"
	"chorale/inference/internal/kernel"
	"chorale/inference/internal/weights"
)

const (
	// span is how many positions, from a multiple of it on, are summed up one page after
	// the other. A row adds its spans in order, so bits depend on the row's position
	// alone, and spans can be computed at the same time.
	span = 2048

	// together is the most rows of a sequence that share what is loaded of its cache.
	together = 4

	// abreast is how many query heads, each row's counted, are computed together at
	// most where they have several KV heads.
	abreast = 64

	// attendGrain is how many products of queries and keys make a piece of work that
	// is worth handing to another thread.
	attendGrain = 1 << 19
)

// queries are the query heads of some KV heads in rows of one sequence that follow each
// other.
type queries struct {
	lo, hi      int // rows of the pass
	head, heads int // the first of the KV heads, and their number
	cache       *layerCache
	first, end  int // positions that any of them sees
}

// spans is the number of spans that queries see.
func (q *queries) spans() int { return (q.end-1)/span - q.first/span + 1 }

// seen is what queries get from a span: the largest score of each, and the sum of the
// weights and of the values times these. There is room for whole multiples of
// kernel.MixLeast query heads.
type seen struct {
	tops   []float32 // [KV heads, rows, query heads]
	sums   []float32 // [KV heads, rows, query heads, kernel.SumLanes]
	values []float32 // [KV heads, rows, query heads, padded HeadDim]
}

// Append implements graph.Ops.
func (s *pass) Append(layer int) {
	for _, r := range s.rows {
		r.state.cache.layers[layer].at(r.pos) // makes pages, which is for one thread
	}
	s.eachRow(len(s.rows), 2*s.c.KVWidth(), func(t int) {
		r := s.rows[t]
		r.state.cache.layers[layer].put(r.pos, s.row(graph.K, t), s.row(graph.V, t))
	})
}

// Attend implements graph.Ops. A piece of work is some queries with all spans that
// they see; where that leaves threads without work, the spans are computed first.
func (s *pass) Attend(layer int, sinks *weights.Tensor) {
	if s.err != nil {
		return
	}
	if s.err = s.ctx.Err(); s.err != nil {
		return
	}
	all, work := s.queries(layer)
	grain := max(1, attendGrain*len(all)/work)
	before := make([][]seen, len(all)) // none where they are to be computed
	if len(all) < 4*s.pool.threads && work > 2*attendGrain {
		type piece struct{ queries, span int }
		var pieces []piece
		for i := range all {
			for j := range all[i].spans() {
				pieces = append(pieces, piece{i, j})
			}
		}
		s.seen = append(s.seen, make([]seen, max(0, len(pieces)-len(s.seen)))...)
		for i, at := 0, 0; i < len(all); i++ {
			before[i] = s.seen[at:][:all[i].spans()]
			at += len(before[i])
		}
		s.spread(len(pieces), max(1, attendGrain*len(pieces)/work), func(k *scratch, lo, hi int) {
			for _, p := range pieces[lo:hi] {
				q := &all[p.queries]
				s.ask(k, q)
				s.see(k, &before[p.queries][p.span], layer, q, (q.first/span+p.span)*span)
			}
		})
	}
	s.spread(len(all), grain, func(k *scratch, lo, hi int) {
		for i := lo; i < hi; i++ {
			s.attend(k, layer, &all[i], before[i], sinks)
		}
	})
	s.wrote(graph.Ctx)
}

// queries cuts the pass into queries. Work is how many products with keys it takes.
// A page's heads lie one after the other, and memory gives most where much is read in
// order: hence as many heads together as leaves work for each thread.
func (s *pass) queries(layer int) (all []queries, work int) {
	heads, pieces := s.c.KVHeads, 0
	var groups []queries // with all KV heads
	for lo, hi := 0, 0; lo < len(s.rows); lo = hi {
		from := s.rows[lo]
		for hi < len(s.rows) && hi < lo+together && s.rows[hi].state == from.state {
			work += s.rows[hi].pos + 1 - s.firstKey(layer, s.rows[hi].pos)
			hi++
		}
		q := queries{lo: lo, hi: hi, cache: &from.state.cache.layers[layer], first: s.firstKey(layer, from.pos), end: s.rows[hi-1].pos + 1}
		groups = append(groups, q)
		heads, pieces = min(heads, max(1, abreast*s.c.KVHeads/s.c.Heads/(hi-lo))), pieces+q.spans()
	}
	for heads > 1 && pieces*s.c.KVHeads/heads < 4*s.pool.threads {
		heads--
	}
	for _, q := range groups {
		for q.head = 0; q.head < s.c.KVHeads; q.head += heads {
			q.heads = min(heads, s.c.KVHeads-q.head)
			all = append(all, q)
		}
	}
	return all, work * s.c.QWidth()
}

// firstKey is the first position that a query sees.
func (s *pass) firstKey(layer, pos int) int {
	if w := s.c.Window[layer]; w > 0 {
		return max(0, pos-w+1)
	}
	return 0
}

// extent is the positions from first to end, without that.
type extent struct{ first, end int }

// within returns what of an extent is in another one; it may end before it begins.
func (e extent) within(first, end int) extent { return extent{max(e.first, first), min(e.end, end)} }

func (e extent) empty() bool { return e.first >= e.end }

// heads returns how many query heads share a KV head, and the room that they take.
func (s *pass) heads() (group, room int) {
	group = s.c.Heads / s.c.KVHeads
	return group, (group + kernel.MixLeast - 1) / kernel.MixLeast * kernel.MixLeast
}

// attend computes queries from the spans that they see.
func (s *pass) attend(k *scratch, layer int, q *queries, before []seen, sinks *weights.Tensor) {
	d, width := s.c.HeadDim, padded(s.c.HeadDim)
	group, room := s.heads()
	n := q.heads * group
	k.tops, k.sums = resize(k.tops, (q.hi-q.lo)*n), resize(k.sums, (q.hi-q.lo)*n)
	for i := range k.sums { // a sink is a score without a value
		if k.sums[i] = 1; i%n == 0 {
			numbers(k.tops[i:i+n], sinks, q.head*group)
		}
	}
	ctx := func(i int) []float32 { return s.row(graph.Ctx, q.lo+i/n)[(q.head*group+i%n)*d:][:d] }
	for i := range k.sums {
		clear(ctx(i))
	}
	if before == nil {
		s.ask(k, q)
	}
	for i, start := 0, q.first/span*span; start < q.end; i, start = i+1, start+span {
		part := &k.seen
		if before != nil {
			part = &before[i]
		} else {
			s.see(k, part, layer, q, start)
		}
		for j := range k.tops {
			h, g := j%n/group, j%group
			i := (h*(q.hi-q.lo)+j/n)*room + g
			if sum := kernel.SumOf(part.sums[i*kernel.SumLanes:]); sum != 0 {
				s.add(&k.tops[j], &k.sums[j], ctx(j), part.tops[i], sum, part.values[i*width:])
			}
		}
	}
	for j, sum := range k.sums {
		ctx := ctx(j)
		for i := range ctx {
			ctx[i] /= sum
		}
	}
}

// add adds what was seen of a span to what was seen before.
func (s *pass) add(top, sum *float32, ctx []float32, spanTop, spanSum float32, values []float32) {
	most := max(*top, spanTop)
	keep, weight := kernel.Exp(*top-most), kernel.Exp(spanTop-most)
	*top, *sum = most, keep**sum+weight*spanSum
	if keep != 1 {
		for i := range ctx {
			ctx[i] *= keep
		}
	}
	s.kernels.Axpy(ctx, values[:len(ctx)], weight)
}

// ask lays queries out as see needs them, divided by the root of their length.
func (s *pass) ask(k *scratch, q *queries) {
	d := s.c.HeadDim
	group, room := s.heads()
	scale := float32(1 / math.Sqrt(float64(d)))
	rows := q.hi - q.lo
	k.queries = resize(k.queries, q.heads*rows*room*d)
	clear(k.queries)
	for t := range rows {
		row := s.row(graph.Q, q.lo+t)[q.head*group*d:]
		for h := range q.heads {
			to := k.queries[(h*rows+t)*room*d:]
			for i, v := range row[h*group*d:][:group*d] {
				to[i] = v * scale
			}
		}
	}
}

// see computes what queries, laid out in k, get from the span at start. Page by page, of
// each KV head, it scores the keys, weighs them beside the largest score so far, and
// adds the values. While it is at keys or values, it has those that follow fetched.
func (s *pass) see(k *scratch, to *seen, layer int, q *queries, start int) {
	d, width := s.c.HeadDim, padded(s.c.HeadDim)
	_, room := s.heads()
	rows := q.hi - q.lo
	all := q.heads * rows * room
	to.tops, to.sums, to.values = resize(to.tops, all), resize(to.sums, all*kernel.SumLanes), resize(to.values, all*width)
	for i := range to.tops {
		to.tops[i] = -math.MaxFloat32
	}
	clear(to.sums)
	clear(to.values)
	k.scores = resize(k.scores, room*graph.CachePage)
	step := q.cache.step()
	end := min(start+span, q.end)
	for at, stop := max(start, q.first), 0; at < end; at = stop {
		from := at - at%graph.CachePage // the page's first position
		stop = min(end, from+graph.CachePage)
		k.sees = k.sees[:0]
		for _, r := range s.rows[q.lo:q.hi] {
			e := extent{s.firstKey(layer, r.pos), r.pos + 1}.within(at, stop)
			k.sees = append(k.sees, extent{e.first - from, e.end - from})
		}
		block := (at - from) / kernel.Panel * kernel.Panel
		panels := (stop - from - block + kernel.Panel - 1) / kernel.Panel
		p := q.cache.at(at)
		for h := range q.heads {
			here, next := p.cut((q.head+h)*step, step), page{}
			if h+1 < q.heads {
				next = p.cut((q.head+h+1)*step, step)
			} else if stop < q.end {
				next = q.cache.at(stop).cut(q.head*step, step)
			}
			values := here.cut(graph.CachePage*d, graph.CachePage*width)

			keys := mixer{s.kernels, here.cut(block*d, panels*kernel.Panel*d), values}
			for t, e := range k.sees {
				if e.empty() {
					continue
				}
				i, n, blocks := (h*rows+t)*room, (e.end-e.first)*kernel.Panel, width/kernel.Panel
				clear(k.scores)
				keys.mix(room, k.scores[block:], graph.CachePage, k.queries[i*d:], d, panels)
				s.weigh(k, to, i, e, block, panels*kernel.Panel)
				together := 1
				if n == valueStep { // a whole page's panels lie one after the other
					together = blocks
				}
				for b := 0; b < blocks; b += together {
					m := mixer{s.kernels, values.cut(b*valueStep+e.first*kernel.Panel, together*n), next}
					m.mix(room, to.values[i*width+b*kernel.Panel:], width, k.scores[e.first:], graph.CachePage, together)
				}
			}
		}
	}
}

// weigh turns the scores in k, of a row's query heads from number i of what is seen on,
// into weights: n of a page from one on, of which the row sees an extent.
func (s *pass) weigh(k *scratch, to *seen, i int, sees extent, from, n int) {
	group, room := s.heads()
	if sees.first > from || sees.end < from+n {
		for g := range group {
			for j := from; j < from+n; j++ {
				if j < sees.first || j >= sees.end {
					k.scores[g*graph.CachePage+j] = float32(math.Inf(-1))
				}
			}
		}
	}
	k.keeps = resize(k.keeps, room)
	s.kernels.Softmax(group, k.scores[from:], graph.CachePage, n, to.tops[i:], to.sums[i*kernel.SumLanes:], k.keeps)
	for g, keep := range k.keeps[:group] {
		if keep != 1 {
			width := padded(s.c.HeadDim)
			values := to.values[(i+g)*width:][:width]
			for j := range values {
				values[j] *= keep
			}
		}
	}
}

// mixer is panels with what is to be fetched while they are mixed.
type mixer struct {
	*kernel.Set
	panels, next page
}

// mix calls the kernel for so many rows of sums.
func (m *mixer) mix(rows int, sums []float32, step int, weights []float32, apart, panels int) {
	if p := m.panels.f16; p != nil {
		m.MixHalves(rows, sums, step, weights, apart, panels, p, m.next.f16)
	} else {
		m.Mix(rows, sums, step, weights, apart, panels, m.panels.f32, m.next.f32)
	}
}
