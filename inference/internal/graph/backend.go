package graph

import (
	"context"
	"fmt"
)

// Batch is one pass's input: consecutive tokens of one sequence. Keys and
// values of positions 0 to Pos-1 are in the state's cache from earlier passes;
// what the cache holds from Pos on is overwritten, so going back is passing a
// smaller Pos.
type Batch struct {
	IDs  []uint32 // at least one, at most Backend.Chunk
	Pos  int      // position of IDs[0], from 0
	Rows []int    // tokens (index into IDs, ascending) whose logits are wanted; may be empty
}

// Backend is a loaded model on one device. It serves several States at once.
type Backend interface {
	// NewState makes a sequence with room for that many positions. Memory may
	// be taken as the sequence grows.
	NewState(context int) (State, error)

	// Chunk is the largest batch that a State takes.
	Chunk() int

	// Close frees the model. Its States must be closed before.
	Close() error
}

// State is one sequence: a KV cache and the registers. It is used by one
// goroutine at a time.
type State interface {
	// Forward runs the batch and returns the logits of the wanted rows,
	// [len(Rows), Vocab], valid until the next call. A cancelled ctx ends it
	// early with ctx's error; positions from Batch.Pos on are undefined then.
	Forward(ctx context.Context, b Batch) ([]float32, error)

	// Trace is Forward, showing tap each register right after the operation
	// that wrote it, in the order of graph.Forward (Choice as numbers in f32,
	// shown before Mix; Experts shows X). The slice is valid during the call.
	// It is for tests and may be slow.
	Trace(ctx context.Context, b Batch, tap func(r Reg, values []float32)) error

	Close() error
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
