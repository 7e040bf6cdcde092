// Package synth describes gpt-oss checkpoints of random weights, in the shapes
// of the real ones or in any other, for tests and measurements where those are
// too large to have at hand. They say nothing sensible.
//
// Every value is a pure function of the seed, the tensor's name and the
// element's index, so a checkpoint needs no file: [Model.Weights] makes each
// tensor where it is read to, and [Model.Write] writes the same bytes to disk in
// any of the three layouts.
//
// The tokenizer is a toy: all single bytes, a few hundred merges where the
// vocabulary has fewer than 65,537 tokens, and Harmony's control tokens in the
// last 32 ids. It is not the o200k vocabulary.
package synth

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Model is the shape and the seed of a checkpoint. Heads are 64 wide, even
// layers slide, and YaRN is that of the real models.
type Model struct {
	Hidden  int // width of the residual stream
	Width   int // an expert's inner width
	Layers  int
	Experts int // per layer
	TopK    int // experts chosen per token
	Heads   int // query heads
	KVHeads int
	Window  int // keys that a query of a sliding layer sees
	Vocab   int // rows of the embedding
	Seed    uint64
}

// HeadDim is the width of every head.
const HeadDim = 64

// Presets are the shapes that have a name: the real models and those that there
// are goldens for.
var Presets = map[string]Model{
	"20b":     {2880, 2880, 24, 32, 4, 64, 8, 128, 201088, 20},
	"120b":    {2880, 2880, 36, 128, 4, 64, 8, 128, 201088, 120},
	"tiny-a":  {64, 64, 2, 8, 2, 4, 2, 32, 512, 1},
	"tiny-b":  {160, 96, 4, 32, 4, 8, 1, 128, 1024, 2},
	"syn-288": {288, 288, 4, 32, 4, 8, 1, 128, 1024, 3},
}

// Parse reads a preset and what is to differ from it, as a query:
// "20b?layers=2&vocab=4096". The keys are those of [Keys].
func Parse(spec string) (Model, error) {
	name, query, _ := strings.Cut(spec, "?")
	m, ok := Presets[name]
	if !ok {
		return Model{}, fmt.Errorf("synthetic model %q: there is no such shape, want one of %s",
			spec, strings.Join(slices.Sorted(maps.Keys(Presets)), ", "))
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return Model{}, fmt.Errorf("synthetic model %q: %w", spec, err)
	}
	for key, all := range values {
		if len(all) > 1 {
			return Model{}, fmt.Errorf("synthetic model %q: %s is given %d times", spec, key, len(all))
		}
		if err := m.Set(key, all[0]); err != nil {
			return Model{}, fmt.Errorf("synthetic model %q: %w", spec, err)
		}
	}
	if err := m.Check(); err != nil {
		return Model{}, fmt.Errorf("synthetic model %q: %w", spec, err)
	}
	return m, nil
}

// Keys are what [Model.Set] takes.
var Keys = []string{"hidden", "width", "layers", "experts", "topk", "heads", "kv-heads", "window", "vocab", "seed"}

// Set changes one number of the shape.
func (m *Model) Set(key, value string) error {
	if key == "seed" {
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil {
			return fmt.Errorf("seed is %q, want a number", value)
		}
		m.Seed = n
		return nil
	}
	i := slices.Index(Keys, key)
	if i < 0 {
		return fmt.Errorf("%q is unknown, want one of %s", key, strings.Join(Keys, ", "))
	}
	n, err := strconv.Atoi(value)
	if err != nil {
		return fmt.Errorf("%s is %q, want a number", key, value)
	}
	*m.numbers()[i] = n
	return nil
}

// numbers are the fields in the order of Keys, without the seed.
func (m *Model) numbers() []*int {
	return []*int{&m.Hidden, &m.Width, &m.Layers, &m.Experts, &m.TopK, &m.Heads, &m.KVHeads, &m.Window, &m.Vocab}
}

// Check reports what makes the shape impossible.
func (m *Model) Check() error {
	for i, n := range m.numbers() {
		if *n < 1 || *n > 1<<24 {
			return fmt.Errorf("%s is %d", Keys[i], *n)
		}
	}
	switch {
	case m.Hidden%32 != 0 || m.Width%32 != 0:
		return fmt.Errorf("hidden %d and width %d must be multiples of 32", m.Hidden, m.Width)
	case m.Heads%m.KVHeads != 0:
		return fmt.Errorf("%d heads are no multiple of %d KV heads", m.Heads, m.KVHeads)
	case m.TopK > m.Experts:
		return fmt.Errorf("%d experts per token of %d", m.TopK, m.Experts)
	case m.Layers > 1<<10 || m.Experts > 1<<12 || m.Hidden > 1<<18 || m.Width > 1<<18:
		return errors.New("the shape is larger than any checkpoint's")
	}
	return nil
}
