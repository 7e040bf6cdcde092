// Package sample chooses the next token from a row of logits. It is pure: what a
// token depends on is the logits, the parameters, and which draw of a session it
// is.
//
// The filters work in the order that transformers and vLLM use: forbidden ids
// and those that a mask leaves out, temperature, top-k, top-p over what top-k
// left, min-p; then one draw from what remains, renormalised.
//
// The draw is the Gumbel-max trick: the token whose logit/temperature + noise is
// highest, where the noise of each id is a hash of the seed, the draw and the id
// (see [Draw.noise]). That is a draw from the softmax, and unlike a walk along a
// running sum it can be made in pieces, by whoever holds the logits: a device
// sends a [Summary] of a row, of which [Chooser.Finish] makes the same token that
// [Chooser.Choose] takes from all its logits, or says that it cannot be sure. And
// each draw being known beforehand, several can be made at once.
package sample

import (
	"errors"
	"fmt"
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

// frozen is the temperature below which the most likely token is taken: logits
// that differ at all differ by more.
const frozen = 1e-9

// Greedy reports whether the most likely token is taken.
func (p *Params) Greedy() bool { return p.Temperature < frozen }

// Filtered reports whether a filter may leave out ids that are permitted.
func (p *Params) Filtered() bool {
	return !p.Greedy() && (p.TopK > 0 || p.TopP > 0 && p.TopP < 1 || p.MinP > 0)
}

// ErrNoToken is the error of a row from which nothing may be chosen.
var ErrNoToken = errors.New("no token is permitted")

// Draw is one choice to be made.
type Draw struct {
	*Params
	Permitted []uint64 // ids that may be chosen, a bit each, lowest first; none behind its end
	Constant  bool     // Permitted is the same memory with the same ids in every draw that says so

	Key, Counter uint32 // of the noise
}

// Sampler makes the draws of one session.
type Sampler struct {
	p    Params
	open []uint64 // the ids that are not forbidden
}

// New makes a sampler for a vocabulary of n ids; the parameters must pass Check.
func New(p Params, n int) (*Sampler, error) {
	if err := p.Check(); err != nil {
		return nil, fmt.Errorf("sampling: %w", err)
	}
	s := &Sampler{p: p, open: make([]uint64, (n+63)/64)}
	for i := range n {
		s.open[i/64] |= 1 << (i % 64)
	}
	for _, id := range p.Forbid {
		if int64(id) < int64(n) {
			s.open[id/64] &^= 1 << (id % 64)
		}
	}
	return s, nil
}

// Draw returns the draw of that number, under a mask: the ids that may be chosen,
// a bit each, lowest first; what lies behind its end may not, and nil permits
// every id. The mask is not kept.
func (s *Sampler) Draw(number uint64, mask []uint64) Draw {
	d := Draw{Params: &s.p, Permitted: s.open, Constant: true}
	if mask != nil {
		d.Constant = false
		d.Permitted = make([]uint64, min(len(mask), len(s.open)))
		for i := range d.Permitted {
			d.Permitted[i] = mask[i] & s.open[i]
		}
	}
	d.Key, d.Counter = keys(s.p.Seed, number)
	return d
}

// Empty reports whether no id may be chosen.
func (d *Draw) Empty() bool {
	return !slices.ContainsFunc(d.Permitted, func(word uint64) bool { return word != 0 })
}

// Has reports whether an id may be chosen.
func (d *Draw) Has(id uint32) bool {
	return int(id/64) < len(d.Permitted) && d.Permitted[id/64]>>(id%64)&1 == 1
}
