//go:build cgo && (amd64 || arm64)

package gpu

import (
	"context"
	"slices"

	"chorale/inference/internal/graph"
	"chorale/inference/internal/vk"
	"chorale/shaders"
)

// pass is what the passes of a backend share, one after the other: registers,
// and recordings with their descriptor sets.
type pass struct {
	*Backend
	workspace
	inputs
	registers *vk.Buffer
	batch     *vk.Buffer // as inputs says
	logits    *vk.Buffer // on the device

	// What hosts are told of logits, where they do not see the device's well; nil
	// where they do, or nobody asked yet.
	hostLogits *vk.Buffer

	exchange *vk.Buffer // as crossing says; nil where the host computes nothing
	crossing
	drawing

	sets     map[binding]*vk.Set
	recorded map[shape]*recording
}

// binding identifies a descriptor set.
type binding struct {
	kernel *vk.Kernel
	ranges [3 + 2*shaders.RopeShares]vk.Range
}

// shape is what a recording depends on: the sequences, since their caches are
// bound, how many tokens of each there are and how many wanted rows in all, and
// what becomes of these.
type shape struct {
	parts [graph.MaxParts]share
	rows  int

	told     bool // some logits are handed out
	drawn    bool // some tokens are chosen
	filtered bool // some of them with filters
}

type share struct {
	state  *state
	tokens int
}

// keep is how many recordings are kept. Sequences that come and go make ever
// new groups; those that stay decode by one recording.
const keep = 64

func newPass(b *Backend) (*pass, error) {
	p := &pass{Backend: b, workspace: newWorkspace(b.config, b.chunk, b.profile.tileOf(b.config, b.chunk)), sets: map[binding]*vk.Set{}, recorded: map[shape]*recording{}}
	var batch workspace
	p.inputs = newInputs(&batch, b.chunk)
	var err error
	if p.registers, err = b.device.NewBuffer(p.size, vk.Local); err != nil {
		return nil, err
	}
	if p.batch, err = b.device.NewBuffer(batch.size, vk.Upload); err != nil {
		return nil, err
	}
	if b.host != nil {
		var e workspace
		p.crossing = newCrossing(&e, b.config, b.chunk)
		if p.exchange, err = b.device.NewBuffer(e.size, vk.Readback); err != nil {
			return nil, err
		}
	}
	if p.drawing, err = newDrawing(b); err != nil {
		return nil, err
	}
	return p, p.allocateLogits(graph.MaxParts, false)
}

// allocateLogits makes room for the logits of that many rows, and for telling the
// host of them.
func (p *pass) allocateLogits(rows int, told bool) error {
	place := vk.Local
	if p.device.Kind == vk.Software {
		place, told = vk.Readback, false // all memory is the same there
	}
	need := max(rows, 1) * p.config.Vocab * 4
	err := p.grow(&p.logits, need, place)
	if told && err == nil {
		err = p.grow(&p.hostLogits, need, vk.Readback)
	}
	return err
}

// grow replaces a buffer by one of at least so many bytes.
func (p *pass) grow(b **vk.Buffer, need int, place vk.Place) (err error) {
	if *b != nil && (*b).Size >= need {
		return nil
	}
	p.forget(*b, nil)
	closeBuffer(*b)
	*b, err = p.device.NewBuffer(need, place)
	return err
}

// in returns a span of the registers as a range.
func (p *pass) in(s span) vk.Range {
	return vk.Range{Buffer: p.registers, Offset: s.offset, Size: s.size}
}

// input returns a span of the batch as a range.
func (p *pass) input(s span) vk.Range {
	return vk.Range{Buffer: p.batch, Offset: s.offset, Size: s.size}
}

// register is where a register lies: rows of stride numbers, its own from
// column on.
type register struct {
	vk.Range
	stride, column int
}

// part returns the range of n rows from one on.
func (r register) part(row, n int) vk.Range {
	at := 4 * row * r.stride
	return vk.Range{Buffer: r.Buffer, Offset: r.Offset + at, Size: min(ceil(4*n*r.stride, 16)*16, r.Size-at)}
}

func (p *pass) register(r graph.Reg) register {
	c := p.config
	q, qkv := c.QWidth(), c.QWidth()+2*c.KVWidth()
	at := p.in(p.workspace.register[r])
	switch r {
	case graph.Q:
		return register{at, qkv, 0}
	case graph.K:
		return register{at, qkv, q}
	case graph.V:
		return register{at, qkv, q + c.KVWidth()}
	case graph.Logits:
		return register{vk.Range{Buffer: p.logits, Size: p.logits.Size}, c.Vocab, 0}
	}
	return register{at, c.RegWidth(r), 0}
}

// forget drops the descriptor sets that bind a buffer, and the recordings of
// the sequence that it belongs to, or all of them where s is nil.
func (p *pass) forget(b *vk.Buffer, s *state) {
	for key, r := range p.recorded {
		if s == nil || slices.ContainsFunc(key.parts[:], func(x share) bool { return x.state == s }) {
			r.close()
			delete(p.recorded, key)
		}
	}
	for key, set := range p.sets {
		if slices.ContainsFunc(key.ranges[:], func(r vk.Range) bool { return r.Buffer == b && b != nil }) {
			set.Close()
			delete(p.sets, key)
		}
	}
}

// prepare checks the parts, makes room for them, and writes what differs from
// one pass to the next where the kernels read it.
func (p *pass) prepare(parts []graph.Part) (shape, error) {
	var key shape
	if err := graph.CheckParts(parts, p.config, p.chunk); err != nil {
		return key, err
	}
	for i, x := range parts {
		s := x.State.(*state)
		if err := x.Check(p.config, p.chunk, s.context); err != nil {
			return key, err
		}
		if err := s.reserve(x.Pos + len(x.IDs)); err != nil {
			return key, err
		}
		if err := s.history.Begin(x.Pos, len(x.IDs)); err != nil {
			return key, err
		}
		key.parts[i] = share{s, len(x.IDs)}
		key.rows += len(x.Rows)
		key.told = key.told || x.Draws == nil && len(x.Rows) > 0
	}
	if err := p.allocateLogits(key.rows, key.told); err != nil {
		return key, err
	}
	wanted := 0
	for _, x := range parts {
		if x.Draws != nil {
			p.ask(&key, wanted, x.Draws)
		}
		wanted += len(x.Rows)
	}
	words := func(s span) []uint32 { return p.batch.Uint32s()[s.offset/4:] }
	tables := p.batch.Float32s()[p.tables.offset/4:]
	ids, rows := words(p.ids), words(p.wanted)
	row := 0
	for i, x := range parts {
		words(p.positions)[i] = uint32(x.Pos)
		copy(ids[row:], x.IDs)
		if p.model.matrices[p.weights.Embedding] == nil {
			if err := p.host.Embed(p.crossed(p.x, row*p.config.Hidden, len(x.IDs)*p.config.Hidden), x.IDs); err != nil {
				return key, err
			}
		}
		for _, r := range x.Rows {
			rows[0], rows = uint32(row+r), rows[1:]
		}
		cos, sin := p.config.Rotary(x.Pos, len(x.IDs))
		for t := range x.IDs {
			copy(tables[(row+t)*64:], cos[t*32:(t+1)*32])
			copy(tables[(row+t)*64+32:], sin[t*32:(t+1)*32])
		}
		row += len(x.IDs)
	}
	return key, nil
}

// guessed is the most tokens of a sequence in a pass that decodes: one, and what
// is guessed to follow it.
const guessed = 16

// recurs reports whether a shape will come again: decoding, and full chunks of
// a prompt.
func (p *pass) recurs(key shape) bool {
	if key.parts[0].tokens == p.chunk {
		return key.rows <= 1
	}
	n := 0
	for _, x := range key.parts {
		if x.tokens > guessed {
			return false
		}
		n += x.tokens
	}
	return key.rows == n
}

// Forward runs the parts in one pass. Shapes that recur are recorded once.
func (b *Backend) Forward(ctx context.Context, parts []graph.Part) error {
	b.running.Lock()
	defer b.running.Unlock()
	p := b.pass
	key, err := p.prepare(parts)
	if err != nil {
		return err
	}
	r := p.recorded[key]
	if r == nil {
		if r, err = p.record(key); err != nil {
			return err
		}
		if p.recurs(key) {
			if len(p.recorded) >= keep {
				p.forget(nil, nil)
			}
			p.recorded[key] = r
		} else {
			defer r.close()
		}
	}
	if err := r.run(ctx, b.patience); err != nil {
		return err
	}
	if err := b.device.Reach(vk.AtReadback); err != nil {
		return err
	}
	if err := p.handOut(parts); err != nil {
		return err
	}
	for _, x := range parts {
		x.State.(*state).history.Done(len(x.IDs))
	}
	return nil
}
