package kernel

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// fastest returns the shortest time of f in many runs: what it takes when no
// other work disturbs it.
func fastest(runs int, f func()) time.Duration {
	best := time.Duration(1 << 62)
	for range runs {
		start := time.Now()
		f()
		best = min(best, time.Since(start))
	}
	return best
}

// TestSpeed is opt-in.
func TestSpeed(t *testing.T) {
	if os.Getenv("AGENT_BENCH") == "" {
		t.Skip()
	}
	const cols = 2880
	eachSet(t, func(t *testing.T, k *Set) {
		var s Scratch
		for f := range Format(formats) {
			m := packed(f, 960, cols, 1)
			line := fmt.Sprintf("%-8s %-22v", k.Name, f)
			for _, n := range []int{1, 4, 16, 128} {
				_, in := inputs(n, cols, 3)
				d := fastest(max(5, 60/n), func() {
					for i := range m.Tiles() {
						k.Tile(&s, m, i, in)
					}
				}).Seconds()
				line += fmt.Sprintf("  %d: %.1f GB/s %.1f GFLOPS", n, float64(len(m.Data)+len(m.Scales))/d/1e9, 2*float64(n)*960*cols/d/1e9)
			}
			fmt.Println(line)
		}
	})
}
