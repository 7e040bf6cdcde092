package sample

import (
	"math"
	"math/bits"

	"chorale/inference/internal/philox"
)

// keys spreads a seed and the number of a draw over the 64 bits that tell the
// noise of draws apart, by the finaliser of SplitMix64.
func keys(seed, number uint64) (key, counter uint32) {
	const golden = 0x9e3779b97f4a7c15
	h := mix(mix(seed+golden) + (number+1)*golden)
	return uint32(h >> 32), uint32(h)
}

func mix(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}

// gumbel makes noise of 64 random bits, -ln(-ln(u)) of a u that they spread
// evenly over 0 to 1. Both ends keep their precision.
func gumbel(x, y uint32) float64 {
	n := uint64(x)<<32 | uint64(y)
	if n>>63 == 0 {
		return -math.Log(-math.Log1p(-math.Ldexp(float64(n)+0.5, -64)))
	}
	return -math.Log(-math.Log(math.Ldexp(float64(^n)+0.5, -64)))
}

// ceiling is more than the noise of 64 bits that begin with x, at little cost.
func ceiling(x uint32) float64 {
	if x == 0 {
		return 46
	}
	return float64(bits.LeadingZeros32(x)+1)*math.Ln2 + 1e-9
}

// noise is what is added to an id's logit/temperature.
func (d *Draw) noise(id uint32) float64 { return gumbel(philox.Words(id, d.Counter, d.Key)) }

// score is what the chosen id has most of.
func (d *Draw) score(c Candidate) float64 {
	return float64(c.Logit)/d.Temperature + d.noise(c.ID)
}

// Score is the score of an id with a logit, in the precision of a summary.
func (d *Draw) Score(id uint32, logit float32) float32 {
	if d.Greedy() {
		return logit
	}
	return float32(d.score(Candidate{id, logit}))
}
