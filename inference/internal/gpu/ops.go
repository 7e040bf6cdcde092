//go:build cgo && (amd64 || arm64)

package gpu

import (
	"math"
	"slices"

	"chorale/inference/internal/graph"
	"chorale/inference/internal/vk"
	"chorale/inference/internal/weights"
	"chorale/shaders"
)

// Several operations of graph.Ops are one dispatch here. The first one records
// it, the others have nothing left to do: their registers lie in the same
// buffer (Q, K and V), or are written along (K's rotation and the cache with
// Q's rotation).

// Embed records the look-up in each window of the table.
func (o *recorder) Embed(table *weights.Tensor) {
	m := o.model.matrices[table]
	if m == nil {
		o.embedOnHost()
		return
	}
	for _, p := range m.parts {
		push := shaders.EmbedPush{Tokens: uint32(o.tokens), Width: uint32(m.width), First: uint32(p.first), Rows: uint32(p.count)}
		dispatch(o, &shaders.Embed, []uint32{uint32(o.profile.local), uint32(p.format)}, push, ceil(m.width/8, o.profile.local), o.tokens, 0,
			o.input(o.ids), p.data, o.register(graph.X).Range)
	}
	o.done(graph.X)
}

// rowsOf is how many rows of a register the pass uses.
func (o *recorder) rowsOf(r graph.Reg) int {
	if r == graph.Last || r == graph.LastN || r == graph.Logits {
		return o.rows
	}
	return o.tokens
}

func (o *recorder) RMSNorm(dst, src graph.Reg, gain *weights.Tensor) {
	if n := o.rowsOf(src); n > 0 {
		push := shaders.NormPush{Width: uint32(o.config.Hidden), Eps: o.config.Eps}
		dispatch(o, &shaders.Norm, []uint32{uint32(o.profile.norm)}, push, n, 1, 0,
			o.register(src).Range, o.model.vectors[gain], o.register(dst).Range)
	}
	o.done(dst)
}

func (o *recorder) Linear(dst, src graph.Reg, a *graph.Affine) { o.linear(dst, src, a, 0) }

func (o *recorder) AddLinear(dst, src graph.Reg, a *graph.Affine) { o.linear(dst, src, a, 1) }

func (o *recorder) linear(dst, src graph.Reg, a *graph.Affine, add uint32) {
	m, n := o.model.matrices[a.W], o.rowsOf(src)
	if m == nil || n == 0 {
		o.done(dst)
		return
	}
	cut := o.profile.cutLinear(dst, n)
	from, to := o.register(src), o.register(dst)
	push := shaders.LinearPush{Width: uint32(m.width), Stride: uint32(to.stride), Add: add}
	bias := m.bias
	if bias.Buffer != nil {
		push.Biased = 1
	} else {
		bias = o.in(o.tiles) // not read
	}
	most := o.mostRows(to)
	for lo := 0; lo < n; lo += most {
		count := min(most, n-lo)
		push.Tokens = uint32(count)
		for _, p := range m.parts {
			push.First, push.Rows = uint32(p.first), uint32(p.count)
			x, y := cut.grid(p.count, ceil(count, cut.tile))
			dispatch(o, cut.kernel, append(cut.constants, uint32(p.format)), push, x, y,
				int64(count)*int64(p.count)*int64(m.width), o.bound(from, lo, count), p.data, bias, o.bound(to, lo, count))
		}
	}
	o.done(dst)
}

// bound is what is bound of a register for n rows from one on: all of it where
// that may be, so that batches of any size share a descriptor set.
func (o *recorder) bound(r register, row, n int) vk.Range {
	if row == 0 && r.Size <= o.profile.window {
		return r.Range
	}
	return r.part(row, n)
}

// mostRows is how many rows of a register the device can bind at once, whole
// pages of them, so that windows begin where they may. Only logits can exceed
// it: a chunk is chosen so that the others don't.
func (o *recorder) mostRows(r register) int {
	if r.Size <= o.profile.window {
		return o.chunk
	}
	return max(1, o.profile.window/(4*r.stride*64)) * 64
}

// Rotate records the rotation of queries and keys, and the caches' update, when
// it is called for the queries: of as many parts and windows of their caches together as
// the kernel serves.
func (o *recorder) Rotate(r graph.Reg) {
	if r == graph.Q {
		var all []rotation
		row := 0
		for i, x := range o.parts {
			if x.tokens > 0 {
				for _, w := range x.state.windows(o.layer) {
					all = append(all, rotation{i, row, x.tokens, x.state.layers[o.layer].slots, w})
				}
			}
			row += x.tokens
		}
		for some := range slices.Chunk(all, shaders.RopeShares) {
			o.rotate(some)
		}
	}
	o.done(r)
}

// rotation is what kernel rope has to know of a share.
type rotation struct {
	part, row, tokens, slots int
	window                   heads
}

func (o *recorder) rotate(all []rotation) {
	c := o.config
	push := shaders.RopePush{Heads: uint32(c.Heads), KVHeads: uint32(c.KVHeads)}
	ranges := []vk.Range{o.input(o.positions), o.input(o.tables), o.register(graph.Q).Range}
	most, tokens := 0, 0
	for i, r := range all {
		push.Part[i], push.Row[i], push.Tokens[i], push.Slots[i] = uint32(r.part), uint32(r.row), uint32(r.tokens), uint32(r.slots)
		push.KVFirst[i], push.KVCount[i] = uint32(r.window.first), uint32(r.window.count)
		units := 2 * r.window.count
		if r.window.first == 0 {
			units += c.Heads
		}
		most, tokens = max(most, 16*units), tokens+r.tokens
		ranges = append(ranges, r.window.keys, r.window.values)
	}
	for len(ranges) < shaders.Rope.Bindings { // not written
		ranges = append(ranges, all[0].window.keys, all[0].window.values)
	}
	shares := 1
	if len(all) > 1 {
		shares = shaders.RopeShares
	}
	dispatch(o, &shaders.Rope, []uint32{uint32(o.profile.local), o.half(), uint32(shares)}, push, ceil(most, o.profile.local), tokens, 0, ranges...)
}

// half is 1 where the caches are in f16.
func (o *recorder) half() uint32 {
	if o.kv == graph.KVF16 {
		return 1
	}
	return 0
}

// Append only counts: the cache has been written by Rotate.
func (o *recorder) Append(layer int) { o.layer = layer + 1 }

func (o *recorder) Attend(layer int, sinks *weights.Tensor) {
	if o.profile.split > 0 && o.profile.attend == nil && o.config.Window[layer] == 0 {
		o.attendSplit(layer, sinks)
		o.done(graph.Ctx)
		return
	}
	row := 0
	for i, x := range o.parts {
		if x.tokens > 0 {
			o.attend(layer, sinks, i, row)
		}
		row += x.tokens
	}
	o.done(graph.Ctx)
}

// attendSplit records all parts, their keys split, as many splits at a time as there
// is room for.
func (o *recorder) attendSplit(layer int, sinks *weights.Tensor) {
	c, each := o.config, o.profile.split
	group := c.Heads / c.KVHeads
	most := max(1, splitsAtOnce/o.tokens)
	for first, more := 0, true; more; first += most {
		more = false
		var merges []func()
		row := 0
		for i, x := range o.parts {
			slots, begin := 0, row
			row += x.tokens
			if x.tokens > 0 {
				slots = x.state.layers[layer].slots
			}
			n := min(most, ceil(slots, each)-first)
			if n <= 0 {
				continue
			}
			more = more || first+n < ceil(slots, each)
			how := o.profile.cutAttend(group, x.tokens)
			push := shaders.AttendPush{Tokens: uint32(x.tokens), KVHeads: uint32(c.KVHeads), Slots: uint32(slots), Part: uint32(i),
				Row: uint32(begin), SegmentBegin: uint32(first * each), SegmentEnd: uint32(begin * most)}
			sums, totals := o.in(o.splitSums), o.in(o.splitTotals)
			for _, w := range x.state.windows(layer) {
				push.KVFirst = uint32(w.first)
				work := int64(x.tokens) * int64(w.count*group) * 128 * int64(n*each)
				dispatch(o, how.kernel, append(how.constants, o.half(), uint32(each)), push, w.count, ceil(x.tokens, how.tile)*n, work,
					o.input(o.positions), o.register(graph.Q).Range, o.model.vectors[sinks], w.keys, w.values, sums, totals)
			}
			merge := shaders.MergePush{Heads: uint32(c.Heads), Part: uint32(i), Row: uint32(begin), First: uint32(first), Count: uint32(n),
				PositionsEach: uint32(each), At: uint32(begin * most)}
			if first+n == ceil(slots, each) {
				merge.Last = 1
			}
			merges = append(merges, func() {
				dispatch(o, &shaders.Merge, []uint32{64}, merge, ceil(c.Heads, 4), x.tokens, 0,
					o.input(o.positions), o.model.vectors[sinks], sums, totals, o.register(graph.Ctx).Range, o.in(o.between))
			})
		}
		o.barrier()
		for _, merge := range merges {
			merge()
		}
		if more {
			o.barrier()
		}
	}
}

// attend records a part that begins with a row.
func (o *recorder) attend(layer int, sinks *weights.Tensor, part, row int) {
	c, x := o.config, o.parts[part]
	group := c.Heads / c.KVHeads
	how := o.profile.cutAttend(group, x.tokens)
	slots := x.state.layers[layer].slots
	push := shaders.AttendPush{Tokens: uint32(x.tokens), KVHeads: uint32(c.KVHeads), Slots: uint32(slots),
		Window: uint32(c.Window[layer]), Part: uint32(part), Row: uint32(row)}
	constants := append(how.constants, o.half())
	keys := slots
	if w := c.Window[layer]; w > 0 {
		keys = min(keys, w)
	}
	// A ring's positions are not its slots: they are walked in one segment, which
	// is short.
	segment := o.profile.segment
	if c.Ring(layer, x.state.context) {
		segment = math.MaxInt32
	}
	for _, w := range x.state.windows(layer) {
		push.KVFirst = uint32(w.first)
		work := int64(x.tokens) * int64(w.count*group) * 128 * int64(min(keys, segment))
		for begin := 0; begin < slots; begin += segment {
			if begin > 0 {
				o.barrier()
			}
			push.SegmentBegin, push.SegmentEnd, push.LastSegment = uint32(begin), uint32(begin+segment), 0
			if begin+segment >= slots {
				push.LastSegment = 1
			}
			dispatch(o, how.kernel, constants, push, w.count*how.outputs, ceil(x.tokens, how.tile), work,
				o.input(o.positions), o.register(graph.Q).Range, o.model.vectors[sinks], w.keys, w.values, o.register(graph.Ctx).Range, o.in(o.between))
		}
	}
}

func (o *recorder) Route() {
	c := o.config
	push := shaders.TopKPush{Tokens: uint32(o.tokens), Experts: uint32(c.Experts), Top: uint32(c.TopK)}
	dispatch(o, &shaders.TopK, []uint32{uint32(o.profile.local)}, push, ceil(o.tokens, o.profile.local), 1, 0,
		o.register(graph.Router).Range, o.register(graph.Choice).Range, o.register(graph.Mix).Range)
	o.done(graph.Choice, graph.Mix)
}

func (o *recorder) Pick() {
	if o.rows > 0 {
		push := shaders.PickPush{Width: uint32(o.config.Hidden)}
		dispatch(o, &shaders.Pick, []uint32{uint32(o.profile.local)}, push, ceil(o.config.Hidden/4, o.profile.local), o.rows, 0,
			o.input(o.wanted), o.register(graph.X).Range, o.register(graph.Last).Range)
	}
	o.done(graph.Last)
}

// Experts records both matrices of the chosen experts, and their sum. A batch
// sorts its choices by expert first; one token's choices are its tiles.
func (o *recorder) Experts(up, down *graph.Affine) {
	if o.model.matrices[up.W] == nil {
		o.expertsOnHost(up, down)
		return
	}
	c := o.config
	combine := shaders.CombinePush{Width: uint32(c.Hidden), Top: uint32(c.TopK)}
	experts, tokens, n, tile := o.register(graph.Choice).Range, o.register(graph.Choice).Range, c.TopK, 1
	if o.tokens > 1 {
		combine.Grouped = 1
		tile = o.profile.tileOf(c, o.tokens)
		n = tiles(c, o.tokens, tile)
		experts, tokens = o.in(o.tiles), o.in(o.slotTokens)
		group := shaders.GroupPush{Choices: uint32(o.tokens * c.TopK), Top: uint32(c.TopK), Tiles: uint32(n)}
		// As many invocations as experts, not o.profile.local: fewer would take
		// more turns of their loops than lavapipe allows (see attend.comp).
		local := uint32(min(c.Experts, 128))
		dispatch(o, &shaders.Group, []uint32{local, uint32(tile), uint32(c.Experts)}, group, 1, 1, 0,
			o.register(graph.Choice).Range, experts, tokens, o.in(o.slotOf))
		o.barrier()
	}
	o.up(up, experts, tokens, n, tile)
	o.down(down, experts, n, tile)
	dispatch(o, &shaders.Combine, []uint32{uint32(o.profile.local)}, combine, ceil(c.Hidden/4, o.profile.local), o.tokens, 0,
		o.in(o.outer), o.in(o.slotOf), o.register(graph.Mix).Range, o.register(graph.X).Range)
	o.done(graph.X)
}

// up records the first matrix on the given tiles.
func (o *recorder) up(a *graph.Affine, experts, tokens vk.Range, n, tile int) {
	m, cut := o.model.matrices[a.W], o.profile.cutUp(tile)
	push := shaders.ExpertUpPush{Rows: uint32(m.rows), Width: uint32(m.width), Limit: o.config.Limit, Alpha: graph.Alpha}
	if o.tokens > 1 {
		push.Grouped = 1
	}
	for _, p := range m.parts {
		push.First, push.Experts = uint32(p.first), uint32(p.count)
		x, y := cut.grid(m.rows, n)
		dispatch(o, cut.kernel, cut.constants, push, x, y, o.expertWork(m),
			o.register(graph.Norm).Range, p.data, p.scales, m.bias, experts, tokens, o.in(o.inner))
	}
	o.barrier()
}

// down records the second matrix.
func (o *recorder) down(a *graph.Affine, experts vk.Range, n, tile int) {
	m, cut := o.model.matrices[a.W], o.profile.cutDown(tile)
	push := shaders.ExpertDownPush{Rows: uint32(m.rows), Width: uint32(m.width)}
	for _, p := range m.parts {
		push.First, push.Experts = uint32(p.first), uint32(p.count)
		x, y := cut.grid(m.rows, n)
		dispatch(o, cut.kernel, cut.constants, push, x, y, o.expertWork(m),
			o.in(o.inner), p.data, p.scales, m.bias, experts, o.in(o.outer))
	}
	o.barrier()
}

// expertWork is the multiplications of a batch's choices, per window.
func (o *recorder) expertWork(m *matrix) int64 {
	return int64(o.tokens) * int64(o.config.TopK) * int64(m.rows) * int64(m.width) / int64(len(m.parts))
}
