// Package durable is a backend that outlives its device. When the device is
// lost, runs out of memory or does not answer in time, it is closed with all
// that was on it and opened anew; the second time another backend takes over.
// Every sequence keeps the tokens that it was given, and its KV cache is
// computed again from them before its next pass. The pass that failed is run
// again, so that its caller sees a delay and nothing else.
//
// It knows nothing of sampling: what was sampled before a failure is not
// sampled again, and no token is lost or repeated. Logits are those of the new
// device, within what two ways of cutting a prompt differ by.
//
// It refuses to guess: an error that Options.Failed does not know is the
// caller's.
package durable

import (
	"context"
	"errors"
	"slices"
	"sync"

	"chorale/inference/internal/graph"
)

// Options are a backend's ways to go on. All fields must be set.
type Options struct {
	// Open opens the device, at first and after a failure.
	Open func(context.Context) (graph.Backend, error)

	// Fallback makes the backend that takes over at last.
	Fallback func(context.Context) (graph.Backend, error)

	// Failed reports whether an error means that the device is of no more use.
	Failed func(error) bool

	// Changed is told what failed, after the device was opened anew or the
	// fallback has taken over.
	Changed func(cause error, fallback bool)
}

// Backend is a graph.Backend.
type Backend struct {
	o Options

	mu     sync.RWMutex  // held for reading during a pass, for writing while the device is replaced
	inner  graph.Backend // nil after an opening that was cancelled
	epoch  int           // counts what inner has been
	spent  bool          // the device has been opened anew
	fallen bool          // inner is the fallback
	cause  error         // the last failure
	states map[*state]bool
}

// Open opens the device, a second time where it fails at once, and then the
// fallback.
func Open(ctx context.Context, o Options) (*Backend, error) {
	b := &Backend{o: o, states: map[*state]bool{}}
	inner, err := o.Open(ctx)
	if err == nil {
		b.inner = inner
		return b, nil
	}
	if !o.Failed(err) {
		return nil, err
	}
	if err := b.replace(ctx, 0, err); err != nil {
		return nil, err
	}
	return b, nil
}

// Chunk is the device's.
func (b *Backend) Chunk() int {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.inner == nil {
		return 1
	}
	return b.inner.Chunk()
}

// NewState makes a sequence.
func (b *Backend) NewState(positions int) (graph.State, error) {
	s := &state{backend: b, context: positions}
	b.mu.Lock()
	b.states[s] = true
	b.mu.Unlock()
	ctx := context.Background()
	if err := b.run(ctx, func() error { return s.catchUp(ctx, 0) }); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Forward runs a pass. Where the device that took over takes fewer tokens at
// once, every part has passes of its own.
func (b *Backend) Forward(ctx context.Context, parts []graph.Part) error {
	inner := slices.Clone(parts)
	err := b.run(ctx, func() error {
		tokens := 0
		for i, p := range parts {
			s := p.State.(*state)
			if err := s.begin(ctx, p.Batch); err != nil {
				return err
			}
			inner[i].State = s.inner
			tokens += len(p.IDs)
		}
		if tokens <= b.inner.Chunk() {
			return b.inner.Forward(ctx, inner)
		}
		for _, p := range inner {
			if err := b.alone(ctx, p); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		for i, p := range parts {
			p.State.(*state).done(p.Batch)
			parts[i].Read = inner[i].Read
		}
	}
	return err
}

// alone runs passes for one part.
func (b *Backend) alone(ctx context.Context, p graph.Part) error {
	row := 0
	for _, piece := range split(p.Batch, b.inner.Chunk()) {
		part, n := graph.Part{State: p.State, Batch: piece}, len(piece.Rows)
		if p.Draws != nil {
			part.Draws, part.Tokens = p.Draws[row:][:n], p.Tokens[row:][:n]
		} else {
			vocab := len(p.Logits) / max(len(p.Rows), 1)
			part.Logits = p.Logits[row*vocab:][:n*vocab]
		}
		if err := b.inner.Forward(ctx, []graph.Part{part}); err != nil {
			return err
		}
		row += n
	}
	return nil
}

// Close closes what there is. States must be closed before.
func (b *Backend) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.inner == nil {
		return nil
	}
	err := b.inner.Close()
	b.inner = nil
	return err
}

// run runs a pass, and again on what takes over where the device fails.
func (b *Backend) run(ctx context.Context, pass func() error) error {
	for {
		b.mu.RLock()
		epoch, fallen := b.epoch, b.fallen
		err := b.cause
		if b.inner != nil {
			err = pass()
		}
		b.mu.RUnlock()
		if err == nil || fallen || !b.o.Failed(err) {
			return err
		}
		if err := b.replace(ctx, epoch, err); err != nil {
			return err
		}
	}
}

// replace closes the device of an epoch and opens what comes after it. It does
// nothing where another sequence has been here before. After an error, that of a
// cancelled ctx or of the fallback, the next pass tries again.
func (b *Backend) replace(ctx context.Context, epoch int, cause error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.epoch != epoch {
		return nil
	}
	for s := range b.states {
		s.drop()
	}
	if b.inner != nil {
		_ = b.inner.Close() // what a failed device says at its end is of no use
		b.inner = nil
	}
	b.cause = cause
	if !b.spent {
		inner, err := b.o.Open(ctx)
		if err == nil {
			b.inner, b.spent = inner, true
			b.epoch++
			b.o.Changed(cause, false)
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
		cause = errors.Join(cause, err)
	}
	inner, err := b.o.Fallback(ctx)
	if err != nil {
		return errors.Join(cause, err)
	}
	b.inner, b.fallen = inner, true
	b.epoch++
	b.o.Changed(cause, true)
	return nil
}
