// Package sample chooses the next token from a row of logits. It is pure but
// for its stream of random numbers, which the seed fixes.
//
// The filters work in the order that transformers and vLLM use: forbidden ids
// and those that a mask leaves out, temperature, top-k, top-p over what top-k
// left, min-p; then one draw from what remains, renormalised.
package sample

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"slices"
)

// Params says how to sample. The zero value is greedy.
type Params struct {
	Temperature float64  // divides the logits; 0 takes the most likely token
	TopK        int      // keep the k most likely; 0 keeps all
	TopP        float64  // keep the smallest set with at least this probability; 0 and 1 keep all
	MinP        float64  // keep what is at least this likely relative to the most likely; 0 keeps all
	Seed        uint64   // equal seeds and logits give equal tokens
	Forbid      []uint32 // never chosen: ids that the model was not trained on
}

// Check reports the first parameter that makes no sense.
func (p *Params) Check() error {
	switch {
	case !(p.Temperature >= 0 && p.Temperature <= 100):
		return fmt.Errorf("temperature %v is not between 0 and 100", p.Temperature)
	case p.TopK < 0:
		return fmt.Errorf("top-k %d is negative", p.TopK)
	case !(p.TopP >= 0 && p.TopP <= 1):
		return fmt.Errorf("top-p %v is not between 0 and 1", p.TopP)
	case !(p.MinP >= 0 && p.MinP <= 1):
		return fmt.Errorf("min-p %v is not between 0 and 1", p.MinP)
	}
	return nil
}

// Sampler samples with fixed parameters. It keeps scratch between calls and
// belongs to one goroutine.
type Sampler struct {
	p    Params
	open []uint64 // the ids that are not forbidden, a bit each
	now  []uint64 // those of them that the current mask permits
	size int      // of the vocabulary that open is for
	rng  *rand.Rand
	heap []candidate
}

// stream separates our random numbers from other uses of the same seed.
const stream = 0x6368_6f72_616c_6521

// New makes a sampler; the parameters must pass Check.
func New(p Params) (*Sampler, error) {
	if err := p.Check(); err != nil {
		return nil, fmt.Errorf("sampling: %w", err)
	}
	return &Sampler{p: p, rng: rand.New(rand.NewPCG(p.Seed, stream))}, nil
}

// candidate is a token with its weight, exp((logit - max) / temperature).
type candidate struct {
	id     uint32
	weight float64
}

// before orders candidates: likelier first, the lower id among equals.
func (a candidate) before(b candidate) bool {
	return a.weight > b.weight || a.weight == b.weight && a.id < b.id
}

// ErrNoToken is the error of a row from which nothing may be chosen.
var ErrNoToken = errors.New("no token is permitted")

// Next returns the next token's id. Mask holds the ids that may be chosen, a bit
// each, lowest first; what lies behind its end may not, and nil permits every
// id. Logits that are no numbers are an error: the weights or the device are
// broken.
func (s *Sampler) Next(logits []float32, mask []uint64) (uint32, error) {
	for i, v := range logits {
		if v != v || v > math.MaxFloat32 {
			return 0, fmt.Errorf("the logit of token %d is %v: the weights or the device are broken", i, v)
		}
	}
	s.permit(len(logits), mask)
	best, ok := s.best(logits)
	if !ok {
		return 0, ErrNoToken
	}
	if s.p.Temperature == 0 || math.IsInf(float64(logits[best]), -1) {
		return best, nil
	}
	s.weigh(logits, logits[best])
	kept, sum := s.filter()
	r := s.rng.Float64() * sum
	for _, c := range kept {
		if r -= c.weight; r < 0 {
			return c.id, nil
		}
	}
	return kept[len(kept)-1].id, nil // rounding left a crumb
}

// permit works out the ids of a vocabulary of n that may be chosen now.
func (s *Sampler) permit(n int, mask []uint64) {
	if s.open == nil || s.size != n {
		s.unforbid(n)
	}
	if mask == nil {
		s.now = append(s.now[:0], s.open...)
		return
	}
	s.now = append(s.now[:0], s.open[:min(len(mask), len(s.open))]...)
	for i := range s.now {
		s.now[i] &= mask[i]
	}
}

// unforbid opens all ids of a vocabulary of n but the forbidden ones.
func (s *Sampler) unforbid(n int) {
	s.size, s.open = n, make([]uint64, (n+63)/64)
	for i := range n {
		s.open[i/64] |= 1 << (i % 64)
	}
	for _, id := range s.p.Forbid {
		if int64(id) < int64(n) {
			s.open[id/64] &^= 1 << (id % 64)
		}
	}
}

// best returns the most likely permitted token, the lowest id among equals.
func (s *Sampler) best(logits []float32) (best uint32, ok bool) {
	for w, word := range s.now {
		for ; word != 0; word &= word - 1 {
			i := uint32(64*w + bits.TrailingZeros64(word))
			if !ok || logits[i] > logits[best] {
				best, ok = i, true
			}
		}
	}
	return best, ok
}

// weigh fills the heap with every permitted token that has a chance at all.
func (s *Sampler) weigh(logits []float32, top float32) {
	s.heap = s.heap[:0]
	for w, word := range s.now {
		for ; word != 0; word &= word - 1 {
			i := uint32(64*w + bits.TrailingZeros64(word))
			if w := math.Exp((float64(logits[i]) - float64(top)) / s.p.Temperature); w > 0 {
				s.heap = append(s.heap, candidate{i, w})
			}
		}
	}
}

// filter returns the candidates that the filters keep and the sum of their
// weights.
func (s *Sampler) filter() (kept []candidate, sum float64) {
	kept = s.heap
	if s.p.TopK > 0 {
		kept = s.descend(s.p.TopK, math.Inf(1))
	}
	if s.p.TopP > 0 && s.p.TopP < 1 {
		share := s.p.TopP * total(kept)
		if s.p.TopK > 0 {
			kept = prefix(kept, share)
		} else {
			kept = s.descend(len(kept), share)
		}
	}
	if s.p.MinP > 0 {
		kept = slices.DeleteFunc(kept, func(c candidate) bool { return c.weight < s.p.MinP })
	}
	return kept, total(kept)
}

func total(c []candidate) (sum float64) {
	for _, x := range c {
		sum += x.weight
	}
	return sum
}

// prefix returns as many candidates as reach the share, at least one.
func prefix(c []candidate, share float64) []candidate {
	sum := 0.0
	for i, x := range c {
		if sum += x.weight; sum >= share {
			return c[:i+1]
		}
	}
	return c
}

// descend returns the likeliest candidates in order, until there are k or their
// weights reach the share. Taking them off a heap costs little where the
// vocabulary is large and few are kept.
func (s *Sampler) descend(k int, share float64) []candidate {
	h := s.heap
	for i := len(h)/2 - 1; i >= 0; i-- {
		sift(h, i)
	}
	sum, n := 0.0, len(h)
	for n > 0 && len(h)-n < k && sum < share {
		sum += h[0].weight
		n--
		h[0], h[n] = h[n], h[0]
		sift(h[:n], 0)
	}
	kept := h[n:]
	slices.Reverse(kept)
	return kept
}

// sift restores the heap below i.
func sift(h []candidate, i int) {
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
