package inference

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
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
	Prefilled int // prompt tokens computed
	Decoded   int // tokens sampled
	Passes    int // runs of the model

	PrefillTime time.Duration
	DecodeTime  time.Duration // passes and sampling after the first token
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
// yields each sampled token as it comes and ends after one of stop, which is
// yielded too. Leaving the loop ends it, and so does ctx, with an error. After
// an error nothing follows; the session stays usable.
func (s *Session) Generate(ctx context.Context, prompt, stop []uint32) iter.Seq2[uint32, error] {
	return func(yield func(uint32, error) bool) {
		if !s.phase.CompareAndSwap(idle, generating) {
			yield(0, errors.New("generate: the session is generating already, or closed"))
			return
		}
		defer s.phase.Store(idle)
		if err := s.generate(ctx, prompt, stop, yield); err != nil {
			yield(0, fmt.Errorf("generate: %w", err))
		}
	}
}

// generate returns nil when a stop token came or the consumer left the loop.
func (s *Session) generate(ctx context.Context, prompt, stop []uint32, yield func(uint32, error) bool) error {
	if len(prompt) == 0 {
		return errors.New("the prompt is empty")
	}
	if len(prompt) > s.m.info.Context {
		return &ContextError{Need: len(prompt), Context: s.m.info.Context}
	}
	logits, err := s.prefill(ctx, prompt)
	if err != nil {
		return err
	}
	for {
		start := time.Now()
		token, err := s.sampler.Next(logits)
		if err != nil {
			return err
		}
		s.stats.Decoded++
		s.stats.DecodeTime += time.Since(start)
		if !yield(token, nil) || slices.Contains(stop, token) {
			return nil
		}
		start = time.Now()
		if logits, err = s.step(ctx, token); err != nil {
			return err
		}
		s.stats.DecodeTime += time.Since(start)
	}
}

// step appends a sampled token and returns the logits after it.
func (s *Session) step(ctx context.Context, token uint32) ([]float32, error) {
	if need := len(s.tokens) + 1; need > s.m.info.Context {
		return nil, &ContextError{Need: need, Context: s.m.info.Context}
	}
	return s.feed(ctx, []uint32{token}, true)
}

// prefill brings the cache to hold the prompt and returns the logits after it.
// The last token is computed anew even if it is there: its logits are not kept.
func (s *Session) prefill(ctx context.Context, prompt []uint32) (logits []float32, err error) {
	start := time.Now()
	defer func() { s.stats.PrefillTime += time.Since(start) }()
	n := min(common(s.tokens, prompt), len(prompt)-1)
	s.tokens = s.tokens[:n]
	s.stats.Reused += n
	for rest := prompt[n:]; len(rest) > 0; {
		chunk := rest[:min(len(rest), s.m.backend.Chunk())]
		rest = rest[len(chunk):]
		if logits, err = s.feed(ctx, chunk, len(rest) == 0); err != nil {
			return nil, err
		}
		s.stats.Prefilled += len(chunk)
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
