//go:build cgo && (amd64 || arm64)

package gpu

import (
	"context"
	"fmt"

	"chorale/inference/internal/graph"
	"chorale/inference/internal/vk"
)

// state is one sequence: registers, a KV cache that grows, and recordings.
type state struct {
	*Backend
	context int

	register [graph.NumRegs]register
	batch    batch
	scratch  scratch
	logits   *vk.Buffer // on the host's side

	capacity int // positions in the cache
	keys     []*vk.Buffer
	values   []*vk.Buffer // per layer, [kv head][capacity][64]

	buffers  []*vk.Buffer // all but the cache and the logits
	sets     map[binding]*vk.Set
	recorded map[shape]*recording
}

// register is where a register lies: rows of stride numbers, its own from
// column on.
type register struct {
	vk.Range
	stride, column int
}

// batch is what differs between two passes of the same shape: the host writes
// it, the kernels read it.
type batch struct {
	buffer                      *vk.Buffer
	position, ids, rows, tables vk.Range
}

// scratch holds the experts' work on a batch: choices sorted by expert into
// slots, tiles of slots, and the activations of each slot.
type scratch struct {
	tiles, tokens, slots vk.Range // as kernel group writes them
	inner                vk.Range // [slots, Width]
	outer                vk.Range // [slots, Hidden]
}

// binding identifies a descriptor set.
type binding struct {
	kernel *vk.Kernel
	ranges [7]vk.Range
}

// shape is what a recording depends on.
type shape struct{ tokens, rows int }

const firstCapacity = 1024

// NewState makes a sequence with room for that many positions. The cache starts
// small and doubles as the sequence grows.
func (b *Backend) NewState(context int) (graph.State, error) {
	perPosition := uint64(b.config.KVHeads) * 64 * 4
	if most := b.device.MaxBuffer / perPosition; context < 1 || uint64(context) > most {
		return nil, fmt.Errorf("a context of %d positions: want 1 to %d on this device", context, most)
	}
	s := &state{Backend: b, context: context, sets: map[binding]*vk.Set{}, recorded: map[shape]*recording{}}
	if err := s.allocate(); err != nil {
		s.Close()
		return nil, err
	}
	if err := s.grow(min(firstCapacity, context), 0); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// allocate lays the registers out for a full chunk, in one buffer but for the
// logits. Queries, keys and values are columns of one matrix.
func (s *state) allocate() error {
	c, n := s.config, s.chunk
	slots := n
	if n > 1 {
		slots = s.tiles(n) * s.profile.tile
	}
	slots = max(slots, c.TopK)
	var a allocator
	qkv := c.QWidth() + 2*c.KVWidth()
	attention := a.words(n * qkv)
	s.register[graph.Q] = register{stride: qkv}
	s.register[graph.K] = register{stride: qkv, column: c.QWidth()}
	s.register[graph.V] = register{stride: qkv, column: c.QWidth() + c.KVWidth()}
	for _, r := range []graph.Reg{graph.X, graph.Norm, graph.Ctx, graph.Router, graph.Choice, graph.Mix, graph.Last, graph.LastN} {
		s.register[r] = register{Range: a.words(n * c.RegWidth(r)), stride: c.RegWidth(r)}
	}
	s.register[graph.Logits] = register{stride: c.Vocab}
	s.scratch = scratch{
		tiles: a.words(max(s.tiles(n), c.TopK)), tokens: a.words(slots), slots: a.words(n * c.TopK),
		inner: a.words(slots * c.Width), outer: a.words(slots * c.Hidden),
	}
	registers, err := s.device.NewBuffer(a.size, vk.Local)
	if err != nil {
		return err
	}
	s.buffers = append(s.buffers, registers)
	for _, r := range []graph.Reg{graph.Q, graph.K, graph.V} {
		s.register[r].Range = attention
	}
	for r := range s.register {
		if graph.Reg(r) != graph.Logits {
			s.register[r].Buffer = registers
		}
	}
	for _, r := range []*vk.Range{&s.scratch.tiles, &s.scratch.tokens, &s.scratch.slots, &s.scratch.inner, &s.scratch.outer} {
		r.Buffer = registers
	}
	return s.allocateBatch()
}

func (s *state) allocateBatch() error {
	var a allocator
	b := batch{position: a.words(1), ids: a.words(s.chunk), rows: a.words(s.chunk), tables: a.words(s.chunk * 64)}
	var err error
	if b.buffer, err = s.device.NewBuffer(a.size, vk.Upload); err != nil {
		return err
	}
	s.buffers = append(s.buffers, b.buffer)
	for _, r := range []*vk.Range{&b.position, &b.ids, &b.rows, &b.tables} {
		r.Buffer = b.buffer
	}
	s.batch = b
	return nil
}

// allocator lays ranges out one behind the other.
type allocator struct{ size int }

func (a *allocator) words(n int) vk.Range {
	r := vk.Range{Offset: a.size, Size: ceil(4*n, 16) * 16}
	a.size += ceil(r.Size, align) * align
	return r
}

// tiles is the most tiles that the choices of n tokens can fill: each expert
// may leave one tile partly empty.
func (s *state) tiles(n int) int {
	choices := n * s.config.TopK
	return choices/s.profile.tile + min(choices, s.config.Experts)
}

// grow gives the cache a new capacity and keeps its first positions.
func (s *state) grow(capacity, keep int) error {
	c := s.config
	var keys, values []*vk.Buffer
	closeAll := func(all []*vk.Buffer) {
		for _, b := range all {
			b.Close()
		}
	}
	for range c.Layers {
		for _, list := range []*[]*vk.Buffer{&keys, &values} {
			b, err := s.device.NewBuffer(c.KVHeads*capacity*64*4, vk.Local)
			if err != nil {
				closeAll(keys)
				closeAll(values)
				return fmt.Errorf("KV cache of %d positions: %w", capacity, err)
			}
			*list = append(*list, b)
		}
	}
	if keep > 0 {
		if err := s.move(keys, values, capacity, keep); err != nil {
			closeAll(keys)
			closeAll(values)
			return err
		}
	}
	s.forget()
	closeAll(s.keys)
	closeAll(s.values)
	s.keys, s.values, s.capacity = keys, values, capacity
	return nil
}

// move copies the first positions of the cache into a larger one.
func (s *state) move(keys, values []*vk.Buffer, capacity, keep int) error {
	return s.once(func(c *vk.Commands) {
		for l := range keys {
			for h := range s.config.KVHeads {
				c.Copy(keys[l], h*capacity*256, s.keys[l], h*s.capacity*256, keep*256)
				c.Copy(values[l], h*capacity*256, s.values[l], h*s.capacity*256, keep*256)
			}
		}
	})
}

// forget drops recordings and the descriptor sets that they use.
func (s *state) forget() {
	for _, r := range s.recorded {
		r.close()
	}
	for _, set := range s.sets {
		set.Close()
	}
	clear(s.recorded)
	clear(s.sets)
}

// Close frees the sequence.
func (s *state) Close() error {
	s.forget()
	for _, list := range [][]*vk.Buffer{s.keys, s.values, s.buffers, {s.logits}} {
		for _, b := range list {
			if b != nil {
				b.Close()
			}
		}
	}
	s.keys, s.values, s.buffers, s.logits = nil, nil, nil, nil
	return nil
}

// prepare checks the batch, makes room for it and writes it where the kernels
// read it.
func (s *state) prepare(b graph.Batch) error {
	if err := b.Check(s.config, s.chunk, s.context); err != nil {
		return err
	}
	if end := b.Pos + len(b.IDs); end > s.capacity {
		capacity := s.capacity
		for capacity < end {
			capacity = min(2*capacity, s.context)
		}
		if err := s.grow(capacity, min(b.Pos, s.capacity)); err != nil {
			return err
		}
	}
	if err := s.allocateLogits(len(b.Rows)); err != nil {
		return err
	}
	words := func(r vk.Range) []uint32 { return r.Buffer.Uint32s()[r.Offset/4:] }
	words(s.batch.position)[0] = uint32(b.Pos)
	copy(words(s.batch.ids), b.IDs)
	for i, r := range b.Rows {
		words(s.batch.rows)[i] = uint32(r)
	}
	cos, sin := s.config.Rotary(b.Pos, len(b.IDs))
	tables := s.batch.tables.Buffer.Float32s()[s.batch.tables.Offset/4:]
	for t := range b.IDs {
		copy(tables[t*64:], cos[t*32:(t+1)*32])
		copy(tables[t*64+32:], sin[t*32:(t+1)*32])
	}
	return nil
}

// allocateLogits makes room for the logits of that many rows.
func (s *state) allocateLogits(rows int) error {
	need := max(rows, 1) * s.config.Vocab * 4
	if s.logits != nil && s.logits.Size >= need {
		return nil
	}
	s.forget()
	if s.logits != nil {
		s.logits.Close()
		s.logits = nil
	}
	b, err := s.device.NewBuffer(need, vk.Readback)
	if err != nil {
		return err
	}
	s.logits = b
	s.register[graph.Logits].Range = vk.Range{Buffer: b, Size: need}
	return nil
}

// Forward runs the batch. Shapes that recur, one token and a full chunk, are
// recorded once.
func (s *state) Forward(ctx context.Context, b graph.Batch) ([]float32, error) {
	if err := s.prepare(b); err != nil {
		return nil, err
	}
	key := shape{len(b.IDs), len(b.Rows)}
	r := s.recorded[key]
	if r == nil {
		r = &recording{}
		if err := s.record(r, key); err != nil {
			r.close()
			return nil, err
		}
		if key.rows <= 1 && (key.tokens == 1 || key.tokens == s.chunk) {
			s.recorded[key] = r
		} else {
			defer r.close()
		}
	}
	if err := r.run(ctx, s.patience); err != nil {
		return nil, err
	}
	if err := s.device.Reach(vk.AtReadback); err != nil {
		return nil, err
	}
	return s.logits.Float32s()[:key.rows*s.config.Vocab], nil
}

// Mark has nothing to do: the cache holds every position.
func (s *state) Mark(int) error { return nil }

// Rewind needs nothing: what lies behind pos is overwritten.
func (s *state) Rewind(pos int) (int, error) { return pos, nil }
