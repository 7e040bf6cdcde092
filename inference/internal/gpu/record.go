//go:build cgo && (amd64 || arm64)

package gpu

import (
	"context"
	"fmt"
	"time"

	"chorale/inference/internal/graph"
	"chorale/inference/internal/vk"
	"chorale/shaders"
)

// recording is a pass as command buffers, to be submitted one after the other.
// Long passes are cut, so that no submission runs for long: drivers end those
// that do, and a cancelled context is noticed between two.
type recording struct{ segments []segment }

// segment is a part of a recording, and what the host computes when it has ended
// and before the next one may begin: nil for nothing.
type segment struct {
	*vk.Commands
	clock *clock // nil where nobody watches
	then  func(context.Context) error
}

func (r *recording) close() {
	for _, c := range r.segments {
		c.Close()
		c.clock.close()
	}
	r.segments = nil
}

// run submits the segments, one ahead of the one that it waits for. What has
// been submitted is waited for also where the next cannot be.
func (r *recording) run(ctx context.Context, patience time.Duration) error {
	submitted, failed := 0, error(nil)
	for i, s := range r.segments {
		ahead := i + 2
		if s.then != nil {
			ahead = i + 1
		}
		for failed == nil && submitted < min(ahead, len(r.segments)) {
			if failed = ctx.Err(); failed == nil {
				failed = r.segments[submitted].Submit()
			}
			if failed == nil {
				submitted++
			}
		}
		if i == submitted {
			break
		}
		if err := s.Wait(patience); err != nil {
			return err
		}
		if err := s.clock.tell(); err != nil {
			return err
		}
		if s.then != nil && failed == nil {
			failed = s.then(ctx)
		}
	}
	return failed
}

// recorder carries out graph.Ops by recording them.
type recorder struct {
	*pass
	shape
	tokens int // of all parts
	out    *recording
	layer  int   // whose keys and values are computed now
	work   int64 // multiplications in the last segment
	dirty  bool  // something was written since the last barrier
	err    error

	missing map[variant]bool // kernels that are to be compiled before this can be recorded

	section, operation string // that is recorded, where somebody watches

	// wrote, where it is set, is called after an operation has been recorded
	// that writes registers.
	wrote func(regs ...graph.Reg) error
}

// record records a pass. Kernels that it finds missing are compiled together, and
// it is recorded again.
func (p *pass) record(key shape) (*recording, error) {
	for {
		o, err := newRecorder(p, key)
		if err == nil {
			graph.Forward(o.watched(), p.config, p.weights)
			o.draw()
			err = o.err
		}
		if err == nil {
			err = o.end()
		}
		if err == nil && len(o.missing) == 0 {
			return o.out, nil
		}
		o.out.close()
		if err == nil {
			err = p.compile(o.missing)
		}
		if err != nil {
			return nil, err
		}
	}
}

func newRecorder(p *pass, key shape) (*recorder, error) {
	o := &recorder{pass: p, shape: key, out: &recording{}, missing: map[variant]bool{}}
	for _, x := range key.parts {
		o.tokens += x.tokens
	}
	return o, o.begin()
}

func (o *recorder) commands() *vk.Commands { return o.out.segments[len(o.out.segments)-1].Commands }

func (o *recorder) begin() error {
	c, err := o.device.NewCommands()
	if err != nil {
		return err
	}
	o.out.segments = append(o.out.segments, segment{Commands: c})
	o.work = 0
	if err := c.Begin(); err != nil {
		return err
	}
	c.Barrier() // after the segment before
	return o.startClock()
}

func (o *recorder) end() error {
	o.commands().ToHost()
	return o.commands().End()
}

// dispatch records one kernel on x*y workgroups. work is the number of its
// multiplications.
func dispatch[P any](o *recorder, k *shaders.Kernel, constants []uint32, push P, x, y int, work int64, ranges ...vk.Range) {
	if o.err != nil {
		return
	}
	if most := o.device.MaxGroups; x > int(most[0]) || y > int(most[1]) {
		o.err = fmt.Errorf("kernel %s on %d by %d workgroups: the device runs at most %d by %d", k.Name, x, y, most[0], most[1])
		return
	}
	v := variantOf(k, constants)
	kernel := o.made(v)
	if kernel == nil {
		o.missing[v] = true
		return
	}
	set, err := o.set(kernel, ranges)
	if err != nil {
		o.err = err
		return
	}
	if o.rest(); o.err != nil {
		return
	}
	c := o.commands()
	c.Bind(set)
	vk.Push(c, push)
	c.Dispatch(x, y, 1)
	o.tick(k.Name)
	o.work += work
	o.dirty = true
}

// set returns the descriptor set of a kernel and ranges, made at its first use.
func (p *pass) set(k *vk.Kernel, ranges []vk.Range) (*vk.Set, error) {
	key := binding{kernel: k}
	copy(key.ranges[:], ranges)
	if set, ok := p.sets[key]; ok {
		return set, nil
	}
	set, err := p.device.NewSet(k, ranges...)
	if err == nil {
		p.sets[key] = set
	}
	return set, err
}

// barrier lets what follows read what was written.
func (o *recorder) barrier() {
	if o.err == nil && o.dirty {
		o.commands().Barrier()
		o.dirty = false
	}
}

// done ends an operation that wrote registers.
func (o *recorder) done(regs ...graph.Reg) {
	if o.barrier(); o.err != nil {
		return
	}
	if o.wrote != nil {
		o.err = o.wrote(regs...)
	}
}

// rest begins a new segment where the last one has enough to do.
func (o *recorder) rest() {
	if o.work > o.profile.work {
		if o.err = o.end(); o.err == nil {
			o.err = o.begin()
		}
	}
}
