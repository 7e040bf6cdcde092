package ref

import (
	"context"
	"fmt"
	"math"
	"os"
	"testing"
	"time"

	"chorale/inference/internal/golden"
	"chorale/inference/internal/graph"
	"chorale/inference/synth"
)

// BenchmarkShapes computes two layers of gpt-oss-20b's shape, vocabulary and
// all: 3.3 GB, of random weights, or of the checkpoint that AGENT_BENCH_MODEL
// names: taking a prompt in, decoding, decoding four sequences at once. It
// reports the best of all runs besides the mean, for a machine that has other
// work as well, and how much of the weights a step reads in that time.
func BenchmarkShapes(b *testing.B) {
	var c *graph.Config
	var w *graph.Weights
	if path := os.Getenv("AGENT_BENCH_MODEL"); path != "" {
		c, w = golden.Open(b, path)
	} else {
		m := synth.Presets["20b"]
		m.Layers = 2
		c, w = golden.Synth(b, m)
	}
	for _, threads := range []int{1, 2} {
		back := New(c, w, Options{Threads: threads, Bytes: os.Getenv("AGENT_BENCH_BYTES") != ""})
		defer back.Close()
		state, err := back.NewState(4096)
		if err != nil {
			b.Fatal(err)
		}
		feed := func(pos, n, seed int) {
			ids := make([]uint32, n)
			for i := range ids {
				ids[i] = uint32((seed*n + i) * 7919 % c.Vocab)
			}
			if _, err := state.Forward(context.Background(), graph.Batch{IDs: ids, Pos: pos, Rows: []int{n - 1}}); err != nil {
				b.Fatal(err)
			}
		}
		for _, n := range []int{128, 512} {
			b.Run(fmt.Sprintf("prefill%d/threads%d", n, threads), func(b *testing.B) {
				best := time.Duration(math.MaxInt64)
				for i := 0; b.Loop(); i++ {
					start := time.Now()
					feed(0, n, i)
					best = min(best, time.Since(start))
				}
				b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "tok/s")
				b.ReportMetric(float64(n)/best.Seconds(), "best-tok/s")
			})
		}
		b.Run(fmt.Sprintf("decode/threads%d", threads), func(b *testing.B) {
			feed(0, 64, 0)
			pos, step := 64, float64(stepBytes(c, w))/1e9
			best := time.Duration(math.MaxInt64)
			for b.Loop() {
				start := time.Now()
				feed(pos, 1, pos)
				pos++
				best = min(best, time.Since(start))
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tok/s")
			b.ReportMetric(1/best.Seconds(), "best-tok/s")
			b.ReportMetric(step/best.Seconds(), "best-GB/s")
		})
		b.Run(fmt.Sprintf("decode4/threads%d", threads), func(b *testing.B) {
			parts := make([]graph.Part, 4)
			for i := range parts {
				s, err := back.NewState(4096)
				if err != nil {
					b.Fatal(err)
				}
				defer s.Close()
				parts[i] = graph.Part{State: s, Batch: graph.Batch{IDs: []uint32{0}, Rows: []int{0}}, Logits: make([]float32, c.Vocab)}
			}
			best := time.Duration(math.MaxInt64)
			for b.Loop() {
				start := time.Now()
				if err := back.Forward(context.Background(), parts); err != nil {
					b.Fatal(err)
				}
				best = min(best, time.Since(start))
				for i := range parts {
					p := &parts[i].Batch
					p.Pos++
					p.IDs[0] = uint32((p.Pos*4 + i) * 7919 % c.Vocab)
				}
			}
			b.ReportMetric(4*float64(b.N)/b.Elapsed().Seconds(), "tok/s")
			b.ReportMetric(4/best.Seconds(), "best-tok/s")
		})
		if err := state.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// stepBytes is what one token reads of the weights: everything once, but of the
// embedding a row and of the experts the chosen ones.
func stepBytes(c *graph.Config, w *graph.Weights) int64 {
	_, all := w.Size()
	all -= int64(len(w.Embedding.Data)) * int64(c.Vocab-1) / int64(c.Vocab)
	for _, l := range w.Layers {
		for _, t := range []*graph.Affine{&l.Up, &l.Down} {
			n := int64(len(t.W.Data) + len(t.W.Scales) + len(t.B.Data))
			if t.W.Odd != nil {
				n *= 2
			}
			all -= n * int64(c.Experts-c.TopK) / int64(c.Experts)
		}
	}
	return all
}

// BenchmarkTogether measures sequences that share passes: of the embedded model,
// and of a layer of gpt-oss-20b's shape with part of the vocabulary.
func BenchmarkTogether(b *testing.B) {
	golden.Together(b, func(c *graph.Config, w *graph.Weights) (graph.Backend, error) { return New(c, w, Options{}), nil })
}
