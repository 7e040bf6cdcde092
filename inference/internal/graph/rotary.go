package graph

import (
	"fmt"
	"math"
)

// Rope are the parameters of the rotary embedding with YaRN's interpolation by
// parts (arXiv:2309.00071).
type Rope struct {
	Theta           float64 // base
	Factor          float64 // context extension, 1 for none
	BetaFast        float64 // rotations within OriginalContext above which a frequency is kept
	BetaSlow        float64 // rotations below which it is divided by Factor
	OriginalContext int
	Truncate        bool // round the ramp's bounds outwards; gpt-oss does not
}

// check refuses parameters that no model has.
func (r *Rope) check() error {
	switch {
	case !(r.Theta > 1 && r.Theta < 1e12):
		return fmt.Errorf("rope_theta is %v", r.Theta)
	case !(r.Factor >= 1 && r.Factor <= 1e4):
		return fmt.Errorf("YaRN factor is %v", r.Factor)
	case !(r.BetaFast > 0 && r.BetaSlow > 0 && r.BetaFast > r.BetaSlow && r.BetaFast < 1e6):
		return fmt.Errorf("YaRN bounds are beta_fast %v, beta_slow %v", r.BetaFast, r.BetaSlow)
	case r.OriginalContext < 1 || r.OriginalContext > 1<<24:
		return fmt.Errorf("original context is %d", r.OriginalContext)
	}
	return nil
}

// Concentration is YaRN's factor on cos and sin, 0.1 ln(Factor) + 1. It is
// applied to queries and to keys, so scores carry its square.
func (r *Rope) Concentration() float64 {
	if r.Factor <= 1 {
		return 1
	}
	return 0.1*math.Log(r.Factor) + 1
}

// Frequencies returns the dim/2 angles per position, highest first.
func (r *Rope) Frequencies(dim int) []float64 {
	half := dim / 2
	bound := func(rotations float64) float64 {
		return float64(half) * math.Log(float64(r.OriginalContext)/(rotations*2*math.Pi)) / math.Log(r.Theta)
	}
	low, high := bound(r.BetaFast), bound(r.BetaSlow)
	if r.Truncate {
		low, high = math.Max(math.Floor(low), 0), math.Min(math.Ceil(high), float64(dim-1))
	}
	if high <= low {
		high = low + 0.001
	}
	f := make([]float64, half)
	for i := range f {
		inv := math.Pow(r.Theta, -float64(i)/float64(half))
		if r.Factor > 1 {
			ramp := min(max((float64(i)-low)/(high-low), 0), 1)
			inv = inv*(1-ramp) + inv/r.Factor*ramp
		}
		f[i] = inv
	}
	return f
}

// Rotary returns the tables of cos and sin for n positions from pos on, each
// [n, HeadDim/2], computed in f64 and rounded once. They include the
// concentration.
func (c *Config) Rotary(pos, n int) (cos, sin []float32) {
	freq := c.Rope.Frequencies(c.HeadDim)
	scale := c.Rope.Concentration()
	cos = make([]float32, 0, n*len(freq))
	sin = make([]float32, 0, n*len(freq))
	for p := pos; p < pos+n; p++ {
		for _, f := range freq {
			s, co := math.Sincos(float64(p) * f)
			cos = append(cos, float32(co*scale))
			sin = append(sin, float32(s*scale))
		}
	}
	return cos, sin
}
