package ref

import (
	"math"

	"chorale/inference/internal/graph"
	"chorale/inference/internal/kernel"
	"chorale/inference/internal/weights"
)

const (
	// span is how many positions, from a multiple of it on, have their softmax
	// together: few enough that scores stay near. A row adds its spans in order, each
	// by its own largest score, so bits depend on the row's position alone, and spans
	// can be computed at the same time.
	span = 2048

	// scoreStep is the distance of rows of scores. Were it a power of two, they would
	// get in each other's way in the first cache.
	scoreStep = span + kernel.Panel

	// together is the most rows of a sequence that share what is loaded of its cache.
	together = 4

	// attendGrain is how many products of queries and keys make a piece of work that
	// is worth handing to another thread.
	attendGrain = 1 << 19
)

// queries are a KV head's query heads in rows of one sequence that follow each other.
type queries struct {
	lo, hi     int // rows of the pass
	head       int // of keys and values
	cache      *layerCache
	first, end int // positions that any of them sees
}

// seen is what queries get from a span: the largest score of each, and the sum of the
// weights and of the values times these. There is room for whole multiples of
// kernel.MixLeast query heads.
type seen struct {
	tops, sums []float32 // [rows, heads]
	values     []float32 // [rows, heads, padded HeadDim]
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
		for i, q := range all {
			before[i] = make([]seen, (q.end-1)/span-q.first/span+1)
			for j := range before[i] {
				pieces = append(pieces, piece{i, j})
			}
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
func (s *pass) queries(layer int) (all []queries, work int) {
	for lo, hi := 0, 0; lo < len(s.rows); lo = hi {
		from := s.rows[lo]
		for hi < len(s.rows) && hi < lo+together && s.rows[hi].state == from.state {
			work += s.rows[hi].pos + 1 - s.firstKey(layer, s.rows[hi].pos)
			hi++
		}
		q := queries{lo: lo, hi: hi, cache: &from.state.cache.layers[layer], first: s.firstKey(layer, from.pos), end: s.rows[hi-1].pos + 1}
		for q.head = range s.c.KVHeads {
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
	k.tops, k.sums = resize(k.tops, (q.hi-q.lo)*group), resize(k.sums, (q.hi-q.lo)*group)
	for i := range k.sums { // a sink is a score without a value
		if k.sums[i] = 1; i%group == 0 {
			numbers(k.tops[i:i+group], sinks, q.head*group)
		}
	}
	for t := q.lo; t < q.hi; t++ {
		clear(s.row(graph.Ctx, t)[q.head*group*d:][:group*d])
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
			t, g := j/group, j%group
			if i := t*room + g; part.sums[i] != 0 {
				ctx := s.row(graph.Ctx, q.lo+t)[(q.head*group+g)*d:][:d]
				s.add(&k.tops[j], &k.sums[j], ctx, part.tops[i], part.sums[i], part.values[i*width:])
			}
		}
	}
	for j, sum := range k.sums {
		ctx := s.row(graph.Ctx, q.lo+j/group)[(q.head*group+j%group)*d:][:d]
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
	k.queries = resize(k.queries, (q.hi-q.lo)*room*d)
	clear(k.queries)
	for t := q.lo; t < q.hi; t++ {
		to := k.queries[(t-q.lo)*room*d:]
		for i, v := range s.row(graph.Q, t)[q.head*group*d:][:group*d] {
			to[i] = v * scale
		}
	}
}

// see computes what queries, laid out in k, get from the span at start. While it is at
// one page, it has the next fetched: of the keys, then of the values.
func (s *pass) see(k *scratch, to *seen, layer int, q *queries, start int) {
	d, width := s.c.HeadDim, padded(s.c.HeadDim)
	group, room := s.heads()
	first, end := max(start, q.first), min(start+span, q.end)
	k.sees = k.sees[:0]
	for _, r := range s.rows[q.lo:q.hi] {
		k.sees = append(k.sees, extent{s.firstKey(layer, r.pos), r.pos + 1}.within(start, start+span))
	}
	rows := len(k.sees) * room

	k.scores = resize(k.scores, rows*scoreStep)
	for i := range rows {
		clear(k.scores[i*scoreStep:][first-start-first%kernel.Panel : padded(end-start)])
	}
	for at, stop := first, 0; at < end; at = stop {
		stop = min(end, at-at%graph.CachePage+graph.CachePage)
		p, next := q.cache.at(at), q.cache.values(first, q.head)
		if stop < end {
			next = q.cache.keys(stop, q.head)
		}
		block := at - at%kernel.Panel
		panels := (stop - block + kernel.Panel - 1) / kernel.Panel
		m := s.mixer(p.cut(q.cache.key(block, q.head), panels*d*kernel.Panel), next, block%graph.CachePage/kernel.Panel*d*kernel.Panel)
		for t, e := range k.sees {
			if !e.within(block, stop).empty() {
				i := t * room
				m.mix(room, k.scores[i*scoreStep+block-start:], scoreStep, k.queries[i*d:], d, panels)
			}
		}
	}

	to.tops, to.sums = resize(to.tops, rows), resize(to.sums, rows)
	for t, e := range k.sees {
		for i := t * room; i < t*room+group; i++ {
			to.tops[i], to.sums[i] = s.kernels.Softmax(k.scores[i*scoreStep:][e.first-start : max(e.first, e.end)-start])
		}
	}

	to.values = resize(to.values, rows*width)
	clear(to.values)
	for at, stop := first, 0; at < end; at = stop {
		stop = min(end, at-at%graph.CachePage+graph.CachePage)
		p, next := q.cache.at(at), page{}
		if stop < end {
			next = q.cache.values(stop, q.head)
		} else if stop < q.end {
			next = q.cache.keys(stop, q.head)
		}
		all := p.cut(q.cache.value(at, q.head), (width/kernel.Panel-1)*valueStep+(stop-at)*kernel.Panel)
		for t, e := range k.sees {
			e := e.within(at, stop)
			if e.empty() {
				continue
			}
			i, n, panels := t*room, (e.end-e.first)*kernel.Panel, width/kernel.Panel
			together := 1
			if n == valueStep { // a whole page's panels lie one after the other
				together = panels
			}
			for block := 0; block < panels; block += together {
				from := block*valueStep + (e.first-at)*kernel.Panel
				m := s.mixer(all.cut(from, together*n), next, from)
				m.mix(room, to.values[i*width+block*kernel.Panel:], width, k.scores[i*scoreStep+e.first-start:], scoreStep, together)
			}
		}
	}
}

// mixer is panels with what is to be fetched while they are mixed.
type mixer struct {
	*kernel.Set
	panels, next page
	run          int
}

// mixer returns one of panels that begin with number i of their head's in a page. Of the
// next page it fetches as large a part.
func (s *pass) mixer(panels, next page, i int) mixer {
	run := max(len(next.f32), len(next.f16)) / 4
	if from := min(run, i/4); run > 0 {
		next = next.cut(from, 4*run-from)
	}
	return mixer{s.kernels, panels, next, run}
}

// mix calls the kernel for so many rows of sums.
func (m *mixer) mix(rows int, sums []float32, step int, weights []float32, apart, panels int) {
	if p := m.panels.f16; p != nil {
		m.MixHalves(rows, sums, step, weights, apart, panels, p, m.next.f16, m.run)
	} else {
		m.Mix(rows, sums, step, weights, apart, panels, m.panels.f32, m.next.f32, m.run)
	}
}
