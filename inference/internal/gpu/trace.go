//go:build cgo && (amd64 || arm64)

package gpu

import (
	"context"

	"chorale/inference/internal/graph"
	"chorale/inference/internal/vk"
)

// Trace runs the batch operation by operation and shows what each one wrote.
func (s *state) Trace(ctx context.Context, b graph.Batch, tap func(r graph.Reg, values []float32)) error {
	s.running.Lock()
	defer s.running.Unlock()
	key, err := s.pass.prepare([]graph.Part{{State: s, Batch: b, Logits: make([]float32, len(b.Rows)*s.config.Vocab)}})
	if err != nil {
		return err
	}
	whole, err := s.pass.record(key) // compiles what it needs
	if err != nil {
		return err
	}
	whole.close()
	o, err := newRecorder(s.pass, key)
	defer func() { o.out.close() }()
	if err != nil {
		return err
	}
	o.wrote = func(regs ...graph.Reg) error {
		err := o.end()
		if err == nil {
			err = o.out.run(ctx, o.patience)
		}
		o.out.close()
		for _, r := range regs {
			if err != nil {
				return err
			}
			var values []float32
			if values, err = s.pass.read(r, o.rowsOf(r)); err == nil {
				tap(r, values)
			}
		}
		if err != nil {
			return err
		}
		return o.begin()
	}
	graph.Forward(o, s.config, s.weights)
	if o.err == nil {
		s.history.Done(len(b.IDs))
	}
	return o.err
}

// read returns the first rows of a register as floats.
func (p *pass) read(r graph.Reg, rows int) ([]float32, error) {
	if rows == 0 {
		return nil, nil
	}
	reg, width := p.register(r), p.config.RegWidth(r)
	visible, err := p.visible(vk.Range{Buffer: reg.Buffer, Offset: reg.Offset, Size: 4 * rows * reg.stride})
	if err != nil {
		return nil, err
	}
	if visible.Buffer != reg.Buffer {
		defer visible.Buffer.Close()
	}
	floats, words := visible.Buffer.Float32s()[visible.Offset/4:], visible.Buffer.Uint32s()[visible.Offset/4:]
	values := make([]float32, rows*width)
	for i := range values {
		at := i/width*reg.stride + reg.column + i%width
		values[i] = floats[at]
		if r == graph.Choice {
			values[i] = float32(words[at])
		}
	}
	return values, nil
}

// visible returns the range itself where the host can see it, else a copy that
// it can.
func (b *Backend) visible(r vk.Range) (vk.Range, error) {
	if r.Buffer.Bytes() != nil {
		return r, nil
	}
	to, err := b.device.NewBuffer(r.Size, vk.Readback)
	if err != nil {
		return r, err
	}
	err = b.once(func(c *vk.Commands) { c.Copy(to, 0, r.Buffer, r.Offset, r.Size) })
	if err != nil {
		to.Close()
	}
	return vk.Range{Buffer: to, Size: r.Size}, err
}

// once records, runs and drops some commands.
func (b *Backend) once(record func(c *vk.Commands)) error {
	c, err := b.device.NewCommands()
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Begin(); err != nil {
		return err
	}
	c.Barrier()
	record(c)
	c.Barrier()
	c.ToHost()
	if err := c.End(); err != nil {
		return err
	}
	if err := c.Submit(); err != nil {
		return err
	}
	return c.Wait(b.patience)
}
