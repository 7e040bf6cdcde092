package inference

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"
	"time"

	"chorale/inference/internal/graph"
	"chorale/inference/internal/sample"
)

// Sampling says how a session chooses tokens; the zero value is greedy.
type Sampling = sample.Params

// Stats count what a session has done since it was made.
type Stats struct {
	Reused    int // prompt tokens that were in the cache already
	Prefilled int // prompt tokens computed, and forced ones that a sampled one follows
	Decoded   int // tokens sampled
	Forced    int // tokens that a constraint left no choice about, so that none was sampled
	Passes    int // runs of the model

	PrefillTime time.Duration
	DecodeTime  time.Duration // passes and sampling after the first token
}

// Constraint says what the model may say next. It is an alias so that others
// can state it for themselves without importing this package.
type Constraint = interface {
	// Mask returns the ids that may be sampled, a bit each, lowest first; what
	// lies behind its end may not, and nil permits every id. It is good until the
	// next Accept.
	Mask() []uint64

	// Forced returns ids that must come next, in order, whatever the model would
	// say: none where it has a choice. They are emitted without being sampled and
	// run through the model together with what follows them.
	Forced() []uint32

	// Accept moves on over an id that was emitted, sampled or forced.
	Accept(id uint32) error
}

// ContextError is the error of a sequence that does not fit the context.
type ContextError struct {
	Need    int // tokens
	Context int // positions that a session has
}

// Error implements error.
func (e *ContextError) Error() string {
	return fmt.Sprintf("%d tokens do not fit a context of %d, %d too many: raise the context or shorten the conversation",
		e.Need, e.Context, e.Need-e.Context)
}

// Session is one conversation's KV cache and sampler. One Generate runs at a
// time; the other methods may be called from its loop.
type Session struct {
	m       *Model
	state   graph.State
	sampler *sample.Sampler
	tokens  []uint32 // those whose keys and values are in the cache
	stats   Stats
	phase   atomic.Int32
}

// The phases of a session.
const (
	idle = iota
	generating
	closed
)

// NewSession makes a session with an empty cache.
func (m *Model) NewSession(p Sampling) (*Session, error) {
	sampler, err := sample.New(p)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.backend == nil {
		return nil, errors.New("new session: the model is closed")
	}
	state, err := m.backend.NewState(m.info.Context)
	if err != nil {
		return nil, fmt.Errorf("new session: %w", err)
	}
	s := &Session{m: m, state: state, sampler: sampler}
	m.sessions[s] = true
	return s, nil
}

// Stats returns the counters.
func (s *Session) Stats() Stats { return s.stats }

// errGenerating is the error of closing a session too early.
var errGenerating = errors.New("a session is generating")

// Close frees the cache. Closing twice is harmless.
func (s *Session) Close() error {
	s.m.mu.Lock()
	defer s.m.mu.Unlock()
	if err := s.end(); err != nil {
		return fmt.Errorf("close session: %w", err)
	}
	return nil
}

// end is Close with the model's lock held.
func (s *Session) end() error {
	if !s.phase.CompareAndSwap(idle, closed) {
		if s.phase.Load() == closed {
			return nil
		}
		return errGenerating
	}
	delete(s.m.sessions, s)
	return s.state.Close()
}

// Generate continues the prompt, which is the whole conversation: what the
// cache holds of it already, sampled tokens included, is not computed again. It
// yields each token as it comes and ends after one of stop, which is yielded
// too. Constraint, unless nil, says which tokens may come; it is the call's own.
// Leaving the loop ends it, and so does ctx, with an error. After an error
// nothing follows; the session stays usable.
func (s *Session) Generate(ctx context.Context, prompt, stop []uint32, c Constraint) iter.Seq2[uint32, error] {
	return func(yield func(uint32, error) bool) {
		if !s.phase.CompareAndSwap(idle, generating) {
			yield(0, errors.New("generate: the session is generating already, or closed"))
			return
		}
		defer s.phase.Store(idle)
		if c == nil {
			c = anything{}
		}
		t := turn{Session: s, stop: stop, constraint: c, yield: yield}
		if err := t.generate(ctx, prompt); err != nil {
			yield(0, fmt.Errorf("generate: %w", err))
		}
	}
}

// prefill brings the cache to hold the prompt and returns the logits after it.
// The last token is computed anew even if it is there: its logits are not kept.
func (s *Session) prefill(ctx context.Context, prompt []uint32) (logits []float32, err error) {
	start := time.Now()
	defer func() { s.stats.PrefillTime += time.Since(start) }()
	n := min(common(s.tokens, prompt), len(prompt)-1)
	s.tokens = s.tokens[:n]
	s.stats.Reused += n
	if logits, err = s.extend(ctx, prompt[n:]); err != nil {
		return nil, err
	}
	s.stats.Prefilled += len(prompt) - n
	return logits, nil
}

// extend runs tokens that follow the cache, in as many passes as they need, and
// returns the logits after the last one.
func (s *Session) extend(ctx context.Context, ids []uint32) (logits []float32, err error) {
	if need := len(s.tokens) + len(ids); need > s.m.info.Context {
		return nil, &ContextError{Need: need, Context: s.m.info.Context}
	}
	for len(ids) > 0 {
		chunk := ids[:min(len(ids), s.m.backend.Chunk())]
		ids = ids[len(chunk):]
		if logits, err = s.feed(ctx, chunk, len(ids) == 0); err != nil {
			return nil, err
		}
	}
	return logits, nil
}

// feed runs tokens that follow the cache and returns the logits after the last
// one, where they are wanted.
func (s *Session) feed(ctx context.Context, ids []uint32, want bool) ([]float32, error) {
	b := graph.Batch{IDs: ids, Pos: len(s.tokens)}
	if want {
		b.Rows = []int{len(ids) - 1}
	}
	logits, err := s.state.Forward(ctx, b)
	if err != nil {
		return nil, err
	}
	s.stats.Passes++
	s.tokens = append(s.tokens, ids...)
	return logits, nil
}

// common returns the length of the longest common prefix.
func common(a, b []uint32) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
