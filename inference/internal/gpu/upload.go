//go:build cgo && (amd64 || arm64)

package gpu

import (
	"context"
	"fmt"
	"math"
	"time"

	"chorale/inference/internal/graph"
	"chorale/inference/internal/vk"
	"chorale/inference/internal/weights"
)

// Bytes per allocation, unless one tensor needs more, and the most.
const (
	block     = 256 << 20
	mostBlock = 1 << 30
)

// upload copies the weights to the device, in windows that it can bind. Expert
// weights stay packed. It ends early with ctx's error. What it has made by then
// belongs to the device.
func upload(ctx context.Context, b *Backend, o Options) (*model, error) {
	l := &layout{form: form{b.profile.weights, int(b.device.MaxGroups[0]), b.profile.tiler()}, model: &model{matrices: map[*weights.Tensor]*matrix{}, vectors: map[*weights.Tensor]vk.Range{}}}
	l.weights(b.config, b.weights, o, b.profile.window)
	if l.err != nil {
		return nil, l.err
	}
	u := &uploader{ctx: ctx, device: b.device, patience: b.patience, progress: o.Progress, staged: b.profile.staged}
	for _, i := range l.items {
		for _, p := range i.pieces {
			u.total += int64(p.size)
		}
	}
	err := weights.Guard(func() error { return u.blocks(l.items) })
	if e := u.finish(); err == nil {
		err = e
	}
	return l.model, err
}

// layout decides what is copied and into which windows, before anything is
// made. It keeps its first error.
type layout struct {
	form
	model *model
	items []item
	err   error
}

// form is what a kernel wants of weights.
type form struct {
	window int    // bytes bound at once, at most
	groups int    // rows bound at once, at most, since each may be a workgroup
	tiles  *tiler // nil for rows
}

// item is a range to be: its pieces lie in it one behind the other.
type item struct {
	size   int // of the range, whole vectors of 16 bytes
	pieces []piece
	place  func(vk.Range) // is told where it lies
}

// piece is bytes that fill writes, len(dst) of them from the given one on. It is
// asked for each byte once, from the first to the last.
type piece struct {
	size int
	fill func(dst []byte, at int)
}

// stored is a part of a tensor's bytes as the file has them. Its pages are given
// back behind the copy.
func stored(t *weights.Tensor, part []byte) piece {
	return piece{size: len(part), fill: func(dst []byte, at int) {
		from := part[at : at+len(dst)]
		t.Copy(dst, from)
		t.Release(from)
	}}
}

// weights lays out all that the device is to have. The embedding is bound in windows
// of its own.
func (l *layout) weights(c *graph.Config, w *graph.Weights, o Options, window int) {
	if !o.HostEmbedding {
		products := l.form
		l.form = form{window: window, groups: math.MaxInt}
		l.dense(c.Hidden, graph.Affine{W: w.Embedding})
		l.form = products
	}
	l.vector(w.Norm)
	l.dense(c.Hidden, w.Unembedding)
	for i := range w.Layers {
		b := &w.Layers[i]
		l.vector(b.AttnNorm)
		l.dense(c.Hidden, b.Query, b.Key, b.Value)
		l.vector(b.Sinks)
		l.dense(c.QWidth(), b.Out)
		l.vector(b.MLPNorm)
		l.dense(c.Hidden, b.Router)
		if i < len(w.Layers)-o.HostLayers {
			l.experts(b.Up)
			l.experts(b.Down)
		}
	}
}

// put lays out pieces as one range.
func (l *layout) put(place func(vk.Range), pieces ...piece) {
	n := 0
	for _, p := range pieces {
		n += p.size
	}
	l.items = append(l.items, item{size: ceil(n, 16) * 16, pieces: pieces, place: place})
}

// most is how many things of n bytes fit a window.
func (l *layout) most(n int) int {
	if n > l.window && l.err == nil {
		l.err = fmt.Errorf("%d bytes cannot be bound at once: the device's limit is %d", n, l.window)
	}
	return max(l.window/n, 1)
}

func (l *layout) vector(t *weights.Tensor) {
	l.put(func(r vk.Range) { l.model.vectors[t] = r }, numbers(t))
}

// dense lays out matrices of the same width as one, rows below rows. It is known
// by the first one's tensor.
func (l *layout) dense(width int, all ...graph.Affine) {
	m := &matrix{width: width}
	var biases []piece
	for i, a := range all {
		m.rows += a.W.Shape[0]
		if a.B != nil {
			biases = append(biases, numbers(a.B))
		}
		l.model.matrices[a.W] = nil
		if i == 0 {
			l.model.matrices[a.W] = m
		}
	}
	first := 0
	for len(all) > 0 {
		n := 1 // as many as are of one type
		for n < len(all) && all[n].W.DType == all[0].W.DType {
			n++
		}
		first += l.windows(m, first, all[:n])
		all = all[n:]
	}
	if biases != nil {
		l.put(func(r vk.Range) { m.bias = r }, biases...)
	}
}

// windows lays out matrices of one type as rows of m from the first on, in as
// many windows as they need, and returns the number of rows.
func (l *layout) windows(m *matrix, first int, all []graph.Affine) int {
	total, t := 0, all[0].W.DType
	for _, a := range all {
		total += a.W.Shape[0]
	}
	most := min(l.most(rowBytes(t, m.width)), l.groups)
	if l.tiles != nil && most > tall {
		most -= most % tall
	}
	for lo := 0; lo < total; lo += most {
		p := &part{format: formats[t], first: first + lo, count: min(most, total-lo)}
		m.parts = append(m.parts, p)
		l.put(func(r vk.Range) { p.data = r }, l.rows(all, lo, lo+p.count)...)
	}
	return total
}

// rows returns rows lo to hi of matrices that lie one below the other. All but the last
// have whole tiles of rows: they are heads.
func (l *layout) rows(all []graph.Affine, lo, hi int) []piece {
	var pieces []piece
	for _, a := range all {
		n := a.W.Shape[0]
		if from, to := max(lo, 0), min(hi, n); from < to {
			pieces = append(pieces, matrixRows(a.W.Slice(from, to), l.tiles))
		}
		lo, hi = lo-n, hi-n
	}
	return pieces
}

// experts lays out MXFP4 matrices, in windows of experts.
func (l *layout) experts(a graph.Affine) {
	m := &matrix{rows: a.W.Shape[1], width: a.W.Shape[2]}
	l.put(func(r vk.Range) { m.bias = r }, numbers(a.B))
	n, most := a.W.Shape[0], l.most(m.rows*m.width/2)
	for first := 0; first < n; first += most {
		w := a.W.Slice(first, min(first+most, n))
		p := &part{first: first, count: w.Shape[0]}
		m.parts = append(m.parts, p)
		l.put(func(r vk.Range) { p.data = r }, codes(w, l.tiles))
		l.put(func(r vk.Range) { p.scales = r }, scales(w, l.tiles))
	}
	l.model.matrices[a.W] = m
}

// uploader makes blocks of device memory and fills them.
type uploader struct {
	ctx         context.Context
	device      *vk.Device
	patience    time.Duration
	progress    func(done, total int64)
	done, total int64
	staged      bool

	stages [2]stage
	turn   int
}

// stage is a buffer on its way to the device.
type stage struct {
	buffer   *vk.Buffer
	commands *vk.Commands
}

// blocks fills blocks one after the other, each with as many items as it holds
// and no larger than they need.
func (u *uploader) blocks(items []item) error {
	for len(items) > 0 {
		n, size := 0, 0
		for n < len(items) && (n == 0 || size+items[n].size <= block) {
			size += ceil(items[n].size, align) * align
			n++
		}
		if err := u.ctx.Err(); err != nil {
			return err
		}
		b, err := u.device.NewBuffer(size, vk.Local)
		if err != nil {
			return err
		}
		if err := u.fill(b, items[:n]); err != nil {
			return err
		}
		items = items[n:]
	}
	return nil
}

func (u *uploader) fill(b *vk.Buffer, items []item) error {
	offset := 0
	for _, i := range items {
		i.place(vk.Range{Buffer: b, Offset: offset, Size: i.size})
		at := offset
		for _, p := range i.pieces {
			if err := u.copy(b, at, p); err != nil {
				return err
			}
			at += p.size
		}
		offset += ceil(i.size, align) * align
	}
	return nil
}

// copy writes a piece to the buffer: straight into it where the host sees it.
func (u *uploader) copy(to *vk.Buffer, offset int, p piece) error {
	for at := 0; at < p.size; at += staging {
		if err := u.ctx.Err(); err != nil {
			return err
		}
		if err := u.device.Reach(vk.AtUpload); err != nil {
			return err
		}
		n := min(p.size-at, staging)
		if visible := to.Bytes(); visible != nil && !u.staged {
			p.fill(visible[offset+at:][:n], at)
		} else if err := u.send(to, offset+at, n, func(dst []byte) { p.fill(dst, at) }); err != nil {
			return err
		}
		if u.done += int64(n); u.progress != nil {
			u.progress(u.done, u.total)
		}
	}
	return nil
}

// send copies n bytes through one of two staging buffers, so that the host fills
// one while the device empties the other.
func (u *uploader) send(to *vk.Buffer, offset, n int, fill func(dst []byte)) error {
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
	if err := s.commands.Wait(u.patience); err != nil {
		return err
	}
	fill(s.buffer.Bytes()[:n])
	if err := s.commands.Begin(); err != nil {
		return err
	}
	s.commands.Copy(to, offset, s.buffer, 0, n)
	s.commands.Barrier()
	if err := s.commands.End(); err != nil {
		return err
	}
	return s.commands.Submit()
}

// finish waits for the staging buffers and frees them.
func (u *uploader) finish() error {
	var failed error
	for _, s := range u.stages {
		if s.commands != nil {
			if err := s.commands.Wait(u.patience); err != nil {
				failed = err
				continue // the device may still read the buffer
			}
			s.commands.Close()
		}
		if s.buffer != nil {
			s.buffer.Close()
		}
	}
	return failed
}
