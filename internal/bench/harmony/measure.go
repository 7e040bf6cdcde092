package main

import (
	"fmt"
	"os"
	"slices"
)

// work is one thing that is measured. What has an alike is compared with it: the
// result must be the same number.
type work struct {
	name, title string
	unit        string   // what is counted: of the text bytes, else tokens
	libraries   []string // that can do it
}

var encoders = []string{ours, reference, binding, "tiktoken-rs", "tiktoken", "bpe-openai", "quicktok", "tiktoken-go/tokenizer", "pkoukk/tiktoken-go"}

var codecs = []string{ours, lenient, reference, binding}

var works = []work{
	{"load", "Load the encoding", "", encoders},
	{"encode", "Encode 1 MiB of prose and code", "byte", encoders},
	{"spaces", "Encode 100,000 spaces", "byte", encoders},
	{"letters", "Encode 100,000 letters a", "byte", encoders},
	{"decode", "Decode 1 MiB", "token", encoders},
	{"render", "Render 100 messages", "token", []string{ours, reference, binding}},
	{"parse", "Parse 100 messages", "token", codecs},
	{"stream", "Stream one message, each delta read", "token", codecs},
	{"stream-headers", "Stream headers", "token", codecs},
	{"content", "Stream one message, the whole content read after each token", "token", codecs},
}

// results holds what was measured.
type results struct {
	rounds  int
	seconds map[string]map[string][]float64 // work, library, round → CPU seconds of one run
	wrong   map[string]uint64               // library → vectors that it encodes otherwise
	differs map[string]map[string]bool      // work, library → whether its result is not ours
}

// median is the CPU time of one run in seconds, or 0 if it was not measured.
func (r *results) median(work, library string) float64 {
	return median(r.seconds[work][library])
}

// ratio is how many times as long the library takes as ours, the median over the
// rounds of what was measured one after the other.
func (r *results) ratio(work, library, than string) float64 {
	var ratios []float64
	for i, s := range r.seconds[work][library] {
		ratios = append(ratios, s/r.seconds[work][than][i])
	}
	return median(ratios)
}

func median(x []float64) float64 {
	if len(x) == 0 {
		return 0
	}
	x = slices.Sorted(slices.Values(x))
	return (x[(len(x)-1)/2] + x[len(x)/2]) / 2
}

// measure goes through all works in every round, the libraries by turns. Each
// round has fresh processes and another order.
func measure(programs []*program, in *inputs, rounds int, seconds float64) (*results, error) {
	r := &results{
		rounds:  rounds,
		seconds: map[string]map[string][]float64{},
		wrong:   map[string]uint64{},
		differs: map[string]map[string]bool{},
	}
	for _, w := range works {
		r.seconds[w.name], r.differs[w.name] = map[string][]float64{}, map[string]bool{}
	}
	for round := range rounds {
		fmt.Fprintf(os.Stderr, "round %d of %d\n", round+1, rounds)
		if err := r.round(programs, in, round, seconds); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (r *results) round(programs []*program, in *inputs, round int, seconds float64) (err error) {
	for _, p := range programs {
		if err := p.start(in.folder); err != nil {
			return err
		}
		defer func() {
			if stopErr := p.stop(); err == nil {
				err = stopErr
			}
		}()
	}
	for _, w := range works {
		var mine uint64
		for i := range w.libraries {
			library := w.libraries[i]
			if i > 0 { // ours first: the others are compared with it
				library = w.libraries[1+(i-1+round)%(len(w.libraries)-1)]
			}
			p := serving(programs, library)
			if p == nil {
				continue
			}
			spent, result, err := p.ask(library, w.name, seconds)
			if err != nil {
				return err
			}
			r.seconds[w.name][library] = append(r.seconds[w.name][library], spent)
			if i == 0 {
				mine = result
			}
			r.differs[w.name][library] = result != mine
		}
	}
	if round > 0 {
		return nil
	}
	for _, library := range encoders {
		if p := serving(programs, library); p != nil {
			if _, r.wrong[library], err = p.ask(library, "vectors", 0); err != nil {
				return err
			}
		}
	}
	return nil
}

func serving(programs []*program, library string) *program {
	for _, p := range programs {
		if slices.Contains(p.libraries, library) {
			return p
		}
	}
	return nil
}
