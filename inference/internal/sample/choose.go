package sample

import (
	"cmp"
	"fmt"
	"math"
	"math/bits"
	"slices"

	"chorale/inference/internal/philox"
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
type Chooser struct {
	heap []Candidate
	last []Candidate     // that the nucleus may keep
	tops [Slices]float32 // highest permitted logit of each part of a row, negative infinity where there is none
}

// Choose returns the id that a draw takes from a row of logits. Logits that are
// no numbers are an error: the weights or the device are broken.
func (c *Chooser) Choose(d *Draw, logits []float32) (uint32, error) {
	if err := c.survey(d, logits); err != nil {
		return 0, err
	}
	top := slices.Max(c.tops[:])
	switch {
	case d.Greedy() || math.IsInf(float64(top), -1):
		for id := range d.ids(0, len(logits)) {
			if logits[id] == top {
				return id, nil
			}
		}
		return 0, ErrNoToken
	case !d.Filtered():
		return d.highest(logits), nil
	case d.TopK == 0 && d.TopP > 0 && d.TopP < 1:
		return d.pick(d.likely(c.nucleus(d, logits, top), top)), nil
	}
	if kept, sure := d.filter(c.foremost(d, logits, top)); sure && len(kept) > 0 {
		return d.pick(kept), nil
	}
	c.heap = c.heap[:0]
	for id := range d.ids(0, len(logits)) {
		c.heap = append(c.heap, Candidate{id, logits[id]})
	}
	kept, _ := d.filter(filtering{candidates: c.heap, top: top, mass: math.NaN()})
	return d.pick(kept), nil
}

// parts is how many ids each of a row's parts has, a multiple of 64.
func parts(n int) int { return max(1, (n+64*Slices-1)/(64*Slices)) * 64 }

// survey checks a row and leaves its tops.
func (c *Chooser) survey(d *Draw, logits []float32) error {
	size := parts(len(logits))
	for p := range c.tops {
		top := float32(math.Inf(-1))
		for at := p * size; at < min((p+1)*size, len(logits)); at += 64 {
			word, some := d.permitted(at), logits[at:min(at+64, len(logits))]
			for i, v := range some {
				if !(v <= math.MaxFloat32) {
					return fmt.Errorf("the logit of token %d is %v: the weights or the device are broken", at+i, v)
				}
				if v > top && word>>i&1 == 1 {
					top = v
				}
			}
		}
		c.tops[p] = top
	}
	return nil
}

// foremost returns the permitted ids that filters most often keep: all that are as likely
// as some of the tops.
func (c *Chooser) foremost(d *Draw, logits []float32, top float32) filtering {
	tops := c.tops
	slices.Sort(tops[:])
	f := filtering{top: top, bound: tops[Slices-d.Bound()]}
	if !math.IsInf(float64(f.bound), -1) {
		c.heap = c.heap[:0]
		size := parts(len(logits))
		for p, most := range c.tops {
			if most < f.bound {
				continue
			}
			for id := range d.ids(p*size, min((p+1)*size, len(logits))) {
				if v := logits[id]; v >= f.bound {
					c.heap = append(c.heap, Candidate{id, v})
				}
			}
		}
		f.candidates = c.heap
	}
	return f
}

const (
	farthest = 100 // distance from the top beyond which all ids together weigh less than rounding
	bins     = 8   // for each distance of 1
)

// nucleus returns the likeliest permitted ids that together have the share of top-p.
// Weights are added up by distance from the top, so that only ids as far as the last one
// are sorted.
func (c *Chooser) nucleus(d *Draw, logits []float32, top float32) []Candidate {
	bin := func(distance float64) int { return int(min(farthest, distance) * bins) }
	var weights [farthest*bins + 1]float64
	mass := 0.0
	for id := range d.ids(0, len(logits)) {
		x := d.distance(logits[id], top)
		w := power(x)
		weights[bin(x)] += w
		mass += w
	}
	last, sum := 0, 0.0
	for last < len(weights)-1 && sum+weights[last] < d.TopP*mass {
		sum += weights[last]
		last++
	}
	c.heap, c.last = c.heap[:0], c.last[:0]
	for id := range d.ids(0, len(logits)) {
		x := Candidate{id, logits[id]}
		switch at := bin(d.distance(x.Logit, top)); {
		case at < last:
			c.heap = append(c.heap, x)
		case at == last:
			c.last = append(c.last, x)
		}
	}
	slices.SortFunc(c.last, byLogit)
	for _, x := range c.last {
		c.heap = append(c.heap, x)
		if sum += d.weight(x.Logit, top); sum >= d.TopP*mass {
			break
		}
	}
	return c.heap
}

// distance is how far a logit is below the top: its weight is 2 to the power of minus that.
func (d *Draw) distance(logit, top float32) float64 {
	return (float64(top) - float64(logit)) * math.Log2E / d.Temperature
}

// weight is the exponential of a logit's difference to the top, by the temperature.
func (d *Draw) weight(logit, top float32) float64 { return power(d.distance(logit, top)) }

// power is 2^-x for an x from 0 to farthest, within 1e-11 of it, by the exponential's
// series: a third of the time that math.Exp2 takes. Beyond it is 0.
func power(x float64) float64 {
	if x > farthest {
		return 0
	}
	whole := int(x + 0.5)
	r := (float64(whole) - x) * math.Ln2
	sum := 1 + r*(1+r*(1./2+r*(1./6+r*(1./24+r*(1./120+r*(1./720+r*(1./5040+r*(1./40320+r*(1./362880)))))))))
	return sum * math.Float64frombits(uint64(1023-whole)<<52)
}

// likely returns those that min-p keeps.
func (d *Draw) likely(all []Candidate, top float32) []Candidate {
	return slices.DeleteFunc(all, func(x Candidate) bool { return d.weight(x.Logit, top) < d.MinP })
}

// permitted returns which of 64 ids from a multiple of 64 on are, a bit each.
func (d *Draw) permitted(id int) uint64 {
	if id/64 >= len(d.Permitted) {
		return 0
	}
	return d.Permitted[id/64]
}

// ids yields what is permitted from one id, a multiple of 64, up to another, ascending.
func (d *Draw) ids(from, to int) func(yield func(uint32) bool) {
	return func(yield func(uint32) bool) {
		for at := from; at < to; at += 64 {
			for word := d.permitted(at); word != 0; word &= word - 1 {
				if id := at + bits.TrailingZeros64(word); id >= to || !yield(uint32(id)) {
					return
				}
			}
		}
	}
}

// highest returns the permitted token with the highest score, the lowest id
// among equals. Of most it is enough to look at the first bits of their noise.
func (d *Draw) highest(logits []float32) (best uint32) {
	var noise [64]uint64
	top := math.Inf(-1)
	for at := 0; at < len(logits); at += 64 {
		word := d.permitted(at)
		if word == 0 {
			continue
		}
		philox.First(&noise, uint32(at), d.Counter, d.Key)
		for ; word != 0; word &= word - 1 {
			i := bits.TrailingZeros64(word)
			if at+i >= len(logits) {
				break
			}
			s := float64(logits[at+i]) / d.Temperature
			if s+ceiling(uint32(noise[i])) <= top {
				continue
			}
			if s += d.noise(uint32(at + i)); s > top {
				best, top = uint32(at+i), s
			}
		}
	}
	return best
}

// pick returns the candidate with the highest score, the lowest id among equals.
func (d *Draw) pick(kept []Candidate) uint32 {
	best, top := kept[0], d.score(kept[0])
	for _, c := range kept[1:] {
		x, y := philox.Words(c.ID, d.Counter, d.Key)
		s := float64(c.Logit) / d.Temperature
		if s+ceiling(x) < top {
			continue
		}
		if s += gumbel(x, y); s > top || s == top && c.ID < best.ID {
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
	weight := func(c Candidate) float64 { return d.weight(c.Logit, f.top) }
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
		kept = d.likely(kept, f.top)
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
