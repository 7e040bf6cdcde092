package sample

import (
	"math"
	"testing"

	"chorale/inference/internal/philox"
)

// TestGumbel compares the noise's distribution with exp(-exp(-x)), sees that its
// ends are finite, and that the ceiling is above it.
func TestGumbel(t *testing.T) {
	const n = 200_000
	for _, x := range []float64{-2, -1, 0, 1, 2, 5} {
		below := 0
		for id := range uint32(n) {
			if gumbel(philox.Words(id, 7, 8)) < x {
				below++
			}
		}
		p := math.Exp(-math.Exp(-x))
		if got := float64(below) / n; math.Abs(got-p) > 5*math.Sqrt(p*(1-p)/n) {
			t.Errorf("below %v lies %.4f of the noise, want %.4f", x, got, p)
		}
	}
	for _, x := range []uint32{0, 1, 2, 3, 1 << 20, 1<<31 - 1, 1 << 31, math.MaxUint32} {
		for _, y := range []uint32{0, 1, math.MaxUint32} {
			if g := gumbel(x, y); math.IsInf(g, 0) || g != g || g > ceiling(x) {
				t.Errorf("noise of %#x, %#x is %v, its ceiling %v", x, y, g, ceiling(x))
			}
		}
	}
	if low, high := gumbel(math.MaxUint32, math.MaxUint32), gumbel(0, 0); low > -3.7 || high < 44 {
		t.Errorf("noise reaches from %v to %v", low, high)
	}
}
