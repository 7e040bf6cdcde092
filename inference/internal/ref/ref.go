// Package ref computes the model on the CPU: f32 activations and accumulation,
// no cgo. It is the oracle that other backends are tested against and what a
// machine without a GPU runs. The inner loops are internal/kernel's.
//
// Weights stay packed in the mapped file and are unpacked a few rows at a time
// into scratch. The order of every sum depends on its length alone, not on the
// number of threads or on how a prompt is cut into batches, so equal input
// gives equal bits.
package ref

import (
	"fmt"
	"runtime"
	"sync"

	"chorale/inference/internal/graph"
	"chorale/inference/internal/kernel"
)

// chunk is the largest batch. From about 64 tokens on, unpacking the weights
// costs little against multiplying with them.
const chunk = 128

// Backend is a model on the CPU.
type Backend struct {
	c       *graph.Config
	w       *graph.Weights
	pool    *pool
	kernels *kernel.Set

	mu       sync.Mutex
	cos, sin []float32 // RoPE tables for the positions in use so far
}

// New makes a backend that spreads its work over the given number of threads,
// all cores where it is 0. It takes no memory for weights.
func New(c *graph.Config, w *graph.Weights, threads int) *Backend {
	if threads <= 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	return &Backend{c: c, w: w, pool: newPool(threads), kernels: kernel.Best()}
}

// Chunk implements graph.Backend.
func (b *Backend) Chunk() int { return chunk }

// Close ends the worker goroutines.
func (b *Backend) Close() error {
	b.pool.close()
	return nil
}

// NewState implements graph.Backend. The cache grows with the sequence.
func (b *Backend) NewState(context int) (graph.State, error) {
	if context < 1 || context > b.c.MaxContext {
		return nil, fmt.Errorf("context of %d positions, the model takes 1 to %d", context, b.c.MaxContext)
	}
	return newState(b, context), nil
}

// rotary returns the RoPE tables for at least the first n positions.
func (b *Backend) rotary(n int) (cos, sin []float32) {
	b.mu.Lock()
	defer b.mu.Unlock()
	half := b.c.HeadDim / 2
	if have := len(b.cos) / half; have < n {
		more := max(n-have, have, 256) // at least double, for few copies
		co, si := b.c.Rotary(have, more)
		b.cos, b.sin = append(b.cos, co...), append(b.sin, si...)
	}
	return b.cos, b.sin
}
