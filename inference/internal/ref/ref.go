// Package ref computes the model on the CPU: f32 activations and accumulation,
// no cgo. It is the oracle that other backends are tested against and what a
// machine without a GPU runs. The inner loops are internal/kernel's.
//
// Weights stay packed in the mapped file and are unpacked a few rows at a time
// into scratch. The order of every sum depends on its length alone, not on the
// number of threads or on how a prompt is cut into batches, so equal input
// gives equal bits. Options.Bytes gives that up for speed, down to the rounding of
// sums.
package ref

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"chorale/inference/internal/graph"
	"chorale/inference/internal/kernel"
	"chorale/inference/internal/weights"
)

// chunk is the most tokens of a pass. From about 64 on, unpacking a dense matrix
// costs little against multiplying with it; an expert meets only a few of them.
const chunk = graph.MaxChunk

// Options say how a model is computed. The zero value is good.
type Options struct {
	Threads int // 0 is all cores

	// KV is the type of the caches, f32 by default: this backend is the oracle.
	KV graph.KVType

	// Watch, unless nil, is told how long each operation took, as graph.Watch
	// names it.
	Watch func(section, operation, kernel string, took time.Duration)

	// Bytes rounds what is multiplied with MXFP4 and Q8_0 to bytes, relative to the
	// largest of 32 numbers: several times as fast for prompts where HasBytes says
	// so, and less exact.
	Bytes bool

	Kernels *kernel.Set // kernel.Best() where it is nil
}

// Kernels names the instructions that the inner loops are made of on this
// machine: AVX-512, AVX2, NEON or scalar.
func Kernels() string { return kernel.Best().Name }

// HasBytes reports whether this machine multiplies bytes faster than numbers.
func HasBytes() bool { return kernel.Best().HasBytes() }

// Backend is a model on the CPU.
type Backend struct {
	c       *graph.Config
	w       *graph.Weights
	pool    *pool
	kernels *kernel.Set
	kv      graph.KVType
	watch   func(section, operation, kernel string, took time.Duration)
	bytes   bool

	mu   sync.Mutex // one pass at a time
	pass pass
}

// New makes a backend. It takes no memory for weights.
func New(c *graph.Config, w *graph.Weights, o Options) *Backend {
	if o.Threads <= 0 {
		o.Threads = runtime.GOMAXPROCS(0)
	}
	if o.Kernels == nil {
		o.Kernels = kernel.Best()
	}
	b := &Backend{c: c, w: w, pool: newPool(o.Threads), kernels: o.Kernels, kv: o.KV.Or(graph.KVF32), watch: o.Watch, bytes: o.Bytes}
	b.pass.Backend = b
	return b
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
	return &state{Backend: b, context: context, cache: newCache(b.c, context, b.kv), history: graph.NewHistory(b.c, context)}, nil
}

// Forward implements graph.Backend.
func (b *Backend) Forward(ctx context.Context, parts []graph.Part) error {
	return b.run(ctx, parts, nil)
}

func (b *Backend) run(ctx context.Context, parts []graph.Part, tap func(graph.Reg, []float32)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := graph.CheckParts(parts, b.c, chunk); err != nil {
		return err
	}
	return weights.Guard(func() error { return b.pass.run(ctx, parts, tap) })
}
