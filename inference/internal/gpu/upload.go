//go:build cgo && (amd64 || arm64)

package gpu

import (
	"fmt"
	"time"

	"chorale/inference/internal/graph"
	"chorale/inference/internal/vk"
	"chorale/inference/internal/weights"
)

const (
	align   = 256       // of every range: no device asks for more
	block   = 256 << 20 // bytes per allocation, unless one tensor needs more
	staging = 16 << 20  // bytes copied at a time to memory that the host cannot see
	patient = time.Minute
)

// upload copies the weights to the device, in windows of at most so many bytes.
// Expert weights stay packed.
func upload(d *vk.Device, window int, c *graph.Config, w *graph.Weights) (*model, error) {
	u := &uploader{device: d, window: window, model: &model{matrices: map[*weights.Tensor]*matrix{}, vectors: map[*weights.Tensor]vk.Range{}}}
	u.left = size(w)
	u.dense(c.Hidden, graph.Affine{W: w.Embedding})
	u.vector(w.Norm)
	u.dense(c.Hidden, w.Unembedding)
	for i := range w.Layers {
		l := &w.Layers[i]
		u.vector(l.AttnNorm)
		u.dense(c.Hidden, l.Query, l.Key, l.Value)
		u.vector(l.Sinks)
		u.dense(c.QWidth(), l.Out)
		u.vector(l.MLPNorm)
		u.dense(c.Hidden, l.Router)
		u.experts(l.Up)
		u.experts(l.Down)
	}
	return u.model, u.finish()
}

// size is about what the weights take, alignment included.
func size(w *graph.Weights) int {
	n := 0
	add := func(tensors ...*weights.Tensor) {
		for _, t := range tensors {
			if t != nil {
				n += len(t.Data) + len(t.Scales) + 2*align
			}
		}
	}
	add(w.Embedding, w.Norm, w.Unembedding.W, w.Unembedding.B)
	for _, l := range w.Layers {
		add(l.AttnNorm, l.Sinks, l.MLPNorm)
		for _, a := range []graph.Affine{l.Query, l.Key, l.Value, l.Out, l.Router, l.Up, l.Down} {
			add(a.W, a.B)
		}
	}
	return n
}

// uploader places tensors in blocks of device memory. It keeps its first error.
type uploader struct {
	device *vk.Device
	window int
	model  *model
	err    error
	left   int // bytes still to come, roughly

	block *vk.Buffer
	used  int

	stages [2]stage
	turn   int
}

// stage is a buffer on its way to the device.
type stage struct {
	buffer   *vk.Buffer
	commands *vk.Commands
}

// place reserves n bytes, rounded up to whole vectors of 16.
func (u *uploader) place(n int) vk.Range {
	n = ceil(n, 16) * 16
	if u.err != nil {
		return vk.Range{}
	}
	if u.block == nil || u.used+n > u.block.Size {
		if u.block, u.err = u.device.NewBuffer(max(n, min(block, ceil(u.left, align)*align)), vk.Local); u.err != nil {
			return vk.Range{}
		}
		u.used = 0
	}
	r := vk.Range{Buffer: u.block, Offset: u.used, Size: n}
	u.used += ceil(n, align) * align
	u.left -= ceil(n, align) * align
	return r
}

// put copies pieces, one behind the other, into a new range.
func (u *uploader) put(pieces ...[]byte) vk.Range {
	n := 0
	for _, p := range pieces {
		n += len(p)
	}
	r := u.place(n)
	at := r.Offset
	for _, p := range pieces {
		u.copy(r.Buffer, at, p)
		at += len(p)
	}
	return r
}

func (u *uploader) copy(to *vk.Buffer, at int, data []byte) {
	if u.err != nil {
		return
	}
	if to.Bytes() != nil {
		copy(to.Bytes()[at:], data)
		return
	}
	for len(data) > 0 && u.err == nil {
		n := min(len(data), staging)
		u.err = u.send(to, at, data[:n])
		data, at = data[n:], at+n
	}
}

// send copies through one of two staging buffers, so that the host fills one
// while the device empties the other.
func (u *uploader) send(to *vk.Buffer, at int, data []byte) error {
	s := &u.stages[u.turn]
	u.turn = 1 - u.turn
	if s.buffer == nil {
		var err error
		if s.buffer, err = u.device.NewBuffer(staging, vk.Upload); err != nil {
			return err
		}
		if s.commands, err = u.device.NewCommands(); err != nil {
			return err
		}
	}
	if err := s.commands.Wait(patient); err != nil {
		return err
	}
	copy(s.buffer.Bytes(), data)
	if err := s.commands.Begin(); err != nil {
		return err
	}
	s.commands.Copy(to, at, s.buffer, 0, len(data))
	s.commands.Barrier()
	if err := s.commands.End(); err != nil {
		return err
	}
	return s.commands.Submit()
}

// most is how many things of n bytes fit a window.
func (u *uploader) most(n int) int {
	if n > u.window && u.err == nil {
		u.err = fmt.Errorf("%d bytes cannot be bound at once: the device's limit is %d", n, u.window)
	}
	return max(u.window/n, 1)
}

func (u *uploader) finish() error {
	for _, s := range u.stages {
		if s.buffer == nil {
			continue
		}
		if err := s.commands.Wait(patient); err != nil {
			return err
		}
		s.commands.Close()
		s.buffer.Close()
	}
	return u.err
}

func (u *uploader) vector(t *weights.Tensor) { u.model.vectors[t] = u.put(t.Data) }

// dense uploads bf16 matrices of the same width as one, rows below rows. It is
// known by the first one's tensor.
func (u *uploader) dense(width int, all ...graph.Affine) {
	m := &matrix{width: width}
	var biases [][]byte
	for i, a := range all {
		m.rows += a.W.Shape[0]
		if a.B != nil {
			biases = append(biases, a.B.Data)
		}
		u.model.matrices[a.W] = nil
		if i == 0 {
			u.model.matrices[a.W] = m
		}
	}
	most := u.most(2 * width)
	for first := 0; first < m.rows; first += most {
		count := min(most, m.rows-first)
		m.parts = append(m.parts, part{data: u.put(rows(all, first, first+count)...), first: first, count: count})
	}
	if biases != nil {
		m.bias = u.put(biases...)
	}
}

// rows returns the bytes of rows lo to hi of matrices that lie one below the
// other.
func rows(all []graph.Affine, lo, hi int) [][]byte {
	var pieces [][]byte
	for _, a := range all {
		n := a.W.Shape[0]
		if from, to := max(lo, 0), min(hi, n); from < to {
			pieces = append(pieces, a.W.Slice(from, to).Data)
		}
		lo, hi = lo-n, hi-n
	}
	return pieces
}

// experts uploads MXFP4 matrices, in windows of experts.
func (u *uploader) experts(a graph.Affine) {
	m := &matrix{rows: a.W.Shape[1], width: a.W.Shape[2], bias: u.put(a.B.Data)}
	n := a.W.Shape[0]
	most := u.most(m.rows * m.width / 2)
	for first := 0; first < n && u.err == nil; first += most {
		w := a.W.Slice(first, min(first+most, n))
		m.parts = append(m.parts, part{data: u.put(w.Data), scales: u.put(w.Scales), first: first, count: w.Shape[0]})
	}
	u.model.matrices[a.W] = m
}
