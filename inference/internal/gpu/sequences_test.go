//go:build cgo && (amd64 || arm64)

package gpu

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"chorale/inference/internal/drivers"
	"chorale/inference/internal/golden"
	"chorale/inference/internal/graph"
	"chorale/inference/internal/kernel"
	"chorale/inference/internal/vk"
	"chorale/shaders"
)

func TestHeavySequences(t *testing.T) {
	for _, profile := range []string{Base, Texel} {
		t.Run(profile, func(t *testing.T) { sequences(t, profile, nil) })
	}
	// As on hardware: attention with its keys split.
	t.Run("split", func(t *testing.T) { sequences(t, Subgroup, func(p *profile) { p.split, p.sharers = 64, 16 }) })
}

func sequences(t *testing.T, name string, adjust func(*profile)) {
	drivers.Lavapipe.Use(t)
	golden.Sequences{
		Load: func(c *graph.Config, w *graph.Weights, kv graph.KVType) (graph.Backend, error) {
			b, err := open(t.Context(), only(t), c, w, Options{KV: kv, Validate: true, Profile: name}, adjust)
			if err == nil {
				instance := b.instance
				t.Cleanup(func() { silent(t, instance) })
			}
			return b, err
		},
		Bytes: func(s graph.State) (n int64) {
			for _, l := range s.(*state).layers {
				n += int64(l.buffer.Size)
			}
			for _, m := range s.(*state).marks {
				if m != nil {
					n += int64(m.Size)
				}
			}
			return n
		},
		Jump: func(s graph.State, pos int) { s.(*state).history.End = pos },
	}.Run(t)
}

// TestHeavyAttendFar attends at the last positions of a context of 131,072, in both
// types of cache, with and without a window, as one token and as a batch.
func TestHeavyAttendFar(t *testing.T) {
	if golden.Race {
		t.Skip("much arithmetic, and nothing shared")
	}
	const slots, window, group = 1 << 17, 128, 2
	b := newBench(t, drivers.Lavapipe)
	random := rand.New(rand.NewPCG(1, 1))
	keys, values := make([]float32, slots*64), make([]float32, slots*64)
	halves := [2][]uint16{make([]uint16, slots*64), make([]uint16, slots*64)}
	for i := range keys {
		for j, v := range []float32{random.Float32() - 0.5, random.Float32() - 0.5} {
			halves[j][i] = kernel.ToHalf(v)
			[][]float32{keys, values}[j][i] = kernel.Half(halves[j][i])
		}
	}
	p := newProfile(&graph.Config{Heads: group, KVHeads: 1}, true)
	sinks := []float32{0.5, -1}
	for _, v := range []struct{ tokens, window, half int }{{1, 0, 0}, {3, 0, 1}, {3, window, 0}} {
		qkv := make([]float32, v.tokens*(group+2)*64)
		for i := range qkv {
			qkv[i] = 4 * (random.Float32() - 0.5)
		}
		queries := group
		if v.tokens > 1 {
			queries = p.queries
		}
		cache := [][2]any{{keys, values}, {halves[0], halves[1]}}[v.half]
		out, running := poison(v.tokens*group*64), poison(2*v.tokens*group)
		for begin := 0; begin < slots; begin += p.segment {
			push := shaders.AttendPush{Tokens: uint32(v.tokens), KVHeads: 1, Slots: slots, Window: uint32(v.window),
				SegmentBegin: uint32(begin), SegmentEnd: uint32(begin + p.segment)}
			if begin+p.segment >= slots {
				push.LastSegment = 1
			}
			run(b, &shaders.Attend, []int{p.sharers, 64 / p.sharers, group, queries, v.half}, push, 1, ceil(v.tokens, queries/group),
				[]uint32{uint32(slots - v.tokens)}, qkv, sinks, cache[0], cache[1], out, running)
		}
		var want []float32
		for i := range v.tokens {
			want = append(want, golden.Attention(qkv[i*(group+2)*64:], keys, values, sinks, slots-v.tokens+i+1, v.window)...)
		}
		near(t, fmt.Sprintf("%+v", v), out, want, 1e-7)
	}
}

// TestMarkWithoutRoom has no memory left for marks: going back then goes to the
// beginning, and nothing fails.
func TestMarkWithoutRoom(t *testing.T) {
	drivers.Lavapipe.Use(t)
	full := false
	c, w := golden.Synth(t, shapes["plain"])
	b, err := Open(t.Context(), only(t), c, w, Options{Inject: func(point string) error {
		if full && point == vk.AtAllocate {
			return ErrOutOfMemory
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	s, err := b.NewState(2000)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for pos := 0; pos < 900; pos += 300 {
		full = false
		forward(t, s, graph.Batch{IDs: make([]uint32, 300), Pos: pos})
		full = true
		if err := s.Mark(pos + 300); err != nil {
			t.Fatal(err)
		}
	}
	if to, err := s.Rewind(300); err != nil || to != 0 {
		t.Errorf("back to %d: %v", to, err)
	}
}
