package inference

import (
	"errors"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chorale/inference/internal/drivers"
	"chorale/inference/internal/golden"
	"chorale/inference/internal/gpu"
)

// smallest is a model that is small in everything: a token of it costs next to
// nothing, so that many of them can be had.
const smallest = Synthetic + "tiny-a?hidden=32&width=32&experts=4&heads=2&kv-heads=1&vocab=320"

// TestSoak decodes for long on both backends while other goroutines collect
// garbage all the time: nothing may crash, and memory, goroutines and what is on
// the device may not grow. AGENT_SOAK is the number of tokens on each; without it
// the soak is a short one. `make soak` is the long one.
func TestSoak(t *testing.T) {
	tokens := map[string]int{"cpu": 10_000, "lavapipe": 1_000}
	if golden.Race {
		tokens = map[string]int{"cpu": 2_000, "lavapipe": 400}
	}
	if s := os.Getenv("AGENT_SOAK"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("AGENT_SOAK: %v", err)
		}
		tokens = map[string]int{"cpu": n, "lavapipe": n}
	}
	t.Run("cpu", func(t *testing.T) { soak(t, Options{Device: "cpu", Threads: 1, Context: 512}, 2, tokens["cpu"]) })
	// As many sessions as a pass takes: a pass costs lavapipe much and a token little.
	t.Run("lavapipe", func(t *testing.T) {
		drivers.Lavapipe.Use(t)
		soak(t, Options{Device: "software", Context: 512}, 8, tokens["lavapipe"])
	})
}

// usage is what may not grow.
type usage struct {
	resident       int64 // bytes of the process
	goroutines     int
	objects, bytes int64 // on devices
}

func measure(t *testing.T) usage {
	t.Helper()
	runtime.GC()
	u := usage{goroutines: runtime.NumGoroutine()}
	u.objects, u.bytes = gpu.Live()
	status, err := os.ReadFile("/proc/self/status")
	if errors.Is(err, os.ErrNotExist) {
		return u // not Linux
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	fields := strings.Fields(rest)
	if err != nil || len(fields) == 0 {
		t.Fatalf("VmRSS: %v", err)
	}
	kib, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	u.resident = kib << 10
	return u
}

func soak(t *testing.T, o Options, sessions, tokens int) {
	o.Patience = time.Hour // a machine that is busy is no device that has failed
	o.Notice = func(text string) { t.Error("notice: " + text) }
	m := openModel(t, smallest, o)
	defer storms(1)()
	start := time.Now()
	var before usage
	const parts = 10
	for part := range parts {
		together(t, m, sessions, tokens/parts/sessions)
		now := measure(t)
		if part < 2 {
			before = now // after it has warmed up: on a busy machine not all sessions meet at once
		}
		// What the Go heap and malloc keep back for themselves settles with time.
		if now.resident > before.resident+32<<20 {
			t.Errorf("part %d: %d MiB resident, %d after it had warmed up", part, now.resident>>20, before.resident>>20)
		}
		// What comes up later stays: the kernel and the descriptor sets of a prompt
		// beside so many sessions, the room for so many rows. A leak of an object or
		// of a cache for each session would be 70 objects, or a quarter of a megabyte
		// for the first.
		if now.goroutines > before.goroutines || now.objects > before.objects+24 || now.bytes > before.bytes+1<<16 {
			t.Errorf("part %d: %+v, after it had warmed up %+v", part, now, before)
		}
		if testing.Verbose() {
			t.Logf("%d tokens after %v: %d MiB resident, %d goroutines, %d objects and %d bytes on the device",
				(part+1)*tokens/parts, time.Since(start).Round(time.Second), now.resident>>20, now.goroutines, now.objects, now.bytes)
		}
	}
}

// together decodes that many tokens in each of several sessions at the same time,
// in conversations, one after the other: four, or more that fill the context.
func together(t *testing.T, m *Model, sessions, tokens int) {
	t.Helper()
	var all sync.WaitGroup
	for i := range sessions {
		all.Go(func() {
			for left, talk := tokens, 0; left > 0; talk++ {
				n := min(left, 480, max(tokens/4, 1))
				s, err := m.NewSession(Sampling{Temperature: 1, Seed: uint64(talk)})
				if err != nil {
					t.Error(err)
					return
				}
				said := 0
				for _, err := range s.Generate(t.Context(), opening(talk+i), nil, nil) {
					if err != nil {
						t.Error(err)
						return
					}
					if said++; said == n {
						break
					}
				}
				if err := s.Close(); err != nil || said != n {
					t.Errorf("a conversation of %d tokens, want %d: %v", said, n, err)
					return
				}
				left -= n
			}
		})
	}
	all.Wait()
}

// storms collects garbage in that many goroutines until the returned function is
// called.
func storms(n int) (end func()) {
	var stop atomic.Bool
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			for !stop.Load() {
				litter.Store(new([1 << 16]byte))
				runtime.GC()
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	return func() {
		stop.Store(true)
		all.Wait()
	}
}

var litter atomic.Pointer[[1 << 16]byte] // keeps the allocations on the heap

// opening returns a short prompt of the smallest vocabulary.
func opening(seed int) []uint32 {
	ids := make([]uint32, 16)
	for i := range ids {
		ids[i] = uint32(i*31+seed*7) % 64
	}
	return ids
}
