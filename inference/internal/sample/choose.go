package sample

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
	"slices"
)

// Candidate is an id with its logit.
type Candidate struct {
	ID    uint32
	Logit float32
}

// before orders candidates: likelier first, the lower id among equals.
func (a Candidate) before(b Candidate) bool {
	return a.Logit > b.Logit || a.Logit == b.Logit && a.ID < b.ID
}

func byLogit(a, b Candidate) int {
	return cmp.Or(cmp.Compare(b.Logit, a.Logit), cmp.Compare(a.ID, b.ID))
}

// Chooser carries draws out. It keeps scratch between calls and belongs to one
// goroutine; the zero value is ready.
type Chooser struct{ heap []Candidate }

// Choose returns the id that a draw takes from a row of logits. Logits that are
// no numbers are an error: the weights or the device are broken.
func (c *Chooser) Choose(d *Draw, logits []float32) (uint32, error) {
	for i, v := range logits {
		if v != v || v > math.MaxFloat32 {
			return 0, fmt.Errorf("the logit of token %d is %v: the weights or the device are broken", i, v)
		}
	}
	best, ok := d.best(logits)
	switch {
	case !ok:
		return 0, ErrNoToken
	case d.Greedy() || math.IsInf(float64(logits[best]), -1):
		return best, nil
	case !d.Filtered():
		return d.highest(logits), nil
	}
	c.heap = c.heap[:0]
	for id := range d.ids(len(logits)) {
		c.heap = append(c.heap, Candidate{id, logits[id]})
	}
	kept, _ := d.filter(filtering{candidates: c.heap, top: logits[best], mass: math.NaN()})
	return d.pick(kept), nil
}

// ids yields what is permitted of n ids, ascending.
func (d *Draw) ids(n int) func(yield func(uint32) bool) {
	return func(yield func(uint32) bool) {
		for w, word := range d.Permitted[:min(len(d.Permitted), (n+63)/64)] {
			for ; word != 0; word &= word - 1 {
				if id := 64*w + bits.TrailingZeros64(word); id >= n || !yield(uint32(id)) {
					return
				}
			}
		}
	}
}

// best returns the most likely permitted token, the lowest id among equals.
func (d *Draw) best(logits []float32) (best uint32, ok bool) {
	for id := range d.ids(len(logits)) {
		if !ok || logits[id] > logits[best] {
			best, ok = id, true
		}
	}
	return best, ok
}

// highest returns the permitted token with the highest score, the lowest id
// among equals. Of most it is enough to look at the first bits of their noise.
func (d *Draw) highest(logits []float32) (best uint32) {
	top := math.Inf(-1)
	for id := range d.ids(len(logits)) {
		x, y := philox(id, d.Counter, d.Key)
		s := float64(logits[id]) / d.Temperature
		if s+ceiling(x) <= top {
			continue
		}
		if s += gumbel(x, y); s > top {
			best, top = id, s
		}
	}
	return best
}

// pick returns the candidate with the highest score, the lowest id among equals.
func (d *Draw) pick(kept []Candidate) uint32 {
	best, top := kept[0], d.score(kept[0])
	for _, c := range kept[1:] {
		if s := d.score(c); s > top || s == top && c.ID < best.ID {
			best, top = c, s
		}
	}
	return best.ID
}

// filtering is what the filters work on.
type filtering struct {
	candidates []Candidate // reordered
	top        float32     // the highest permitted logit

	// Where the candidates are not all that is permitted: a bound below which
	// others may lie, and the weight of all. Mass is not a number where they are.
	bound float32
	mass  float64
}

// partial reports whether there is more than the candidates.
func (f *filtering) partial() bool { return f.mass == f.mass }

// filter returns the candidates that the filters keep. It is not sure where those
// that are not among the candidates may matter, or rounding of the mass.
func (d *Draw) filter(f filtering) (kept []Candidate, sure bool) {
	scale := math.Log2E / d.Temperature
	weight := func(c Candidate) float64 { return math.Exp2((float64(c.Logit) - float64(f.top)) * scale) } // Exp is assembly that vectors before it slow down 30 times
	kept, sure = f.candidates, !f.partial()
	if d.TopK > 0 {
		if f.partial() && len(kept) < d.TopK {
			return nil, false
		}
		kept, sure = descend(kept, func(n int, _ Candidate) bool { return n == d.TopK }), true
	}
	if d.TopP > 0 && d.TopP < 1 {
		mass, margin := f.mass, f.mass*1e-5
		if d.TopK > 0 || !f.partial() {
			mass, margin = 0, 0
			for _, c := range kept {
				mass += weight(c)
			}
		}
		share, sum, close := d.TopP*mass, 0.0, false
		kept = descend(kept, func(n int, c Candidate) bool {
			sum += weight(c)
			close = close || math.Abs(sum-share) < margin
			return sum >= share
		})
		if sure = sure || sum >= share; close {
			return nil, false
		}
	}
	if d.MinP > 0 {
		sure = sure || weight(Candidate{Logit: f.bound}) < d.MinP
		kept = slices.DeleteFunc(kept, func(c Candidate) bool { return weight(c) < d.MinP })
	}
	return kept, sure
}

// descend returns the likeliest candidates in order, up to the one at which enough
// says so. Taking them off a heap costs little where there are many and few are
// kept.
func descend(h []Candidate, enough func(n int, c Candidate) bool) []Candidate {
	for i := len(h)/2 - 1; i >= 0; i-- {
		sift(h, i)
	}
	n := len(h)
	for n > 0 {
		last := h[0]
		n--
		h[0], h[n] = h[n], h[0]
		sift(h[:n], 0)
		if enough(len(h)-n, last) {
			break
		}
	}
	kept := h[n:]
	slices.Reverse(kept)
	return kept
}

// sift restores the heap below i.
func sift(h []Candidate, i int) {
	for {
		top := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(h); child++ {
			if h[child].before(h[top]) {
				top = child
			}
		}
		if top == i {
			return
		}
		h[i], h[top] = h[top], h[i]
		i = top
	}
}
