//go:build cgo && (amd64 || arm64)

package gpu

import (
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
	for _, p := range m.parts {
		push := shaders.EmbedPush{Tokens: uint32(o.tokens), Width: uint32(m.width), First: uint32(p.first), Rows: uint32(p.count)}
		dispatch(o, &shaders.Embed, []uint32{uint32(o.profile.local), uint32(p.format)}, push, ceil(m.width/8, o.profile.local), o.tokens, 0,
			o.batch.ids, p.data, o.register[graph.X].Range)
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
			o.register[src].Range, o.model.vectors[gain], o.register[dst].Range)
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
	rows, tile := o.profile.rows1, 1
	if n > 1 {
		rows, tile = o.profile.rowsN, o.profile.tile
	}
	push := shaders.LinearPush{Tokens: uint32(n), Width: uint32(m.width), Stride: uint32(o.register[dst].stride), Add: add}
	bias := m.bias
	if bias.Buffer != nil {
		push.Biased = 1
	}
	for _, p := range m.parts {
		push.First, push.Rows = uint32(p.first), uint32(p.count)
		if bias.Buffer == nil {
			bias = p.data // not read
		}
		constants := []uint32{uint32(o.profile.local), uint32(rows), uint32(tile), uint32(p.format)}
		dispatch(o, &shaders.Linear, constants, push, ceil(p.count, rows*o.profile.local), ceil(n, tile), int64(n)*int64(p.count)*int64(m.width),
			o.register[src].Range, p.data, bias, o.register[dst].Range)
	}
	o.done(dst)
}

// Rotate records the rotation of queries and keys, and the cache's update, when
// it is called for the queries.
func (o *recorder) Rotate(r graph.Reg) {
	if c := o.config; r == graph.Q {
		push := shaders.RopePush{Heads: uint32(c.Heads), KVHeads: uint32(c.KVHeads), Capacity: uint32(o.capacity)}
		dispatch(o, &shaders.Rope, []uint32{uint32(o.profile.local)}, push, ceil((c.Heads+2*c.KVHeads)*32, o.profile.local), o.tokens, 0,
			o.batch.position, o.batch.tables, o.register[graph.Q].Range, whole(o.keys[o.layer]), whole(o.values[o.layer]))
	}
	o.done(r)
}

// Append only counts: the cache has been written by Rotate.
func (o *recorder) Append(layer int) { o.layer = layer + 1 }

func (o *recorder) Attend(layer int, sinks *weights.Tensor) {
	c, queries := o.config, o.profile.queries
	group := c.Heads / c.KVHeads
	if o.tokens == 1 {
		queries = group
	}
	push := shaders.AttendPush{Tokens: uint32(o.tokens), KVHeads: uint32(c.KVHeads), Capacity: uint32(o.capacity), Window: uint32(c.Window[layer])}
	constants := []uint32{uint32(o.profile.attend), uint32(64 / o.profile.attend), uint32(group), uint32(queries)}
	keys := o.capacity
	if w := c.Window[layer]; w > 0 {
		keys = min(keys, w)
	}
	work := int64(o.tokens) * int64(c.Heads) * 128 * int64(keys)
	dispatch(o, &shaders.Attend, constants, push, c.KVHeads, ceil(o.tokens, queries/group), work,
		o.batch.position, o.register[graph.Q].Range, o.model.vectors[sinks], whole(o.keys[layer]), whole(o.values[layer]), o.register[graph.Ctx].Range)
	o.done(graph.Ctx)
}

func whole(b *vk.Buffer) vk.Range { return vk.Range{Buffer: b, Size: b.Size} }

func (o *recorder) Route() {
	c := o.config
	push := shaders.TopKPush{Tokens: uint32(o.tokens), Experts: uint32(c.Experts), Top: uint32(c.TopK)}
	dispatch(o, &shaders.TopK, []uint32{uint32(o.profile.local)}, push, ceil(o.tokens, o.profile.local), 1, 0,
		o.register[graph.Router].Range, o.register[graph.Choice].Range, o.register[graph.Mix].Range)
	o.done(graph.Choice, graph.Mix)
}

func (o *recorder) Pick() {
	if o.rows > 0 {
		push := shaders.PickPush{Width: uint32(o.config.Hidden)}
		dispatch(o, &shaders.Pick, []uint32{uint32(o.profile.local)}, push, ceil(o.config.Hidden/4, o.profile.local), o.rows, 0,
			o.batch.rows, o.register[graph.X].Range, o.register[graph.Last].Range)
	}
	o.done(graph.Last)
}

// Experts records both matrices of the chosen experts. A batch sorts its
// choices by expert first; one token's choices are its tiles.
func (o *recorder) Experts(up, down *graph.Affine) {
	if o.tokens == 1 {
		choice := o.register[graph.Choice].Range
		o.up(up, choice, choice, o.config.TopK, 1)
		o.down(down, choice, o.register[graph.X].Range, 1, 1)
		o.done(graph.X)
		return
	}
	c, s, n := o.config, &o.scratch, o.tiles(o.tokens)
	group := shaders.GroupPush{Choices: uint32(o.tokens * c.TopK), Top: uint32(c.TopK), Tiles: uint32(n)}
	dispatch(o, &shaders.Group, []uint32{uint32(o.profile.local), uint32(o.profile.tile), uint32(c.Experts)}, group, 1, 1, 0,
		o.register[graph.Choice].Range, s.tiles, s.tokens, s.slots)
	o.barrier()
	o.up(up, s.tiles, s.tokens, n, o.profile.tile)
	o.down(down, s.tiles, s.outer, n, o.profile.tile)
	combine := shaders.CombinePush{Width: uint32(c.Hidden), Top: uint32(c.TopK)}
	dispatch(o, &shaders.Combine, []uint32{uint32(o.profile.local)}, combine, ceil(c.Hidden/4, o.profile.local), o.tokens, 0,
		s.outer, s.slots, o.register[graph.Mix].Range, o.register[graph.X].Range)
	o.done(graph.X)
}

// up records the first matrix on the given tiles.
func (o *recorder) up(a *graph.Affine, tiles, tokens vk.Range, n, tile int) {
	m, rows := o.model.matrices[a.W], o.profile.up1
	push := shaders.ExpertUpPush{Rows: uint32(m.rows), Width: uint32(m.width), Limit: o.config.Limit, Alpha: graph.Alpha}
	if tile > 1 {
		rows, push.Grouped = o.profile.upN, 1
	}
	constants := []uint32{uint32(o.profile.local), uint32(rows), uint32(tile)}
	for _, p := range m.parts {
		push.First, push.Experts = uint32(p.first), uint32(p.count)
		dispatch(o, &shaders.ExpertUp, constants, push, ceil(m.rows, rows*o.profile.local), n, o.expertWork(m),
			o.register[graph.Norm].Range, p.data, p.scales, m.bias, tiles, tokens, o.scratch.inner)
	}
	o.barrier()
}

// down records the second matrix: onto dst for one token, into slots else.
func (o *recorder) down(a *graph.Affine, tiles, dst vk.Range, n, tile int) {
	m, rows := o.model.matrices[a.W], o.profile.down1
	push := shaders.ExpertDownPush{Rows: uint32(m.rows), Width: uint32(m.width), Top: uint32(o.config.TopK)}
	if tile > 1 {
		rows, push.Top = o.profile.downN, 0
	}
	constants := []uint32{uint32(o.profile.local), uint32(rows), uint32(tile)}
	for _, p := range m.parts {
		push.First, push.Experts = uint32(p.first), uint32(p.count)
		dispatch(o, &shaders.ExpertDown, constants, push, ceil(m.rows, rows*o.profile.local), n, o.expertWork(m),
			o.scratch.inner, p.data, p.scales, m.bias, tiles, o.register[graph.Mix].Range, dst)
		o.barrier() // windows of one token's experts add to the same rows
	}
}

// expertWork is the multiplications of a batch's choices, per window.
func (o *recorder) expertWork(m *matrix) int64 {
	return int64(o.tokens) * int64(o.config.TopK) * int64(m.rows) * int64(m.width) / int64(len(m.parts))
}
