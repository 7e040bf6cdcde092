package graph

import (
	"context"
	"fmt"

	"chorale/inference/internal/sample"
)

// Batch is what one sequence brings to a pass: consecutive tokens. Keys and
// values of positions 0 to Pos-1 are in the state's cache from earlier passes.
// Going back is passing a smaller Pos, as far as the cache still holds what the
// sliding layers need there; from further on, State.Rewind goes.
type Batch struct {
	IDs  []uint32 // at least one
	Pos  int      // position of IDs[0], from 0
	Rows []int    // tokens (index into IDs, ascending) of whose logits something is wanted; may be empty
}

// Part is the share of one sequence in a pass. Of the wanted rows it asks for a
// token each, by Draws, or for the logits.
type Part struct {
	State State
	Batch
	Logits []float32 // receives those of the wanted rows, [len(Rows), Vocab]; nil where Draws are given

	Draws  []sample.Draw // how to choose a token of each wanted row
	Tokens []uint32      // receives the tokens

	Read Readback // is set: what choosing took
}

// Readback is what came from a device to the host for the choice of tokens.
type Readback struct {
	Bytes int64
	Whole int // rows whose logits were needed whole, since a summary left doubt
}

// MaxDraws is the most wanted rows of a pass in which tokens are chosen.
const MaxDraws = 32

// Backend is a loaded model on one device. It serves several States at once. Its
// methods and those of its States may be called concurrently, but for two calls
// that use the same State; it runs one pass at a time.
type Backend interface {
	// NewState makes a sequence with room for that many positions. Memory may
	// be taken as the sequence grows.
	NewState(context int) (State, error)

	// Chunk is the most tokens that a pass takes, at most MaxChunk.
	Chunk() int

	// Forward runs one pass over parts of different States of this backend: 1 to
	// MaxParts of them, together at most Chunk tokens. What each gets is what it
	// would get alone. A cancelled ctx ends it early with ctx's error. After an
	// error each cache ends where its part began.
	Forward(ctx context.Context, parts []Part) error

	// Close frees the model. Its States must be closed before.
	Close() error
}

// State is one sequence: a KV cache.
type State interface {
	// Forward runs a pass for this sequence alone and returns the logits of the
	// wanted rows, [len(Rows), Vocab], valid until its next call.
	Forward(ctx context.Context, b Batch) ([]float32, error)

	// Trace is Forward, showing tap each register right after the operation
	// that wrote it, in the order of graph.Forward (Choice as numbers in f32,
	// shown before Mix; Experts shows X). The slice is valid during the call.
	// It is for tests and may be slow.
	Trace(ctx context.Context, b Batch, tap func(r Reg, values []float32)) error

	// Mark makes it cheap to come back to pos later. It does nothing where that
	// is cheap anyway, or where the cache no longer holds what it would need.
	Mark(pos int) error

	// Rewind makes the cache end at the last position at or before pos from
	// which the sequence can go on, and returns that position.
	Rewind(pos int) (int, error)

	// Close frees the cache.
	Close() error
}

// Stretcher is a State that can be made long without computing: for
// measurements, since what a token costs depends on how many came before it, and
// not on which.
type Stretcher interface {
	// Stretch makes the cache end at pos, by repeating what it holds, which is
	// at least one position.
	Stretch(pos int) error
}

// Check reports what makes a batch unfit for a state of the given context: ids
// outside the vocabulary, positions outside the context, rows outside the batch.
// Backends call it first, so they may trust the batch.
func (b Batch) Check(c *Config, chunk, context int) error {
	switch n := len(b.IDs); {
	case n == 0 || n > chunk:
		return fmt.Errorf("batch of %d tokens, want 1 to %d", n, chunk)
	case b.Pos < 0 || b.Pos > context-n:
		return fmt.Errorf("tokens at positions %d to %d, context is %d", b.Pos, b.Pos+n-1, context)
	}
	for i, id := range b.IDs {
		if int64(id) >= int64(c.Vocab) {
			return fmt.Errorf("token %d at position %d is outside the vocabulary of %d", id, b.Pos+i, c.Vocab)
		}
	}
	last := -1
	for _, r := range b.Rows {
		if r <= last || r >= len(b.IDs) {
			return fmt.Errorf("wanted rows %v of a batch of %d tokens: not ascending or outside", b.Rows, len(b.IDs))
		}
		last = r
	}
	return nil
}

// CheckParts reports what makes parts unfit for one pass.
func CheckParts(parts []Part, c *Config, chunk int) error {
	tokens, rows, drawn := 0, 0, false
	for i, p := range parts {
		tokens += len(p.IDs)
		rows += len(p.Rows)
		drawn = drawn || p.Draws != nil
		switch n := len(p.Rows); {
		case p.Draws == nil && len(p.Logits) < n*c.Vocab:
			return fmt.Errorf("part %d of the pass: room for %d logits, want %d", i, len(p.Logits), n*c.Vocab)
		case p.Draws != nil && (len(p.Draws) != n || len(p.Tokens) != n):
			return fmt.Errorf("part %d of the pass: %d draws and room for %d tokens, want %d", i, len(p.Draws), len(p.Tokens), n)
		}
		for _, q := range parts[:i] {
			if q.State == p.State {
				return fmt.Errorf("part %d of the pass: its sequence has another part", i)
			}
		}
	}
	if drawn && rows > MaxDraws {
		return fmt.Errorf("a pass that draws from %d rows, want at most %d", rows, MaxDraws)
	}
	if n := len(parts); n < 1 || n > MaxParts || tokens > chunk {
		return fmt.Errorf("a pass of %d parts and %d tokens, want 1 to %d and at most %d", n, tokens, MaxParts, chunk)
	}
	return nil
}
