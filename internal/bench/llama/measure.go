package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"chorale/inference"
	"chorale/inference/speed"
	"chorale/inference/synth"
)

// took is the time of a turn, in seconds.
type took struct{ wall, cpu float64 }

// outcome is what a case gave.
type outcome struct {
	device    string
	software  bool // the CPU computes
	prefill   []pair
	decode    []pair
	bandwidth float64 // of the device, bytes a second
	reads     int64   // bytes of a decode step of ours
}

// pair is a turn of each.
type pair struct{ ours, theirs took }

// engine is our side of a case.
type engine struct {
	model   *inference.Model
	session *inference.Session
	noise   *rand.Rand
}

// measure runs a case: both load the same file, and then take turns.
func (c *kase) measure(ctx context.Context, cache string, command []string) (*outcome, error) {
	file := filepath.Join(cache, c.file())
	if err := c.write(ctx, file); err != nil {
		return nil, err
	}
	threads, size := runtime.GOMAXPROCS(0), c.prefill+(c.pairs+2)*(c.decode+1)+64
	fmt.Fprintf(os.Stderr, "%s: loading\n", c.name)
	m, err := inference.Open(ctx, file, inference.Options{Device: c.device, Context: size, Threads: threads, Plain: true,
		Notice: func(text string) { fmt.Fprintln(os.Stderr, text) }})
	if err != nil {
		return nil, err
	}
	defer m.Close()
	s, err := m.NewSession(inference.Sampling{Temperature: 1, Seed: 1})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	index, software, err := c.vulkan(m)
	if err != nil {
		return nil, err
	}
	p, err := start(ctx, command, file, threads, size, index)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	o := &outcome{device: m.Info().Device, software: index < 0 || software}
	if err := c.turns(ctx, o, &engine{m, s, rand.New(rand.NewPCG(1, 1))}, p); err != nil {
		return nil, err
	}
	steps, err := m.Steps(1, c.prefill, 1)
	if err != nil {
		return nil, err
	}
	for _, step := range steps {
		o.reads += step.Reads
	}
	o.bandwidth, err = inference.Bandwidth(ctx, c.device, threads)
	return o, err
}

// turns fills in the pairs. The first turn of each is not counted: it makes what
// later ones find.
func (c *kase) turns(ctx context.Context, o *outcome, e *engine, p *peer) error {
	for n := range c.pairs + 1 {
		var prefill, decode pair
		err := ctx.Err()
		do := func(t *took, f func() (took, error)) {
			if err == nil {
				*t, err = f()
			}
		}
		do(&prefill.ours, func() (took, error) { return e.generate(ctx, e.prompt(c.prefill), 0) })
		do(&prefill.theirs, func() (took, error) { return p.ask("prefill", c.prefill) })
		do(&decode.ours, func() (took, error) { return e.generate(ctx, slices.Concat(e.session.Tokens(), e.prompt(1)), c.decode) })
		do(&decode.theirs, func() (took, error) { return p.ask("decode", c.decode) })
		if err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "%s: %d of %d: prefill %.2f s (CPU %.2f) and %.2f (%.2f), decode %.3f s a token (%.3f) and %.3f (%.3f)\n", c.name, n, c.pairs,
			prefill.ours.wall, prefill.ours.cpu, prefill.theirs.wall, prefill.theirs.cpu,
			decode.ours.wall/float64(c.decode), decode.ours.cpu/float64(c.decode), decode.theirs.wall/float64(c.decode), decode.theirs.cpu/float64(c.decode))
		if n > 0 {
			o.prefill, o.decode = append(o.prefill, prefill), append(o.decode, decode)
		}
	}
	return nil
}

// prompt is noise.
func (e *engine) prompt(n int) []uint32 {
	ids := make([]uint32, n)
	for i := range ids {
		ids[i] = uint32(e.noise.IntN(e.model.Info().Vocab))
	}
	return ids
}

// generate times a prompt up to its first token, or the n tokens after it.
func (e *engine) generate(ctx context.Context, prompt []uint32, n int) (took, error) {
	wall, cpu, tokens := time.Now(), speed.CPUTime(), 0
	for _, err := range e.session.Generate(ctx, prompt, nil, nil) {
		if err != nil {
			return took{}, err
		}
		if tokens == 0 && n > 0 {
			wall, cpu = time.Now(), speed.CPUTime()
		}
		if tokens == n {
			return took{time.Since(wall).Seconds(), (speed.CPUTime() - cpu).Seconds()}, nil
		}
		tokens++
	}
	return took{}, errors.New("the model stopped early")
}

// write writes the checkpoint, unless it is there.
func (c *kase) write(ctx context.Context, file string) error {
	if _, err := os.Stat(file); err == nil {
		return nil
	}
	m, err := c.model()
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "writing", file)
	return m.Write(ctx, file, synth.Output{Format: synth.GGUF})
}

// vulkan returns the index of the device that the model is on, negative for the
// CPU, and whether it is a software driver.
func (c *kase) vulkan(m *inference.Model) (index int, software bool, err error) {
	if c.device == "cpu" {
		return -1, false, nil
	}
	devices, err := inference.Devices()
	for _, d := range devices {
		if number, ok := strings.CutPrefix(d.ID, "vulkan:"); ok && strings.HasPrefix(m.Info().Device, d.Name) {
			index, err = strconv.Atoi(number)
			return index, d.Software, err
		}
	}
	return 0, false, fmt.Errorf("the device %s is gone: %w", m.Info().Device, err)
}
