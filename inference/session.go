package inference

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"
	"time"

	"chorale/inference/internal/graph"
	"chorale/inference/internal/lookup"
	"chorale/inference/internal/sample"
	"chorale/inference/internal/schedule"
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

	// Tokens that were guessed to be sampled next and run along, and how many of
	// them were. What is sampled does not depend on guesses.
	Guessed, Hit int

	// What came back from a GPU to choose tokens, in bytes, and how many times it
	// was all logits of a token, because the GPU's summary left doubt.
	Readback int64
	Doubts   int

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

// Forker is what a [Constraint] may be besides: Fork returns one that goes on from
// here on its own, or nil. Where there is none, nothing is guessed.
type Forker interface{ Fork() Constraint }

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
	passes  *schedule.Sequence
	sampler *sample.Sampler
	draws   uint64   // made so far
	tokens  []uint32 // those whose keys and values are in the cache
	index   lookup.Index
	hits    *lookup.Hits
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
	sampler, err := sample.New(p, m.info.Vocab)
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
	s := &Session{m: m, state: state, passes: m.scheduler.Add(state), sampler: sampler, hits: m.said.Hits()}
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
		defer s.passes.Rest()
		if c == nil {
			c = anything{}
		}
		t := turn{Session: s, stop: stop, constraint: c, yield: yield}
		if err := t.generate(ctx, prompt); err != nil {
			yield(0, fmt.Errorf("generate: %w", err))
		}
	}
}

// run runs a step, whose certain tokens follow the cache, and draws its tokens.
func (s *Session) run(ctx context.Context, st *step) error {
	if need := len(s.tokens) + st.certain; need > s.m.info.Context {
		return &ContextError{Need: need, Context: s.m.info.Context}
	}
	err := s.passes.Run(ctx, &st.Work)
	s.tokens = append(s.tokens, st.IDs[:min(st.Ran, st.certain)]...)
	s.stats.Passes += st.Passes
	s.stats.Readback += st.Read.Bytes
	s.stats.Doubts += st.Read.Whole
	return err
}

// Stretch makes the session as long as if the tokens that it has had been said
// over and over, without computing: for measurements of what a long conversation
// costs.
func (s *Session) Stretch(n int) error {
	if !s.phase.CompareAndSwap(idle, generating) {
		return errors.New("stretch: the session is generating, or closed")
	}
	defer s.phase.Store(idle)
	have := len(s.tokens)
	long, ok := s.state.(graph.Stretcher)
	switch {
	case !ok:
		return errors.New("stretch: not on this device")
	case have == 0 || n < have:
		return fmt.Errorf("stretch: %d tokens cannot become %d", have, n)
	case n > s.m.info.Context:
		return &ContextError{Need: n, Context: s.m.info.Context}
	}
	if err := long.Stretch(n); err != nil {
		return err
	}
	for len(s.tokens) < n {
		s.tokens = append(s.tokens, s.tokens[len(s.tokens)-have])
	}
	return nil
}

// Tokens returns what the session's cache holds; it is not to be changed.
func (s *Session) Tokens() []uint32 { return s.tokens }

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
