package inference

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"chorale/inference/internal/drivers"
	"chorale/inference/internal/gpu"
)

// twoTurns has three sessions speak at the same time, one greedy, one that
// samples by a seed, one with a prompt of several passes, and then all of them
// again, each continuing what it said.
func twoTurns(t testing.TB, m *Model) [3][]uint32 {
	t.Helper()
	var said [3][]uint32
	sessions := [3]*Session{
		newSession(t, m, Sampling{}), newSession(t, m, Sampling{Temperature: 1, Seed: 7}), newSession(t, m, Sampling{}),
	}
	prompts := [3][]uint32{prompt(20, 1), prompt(30, 2), prompt(300, 3)}
	for turn := range 2 {
		var all sync.WaitGroup
		for i, s := range sessions {
			all.Go(func() {
				p := prompts[i]
				if turn == 1 {
					p = slices.Concat(p, said[i], prompt(10, i))
				}
				for id, err := range s.Generate(t.Context(), p, nil, nil) {
					if err != nil {
						t.Errorf("session %d: %v", i, err)
						return
					}
					if said[i] = append(said[i], id); len(said[i]) == 6*(turn+1) {
						return
					}
				}
			})
		}
		all.Wait()
	}
	for _, s := range sessions {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	return said
}

// when is a call at each point that comes while the sessions speak, or, for
// points that are passed only then, while the model is loaded.
//
// The seventh allocation is of the first session's cache: those of marks, which
// come later, may fail without harm.
var when = map[string]int{
	"instance": 1, "device": 1, "allocate": 7, "map": 7, "pipeline": 9, "upload": 20, "submit": 17, "wait": 17, "readback": 12,
}

// TestRecovery has the GPU fail at every point in every way with three sessions
// alive, once or for good by turns (with AGENT_SOAK set, both). Each session must
// go on as if nothing had happened: the GPU is set up anew after the first
// failure, the CPU takes over after the second.
func TestRecovery(t *testing.T) {
	drivers.Lavapipe.Use(t)
	want := twoTurns(t, openModel(t, tinyA+"hf", Options{Device: "software", KV: "f32"}))
	cases := 0
	for i, point := range FaultPoints {
		for j, kind := range []string{"lost", "memory", "timeout"} {
			for k, onward := range []string{"", "+"} {
				if (i+j+k)%2 == 1 && os.Getenv("AGENT_SOAK") == "" {
					continue
				}
				spec := fmt.Sprintf("%s:%s:%d%s", point, kind, when[point], onward)
				t.Run(spec, func(t *testing.T) { recovers(t, spec, want) })
				cases++
			}
		}
	}
	t.Logf("%d ways to fail", cases)
}

func recovers(t *testing.T, spec string, want [3][]uint32) {
	objects, bytes := gpu.Live()
	t.Cleanup(func() { // after the model has been closed
		if o, b := gpu.Live(); o != objects || b != bytes {
			t.Errorf("%d objects and %d bytes are left on the GPU", o-objects, b-bytes)
		}
	})
	var mu sync.Mutex
	var notices []string
	m := openModel(t, tinyA+"hf", Options{Device: "software", KV: "f32", Rehearse: spec, Notice: func(s string) {
		mu.Lock()
		defer mu.Unlock()
		notices = append(notices, s)
	}})
	if got := twoTurns(t, m); !slices.EqualFunc(got[:], want[:], slices.Equal) {
		t.Errorf("said %v, undisturbed %v", got, want)
	}
	onward := strings.HasSuffix(spec, "+")
	backend := map[bool]string{false: "vulkan", true: "ref"}[onward]
	if i := m.Info(); i.Backend != backend || onward != strings.HasPrefix(i.Device, "CPU") {
		t.Errorf("runs on %s (%s) at the end, want %s", i.Backend, i.Device, backend)
	}
	if len(notices) == 0 || len(notices) > 2 || !strings.Contains(notices[0], "The GPU failed") {
		t.Errorf("notices: %q", notices)
	}
}

// TestFallbackFits has the GPU fail for good when the host has so much memory left. The
// CPU takes over where the model fits, with caches in f16 where their type was left open.
func TestFallbackFits(t *testing.T) {
	drivers.Lavapipe.Use(t)
	var memory atomic.Int64
	available := hostMemory
	hostMemory = memory.Load
	defer func() { hostMemory = available }()
	needs := func(kv string) int64 {
		p, err := Plan(t.Context(), tinyA+"hf", Options{Device: "cpu", KV: kv})
		if err != nil {
			t.Fatal(err)
		}
		return p.HostBytes*10/9 + 100
	}
	f32, f16 := needs("f32"), needs("f16")
	for _, x := range []struct {
		kv   string
		left int64
		want string // of the caches; empty: it does not fit
	}{{"", f32, "f32"}, {"", f16, "f16"}, {"f16", f16, "f16"}, {"f32", f16, ""}, {"", f16 / 2, ""}} {
		memory.Store(1e12)
		m := openModel(t, tinyA+"hf", Options{Device: "software", KV: x.kv, Rehearse: "submit:lost:1+"})
		if p := m.Info().Memory; p.Device == "" {
			t.Errorf("on the GPU the plan is %+v", p)
		}
		memory.Store(x.left)
		var failed error
		for _, err := range newSession(t, m, Sampling{}).Generate(t.Context(), prompt(20, 1), nil, nil) {
			failed = err
			break
		}
		var short *DoesNotFit
		switch i := m.Info(); {
		case x.want == "":
			if !errors.As(failed, &short) || !errors.Is(failed, gpu.ErrDeviceLost) || i.Backend != "vulkan" {
				t.Errorf("%q with %d bytes left: %v, on %s", x.kv, x.left, failed, i.Device)
			}
		case failed != nil || i.Backend != "ref" || i.Memory.Device != "" || i.Memory.KV != x.want:
			t.Errorf("%q with %d bytes left: %v, on %s with %+v", x.kv, x.left, failed, i.Device, i.Memory)
		}
	}
}

func TestRehearsal(t *testing.T) {
	for _, spec := range []string{"submit", "submit:lost", "submit:lost:0", "submit:lost:x", "submit:tired:1", "nowhere:lost:1", "::"} {
		if _, err := rehearsal(spec); err == nil {
			t.Errorf("%q was taken", spec)
		}
	}
	inject, err := rehearsal("wait:timeout:2+")
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{false, true, true} {
		if got := inject("wait") != nil; got != want {
			t.Errorf("call %d fails: %v", i+1, got)
		}
	}
	if inject("submit") != nil {
		t.Error("another point fails")
	}
}
