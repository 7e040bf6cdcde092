package inference

import (
	"context"
	"runtime"
	"strings"
	"sync"

	"chorale/inference/internal/gpu"
	"chorale/inference/internal/graph"
)

// Step is an operation of a pass and what it takes.
type Step = graph.Step

// Steps returns what a pass over some tokens of one session does, operation by
// operation, where rows of them have their logits computed. It computes nothing.
func (m *Model) Steps(tokens, pos, rows int) ([]Step, error) {
	kv, err := graph.ParseKVType(m.Info().Memory.KV)
	if err != nil {
		return nil, err
	}
	return graph.Steps(m.config, m.weights, graph.Load{Tokens: tokens, Pos: pos, Rows: rows, KV: kv}), nil
}

// Bandwidth measures how many bytes a second the memory of a device moves: what
// a GPU reads and writes while it copies, or what so many threads of the CPU read,
// for it and for software drivers. It takes a second or so, and a gigabyte of
// memory at most.
func Bandwidth(ctx context.Context, device string, threads int) (float64, error) {
	name := strings.ToLower(device)
	if name == "" || name == "auto" {
		name = anyGPU
		if d, err := pick(name); err != nil || d.Software {
			name = "cpu"
		}
	}
	if name == "cpu" || name == "ref" {
		return readBandwidth(ctx, threads)
	}
	d, err := pick(name)
	switch {
	case err != nil:
		return 0, err
	case d.Software:
		return readBandwidth(ctx, threads)
	}
	return gpu.Bandwidth(ctx, d)
}

// readBytes is more than any cache holds.
const readBytes = 768 << 20

// readBandwidth has threads read memory, and returns the best of a few rounds.
// Each thread's speed is that of its own time, where the system tells it: what
// else the machine does is no property of its memory.
func readBandwidth(ctx context.Context, threads int) (best float64, err error) {
	if threads <= 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	words := make([]uint64, readBytes/8)
	for i := range words {
		words[i] = uint64(i)
	}
	for range 4 {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		speeds := make([]float64, threads)
		var readers sync.WaitGroup
		for t := range threads {
			part := words[len(words)/threads*t : len(words)/threads*(t+1)]
			readers.Go(func() {
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
				start := threadTime()
				sum(part)
				speeds[t] = float64(8*len(part)) / (threadTime() - start).Seconds()
			})
		}
		readers.Wait()
		total := 0.0
		for _, s := range speeds {
			total += s
		}
		best = max(best, total)
	}
	runtime.KeepAlive(words)
	return best, nil
}

// sum reads a word of every line of a cache, in several places at once, so that it
// waits for the memory and not for itself.
//
//go:noinline
func sum(w []uint64) (total uint64) {
	const streams, line = 4, 8
	n := len(w) / streams
	a, b, c, d := w[:n], w[n:2*n], w[2*n:3*n], w[3*n:4*n]
	for i := 0; i < n; i += line {
		total += a[i] + b[i] + c[i] + d[i]
	}
	return total
}
