package speed

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"chorale/inference"
)

// Profile is where the time of one kind of work goes, in the order of the model.
type Profile struct {
	Work   string  `json:"work"` // prefill or decode
	Tokens int     `json:"tokens"`
	Places []Place `json:"places"`
}

// Place is an operation's kernel, in all layers together.
type Place struct {
	Section   string  `json:"section"`
	Operation string  `json:"operation"`
	Kernel    string  `json:"kernel"`
	Seconds   float64 `json:"seconds"`  // in all
	Runs      int     `json:"runs"`     // of the kernel, or of the operation on the CPU
	Reads     int64   `json:"reads"`    // bytes of the operation in all, all its kernels together
	Products  int64   `json:"products"` // multiplications of the operation in all, too
}

// observer adds up what a watched model tells.
type observer struct {
	places []Place
	index  map[[3]string]int
}

func (o *observer) watch(section, operation, kernel string, took time.Duration) {
	key := [3]string{section, operation, kernel}
	i, ok := o.index[key]
	if !ok {
		i = len(o.places)
		o.index[key] = i
		o.places = append(o.places, Place{Section: section, Operation: operation, Kernel: kernel})
	}
	o.places[i].Seconds += took.Seconds()
	o.places[i].Runs++
}

func (o *observer) reset() { o.places, o.index = nil, map[[3]string]int{} }

// profile opens the model again, watched, and runs the longest prompt and some
// tokens. Passes that make kernels for the first time are not counted.
func (r *run) profile(ctx context.Context, ref string) error {
	o := &observer{}
	o.reset()
	model := r.o.Model
	model.Watch = o.watch
	return r.with(ctx, ref, model, func(ctx context.Context) error {
		for _, n := range r.o.Prefill[max(0, len(r.o.Prefill)-1):] {
			r.o.Progress(fmt.Sprintf("profile of a prefill of %d tokens", n))
			if err := r.observed(ctx, o, "prefill", 0, n); err != nil {
				return err
			}
		}
		if r.o.Decode == 0 {
			return nil
		}
		depth := 0
		if n := len(r.o.Depth); n > 0 {
			depth = r.o.Depth[n-1]
		}
		r.o.Progress(fmt.Sprintf("profile of decoding at %d", depth))
		return r.observed(ctx, o, "decode", depth, r.o.Decode)
	})
}

// observed profiles n tokens at a depth: at once, or one by one.
func (r *run) observed(ctx context.Context, o *observer, work string, depth, n int) (err error) {
	s, err := r.deep(ctx, depth)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	p := Profile{Work: work, Tokens: n}
	var steps []inference.Step
	if work == "prefill" {
		if err := first(ctx, s, r.prompt(n)); err != nil { // makes the kernels
			return err
		}
		o.reset()
		if err := first(ctx, s, r.prompt(n)); err != nil {
			return err
		}
		if steps, err = r.m.Steps(n, 0, 1); err != nil {
			return err
		}
	} else {
		tokens := 0
		for _, err := range s.Generate(ctx, append(s.Tokens()[:depth:depth], r.prompt(1)...), nil, nil) {
			if err != nil {
				return err
			}
			if tokens == 1 { // one has been decoded
				o.reset()
			}
			if tokens++; tokens == n+2 {
				break
			}
		}
		if steps, err = r.m.Steps(1, depth, 1); err != nil {
			return err
		}
	}
	p.Places = slices.Clone(o.places) // the observer goes on
	for i := range p.Places {
		place := &p.Places[i]
		for _, s := range steps {
			if s.Section == place.Section && s.Name == place.Operation {
				place.Reads, place.Products = place.Reads+s.Reads, place.Products+s.Products
			}
		}
		if work == "decode" {
			place.Reads, place.Products = place.Reads*int64(n), place.Products*int64(n)
		}
	}
	r.result.Profile = append(r.result.Profile, p)
	return nil
}
