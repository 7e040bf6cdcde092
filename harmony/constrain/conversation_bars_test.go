package constrain

import (
	"runtime"
	"testing"
	"time"
)

// TestHarmonyBars holds the costs of a conversation's grammar in thread CPU
// time: 20 tools are prepared within 10 ms, and a mask of free text takes less
// than 0.1 µs.
func TestHarmonyBars(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector has costs of its own")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	v, c := o200k(), twenty()
	fastest := func(n int, f func()) time.Duration {
		best := time.Hour
		for range n {
			at := cpuTime()
			f()
			best = min(best, cpuTime()-at)
		}
		return best
	}
	compile := fastest(5, func() { grammarOf(t, v, c) })
	if compile > 10*time.Millisecond {
		t.Errorf("20 tools took %v, more than 10ms", compile)
	}
	s := grammarOf(t, v, c).Start()
	if err := follow(s, v.enc, "<|channel|>analysis<|message|>"); err != nil {
		t.Fatal(err)
	}
	id := v.enc.Encode(" weather")[0]
	const n = 10_000
	token := fastest(5, func() {
		for range n {
			sink = s.Mask()
			if err := s.Accept(id); err != nil {
				t.Fatal(err)
			}
		}
	}) / n
	if token > 100*time.Nanosecond {
		t.Errorf("a token of free text took %v, more than 100ns", token)
	}
	t.Logf("20 tools %v, a token of free text %v", compile, token)
}
