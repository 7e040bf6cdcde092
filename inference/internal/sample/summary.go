package sample

import (
	"math"
	"slices"
)

const (
	// Slices is how many parts a row is summed up in: id i belongs to part
	// i/n modulo Slices, for some n.
	Slices = 128

	// Above is the most candidates of a summary.
	Above = 256

	// mostTopK is the largest top-k that a summary serves: as many of the slices'
	// highest logits are a bound that about 200 ids reach.
	mostTopK = 100
)

// Leader is the best of a slice: the id with the highest score in 32-bit
// arithmetic, the lowest among equals, its logit, and the second highest score. A
// slice without a permitted id has [NoID] and negative infinity. Where a logit is
// no number, Second is positive infinity.
type Leader struct {
	Score, Second float32
	ID            uint32
	Logit         float32
}

// NoID is in the place of an id where there is none.
const NoID = math.MaxUint32

// Summary is what a device tells of a row: for every draw the leaders, and where
// filters are set what follows.
type Summary struct {
	Leaders [Slices]Leader
	Tops    [Slices]Top

	// Count is how many permitted logits are at least as high as the n-th highest
	// of the tops ([Draw.Bound]); the first of them are in Above, in any order.
	Count int
	Above [Above]Candidate
}

// Top is the highest permitted logit of a slice, negative infinity where there is
// none, and what the exponentials of the differences to it, by the temperature,
// add up to. Where a logit is no number, Sum is negative.
type Top struct{ Logit, Sum float32 }

// Bound is which of the slices' highest logits bounds the candidates: the n-th
// highest. It is 0 where no candidates are needed.
func (d *Draw) Bound() int {
	switch {
	case !d.Filtered():
		return 0
	case d.TopK > 0:
		return min(d.TopK, mostTopK)
	}
	return mostTopK
}

// blur is how far a score in 32-bit arithmetic may be from the exact one.
func (d *Draw) blur(l Leader) float64 {
	if d.Greedy() {
		return 0
	}
	return 2e-4 + 1e-6*math.Abs(float64(l.Logit)/d.Temperature)
}

// Finish returns the id that a draw takes of the row that a summary is of, unless
// it takes all its logits to be sure. The summary may be changed.
func (c *Chooser) Finish(d *Draw, s *Summary) (id uint32, sure bool, err error) {
	second, any := math.Inf(-1), false
	blur := 0.0
	for _, l := range s.Leaders {
		second = max(second, float64(l.Second))
		if l.ID != NoID {
			any = true
			blur = max(blur, d.blur(l))
		}
	}
	switch {
	case math.IsInf(second, 1):
		return 0, false, nil
	case !any:
		return 0, true, ErrNoToken
	case d.Filtered():
		id, sure = c.finishFiltered(d, s)
		return id, sure, nil
	}
	c.heap = c.heap[:0]
	for _, l := range s.Leaders {
		if l.ID != NoID {
			c.heap = append(c.heap, Candidate{l.ID, l.Logit})
		}
	}
	if d.Greedy() {
		return slices.MinFunc(c.heap, byLogit).ID, true, nil
	}
	id = d.pick(c.heap)
	i := slices.IndexFunc(c.heap, func(x Candidate) bool { return x.ID == id })
	return id, d.score(c.heap[i])-blur > second, nil
}

func (c *Chooser) finishFiltered(d *Draw, s *Summary) (uint32, bool) {
	if s.Count > Above || s.Count == 0 {
		return 0, false
	}
	var tops [Slices]float32
	for i, t := range s.Tops {
		if tops[i] = t.Logit; t.Sum < 0 {
			return 0, false
		}
	}
	slices.Sort(tops[:])
	f := filtering{candidates: s.Above[:s.Count], top: tops[Slices-1], bound: tops[Slices-d.Bound()], mass: math.NaN()}
	if math.IsInf(float64(f.top), -1) {
		return 0, false
	}
	if !math.IsInf(float64(f.bound), -1) {
		f.mass = 0
		for _, t := range s.Tops {
			if t.Sum > 0 {
				f.mass += float64(t.Sum) * math.Exp((float64(t.Logit)-float64(f.top))/d.Temperature)
			}
		}
	}
	kept, sure := d.filter(f)
	if !sure || len(kept) == 0 {
		return 0, false
	}
	return d.pick(kept), true
}
