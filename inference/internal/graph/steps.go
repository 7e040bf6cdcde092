package graph

import (
	"math"

	"chorale/inference/internal/weights"
)

// Step is one operation of a pass, by name, with what it takes to carry it out.
// Activations are not counted: they are a thousandth of the weights.
type Step struct {
	Section string // embedding, attention, experts or head
	Name    string

	Reads    int64 // bytes of weights, and of keys and values
	Products int64 // multiplications
}

// Load is the size of a pass that [Steps] are asked about: one sequence brings
// tokens that follow others.
type Load struct {
	Tokens int
	Pos    int // of the first token
	Rows   int // tokens whose logits are wanted
	KV     KVType
}

// Steps returns what a pass does, operation by operation, by going through
// [Forward] without computing anything. A batch reads every expert once that at
// least one of its tokens is expected to choose, when all are as likely.
func Steps(c *Config, w *Weights, l Load) []Step {
	s := &counter{c: c, Load: l}
	Forward(Watch(s, c, func(section, name string) func() {
		s.steps = append(s.steps, Step{Section: section, Name: name})
		return func() {}
	}), c, w)
	return s.steps
}

// counter is Ops that add up.
type counter struct {
	c *Config
	Load
	steps []Step // the last one is under way
}

func (s *counter) add(reads, products int64) {
	step := &s.steps[len(s.steps)-1]
	step.Reads, step.Products = step.Reads+reads, step.Products+products
}

func bytesOf(all ...*weights.Tensor) (n int64) {
	for _, t := range all {
		if t != nil {
			n += int64(t.Bytes())
		}
	}
	return n
}

// Embed reads a row for each token.
func (s *counter) Embed(table *weights.Tensor) {
	s.add(bytesOf(table)/int64(s.c.Vocab)*int64(s.Tokens), 0)
}

func (s *counter) RMSNorm(_, _ Reg, gain *weights.Tensor) { s.add(bytesOf(gain), 0) }

func (s *counter) Linear(dst, src Reg, a *Affine) {
	n := s.Tokens
	if dst == Logits {
		n = s.Rows
	}
	if n > 0 {
		s.add(bytesOf(a.W, a.B), int64(n)*int64(s.c.RegWidth(src))*int64(s.c.RegWidth(dst)))
	}
}

func (s *counter) AddLinear(dst, src Reg, a *Affine) { s.Linear(dst, src, a) }
func (s *counter) Rotate(Reg)                        {}
func (s *counter) Append(int)                        {}
func (s *counter) Route()                            {}
func (s *counter) Pick()                             {}

// Attend reads what the pass's queries see, once.
func (s *counter) Attend(layer int, sinks *weights.Tensor) {
	end, first, pairs := s.Pos+s.Tokens, 0, 0
	if w := s.c.Window[layer]; w > 0 {
		first = max(0, s.Pos-w+1)
	}
	for t := range s.Tokens {
		seen := s.Pos + t + 1
		if w := s.c.Window[layer]; w > 0 {
			seen = min(seen, w)
		}
		pairs += seen
	}
	s.add(bytesOf(sinks)+int64(end-first)*int64(2*s.c.KVWidth()*s.KV.Bytes()), 2*int64(pairs)*int64(s.c.QWidth()))
}

func (s *counter) Experts(up, down *Affine) {
	all := float64(s.c.Experts)
	used := all
	if n := s.Tokens; n == 1 {
		used = float64(s.c.TopK)
	} else {
		used *= 1 - math.Pow(1-float64(s.c.TopK)/all, float64(n))
	}
	whole := bytesOf(up.W, up.B, down.W, down.B)
	s.add(int64(float64(whole)*used/all), int64(s.Tokens*s.c.TopK)*3*int64(s.c.Width)*int64(s.c.Hidden))
}

// Watch returns Ops that call begin with the name of each operation before o
// carries it out, and what begin returned after. The names are those of Steps.
func Watch(o Ops, c *Config, begin func(section, name string) (end func())) Ops {
	return &watched{o: o, c: c, begin: begin}
}

type watched struct {
	o       Ops
	c       *Config
	begin   func(section, name string) func()
	section string
}

// in moves on to a section and begins an operation.
func (w *watched) in(section, name string) func() {
	w.section = section
	return w.begin(section, name)
}

func (w *watched) Embed(table *weights.Tensor) {
	defer w.in("embedding", "embed")()
	w.o.Embed(table)
}

// RMSNorm begins a layer's attention, or its experts, or belongs to the head.
func (w *watched) RMSNorm(dst, src Reg, gain *weights.Tensor) {
	section := w.section
	switch {
	case dst != Norm:
	case section == "attention":
		section = "experts"
	default:
		section = "attention"
	}
	defer w.in(section, "norm")()
	w.o.RMSNorm(dst, src, gain)
}

var linearNames = map[Reg]string{Q: "query", K: "key", V: "value", X: "output", Router: "router", Logits: "unembedding"}

func (w *watched) Linear(dst, src Reg, a *Affine) {
	defer w.begin(w.section, linearNames[dst])()
	w.o.Linear(dst, src, a)
}

func (w *watched) AddLinear(dst, src Reg, a *Affine) {
	defer w.begin(w.section, linearNames[dst])()
	w.o.AddLinear(dst, src, a)
}

func (w *watched) Rotate(r Reg) {
	defer w.begin(w.section, "rotate")()
	w.o.Rotate(r)
}

func (w *watched) Append(layer int) {
	defer w.begin(w.section, "append")()
	w.o.Append(layer)
}

func (w *watched) Attend(layer int, sinks *weights.Tensor) {
	name := "attend"
	if w.c.Window[layer] > 0 {
		name = "attend, sliding"
	}
	defer w.begin(w.section, name)()
	w.o.Attend(layer, sinks)
}

func (w *watched) Route() {
	defer w.begin(w.section, "route")()
	w.o.Route()
}

func (w *watched) Experts(up, down *Affine) {
	defer w.begin(w.section, "experts")()
	w.o.Experts(up, down)
}

func (w *watched) Pick() {
	defer w.in("head", "pick")()
	w.o.Pick()
}
