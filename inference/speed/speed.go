// Package speed says how fast a model runs: prefill and decode, alone and
// several at once, after a short and after a long conversation, with the bytes
// that it reads, the memory that it takes and what it asks of a device.
//
// It goes the way that a run goes, through sessions and their sampler. Prompts
// are noise, and what is decoded is sampled: repeated tokens would choose the
// same experts again and find them in a cache. Long conversations are made by
// [inference.Session.Stretch], which repeats keys and values.
//
// It states what it measured with its spread, and judges nothing.
package speed

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"

	"chorale/inference"
	"chorale/inference/internal/gpu"
)

// Options say what is measured. A list that is empty measures nothing of it.
type Options struct {
	Model    inference.Options // Context, Sessions and Plain are set as needed
	Prefill  []int             // tokens of prompts
	Decode   int               // tokens decoded in each measurement
	Depth    []int             // tokens before them
	Sessions []int             // sessions that decode at the same time, at the first depth
	Turn     int               // tokens of a tool's result, after the last prefill; 0: none
	Reps     int               // of each; 0 is 3
	Profile  bool              // also where the time goes

	// Progress, unless nil, is told what is measured next.
	Progress func(what string)
}

// Spread is what repeated measurements gave.
type Spread struct {
	Min    float64 `json:"min"`
	Median float64 `json:"median"`
	Max    float64 `json:"max"`
}

// SpreadOf sums up measurements, at least one.
func SpreadOf(values []float64) Spread {
	s := slices.Sorted(slices.Values(values))
	n := len(s)
	return Spread{s[0], (s[(n-1)/2] + s[n/2]) / 2, s[n-1]}
}

// Result is what was measured.
type Result struct {
	Model     string  `json:"model"`
	Backend   string  `json:"backend"`
	Device    string  `json:"device"`
	Threads   int     `json:"threads"`   // of the CPU
	KV        string  `json:"kv"`        // type of the caches
	Weights   int64   `json:"weights"`   // bytes, as stored
	Bandwidth float64 `json:"bandwidth"` // bytes a second, see inference.Bandwidth
	TimedCPU  bool    `json:"timed_cpu"` // figures per CPU second mean something: the CPU computes

	Start   Start     `json:"start"`
	Prefill []Prefill `json:"prefill"`
	Decode  []Decode  `json:"decode"`
	Turn    *Turn     `json:"turn,omitempty"`
	Memory  Memory    `json:"memory"`
	Profile []Profile `json:"profile,omitempty"`
}

// Start is how long it took until the first token, in seconds.
type Start struct {
	Process float64 `json:"process"` // until the model was opened; 0: not known
	Open    float64 `json:"open"`    // of it: mapping, upload
	Upload  float64 `json:"upload"`  // of that: weights on their way to a device
	First   float64 `json:"first"`   // the first pass, one token, with kernels made as it needs them
	Second  float64 `json:"second"`  // the same again
}

// Prefill is the time to the first token of a fresh prompt.
type Prefill struct {
	Tokens     int     `json:"tokens"`
	Seconds    Spread  `json:"seconds"`    // to the first token
	Rate       Spread  `json:"tok_s"`      // tokens a second
	PerCPU     Spread  `json:"tok_cpu_s"`  // tokens per CPU second
	Reads      int64   `json:"reads"`      // bytes in all, weights once a pass
	Products   int64   `json:"products"`   // multiplications in all
	Dispatches float64 `json:"dispatches"` // in all
	Submits    float64 `json:"submits"`    // in all
}

// Decode is the time from token to token.
type Decode struct {
	Depth      int     `json:"depth"`      // tokens before
	Sessions   int     `json:"sessions"`   // at the same time
	Rate       Spread  `json:"tok_s"`      // of all sessions together
	PerCPU     Spread  `json:"tok_cpu_s"`  // tokens per CPU second
	Reads      int64   `json:"reads"`      // bytes a pass
	Speed      float64 `json:"bytes_s"`    // bytes read a second; in CPU time of all threads where TimedCPU
	Share      float64 `json:"share"`      // of the bandwidth
	Dispatches float64 `json:"dispatches"` // a token
	Submits    float64 `json:"submits"`    // a token
	Read       float64 `json:"readback"`   // bytes that the host took back, a token

	// Beside one session at the first depth, by turns: how many times its tokens a second
	// several sessions give, and how many seconds a token of a longer conversation takes
	// more, in CPU time of all threads where TimedCPU, of which Explained is what the
	// bytes that it reads more take at the speed of the others. Zero where it does not
	// apply.
	Together  Spread  `json:"together"`
	Lost      Spread  `json:"lost"`
	Explained float64 `json:"explained"`
}

// Turn is what comes after a tool's result: a prompt that continues what the
// session has.
type Turn struct {
	Before    int    `json:"before"`    // tokens of the conversation so far
	New       int    `json:"new"`       // of the result
	Reused    int    `json:"reused"`    // found in the cache
	Prefilled int    `json:"prefilled"` // computed
	Seconds   Spread `json:"seconds"`   // from the result to the next token
}

// Memory is the most that was taken, in bytes.
type Memory struct {
	Resident int64 `json:"resident"` // of this process, mapped files included; 0: not known
	Device   int64 `json:"device"`   // of buffers on a device
	Planned  int64 `json:"planned"`  // on device and host
}

// run is one measurement under way.
type run struct {
	o      Options
	m      *inference.Model
	noise  *rand.Rand
	result *Result
}

// Run opens a model and measures it.
func Run(ctx context.Context, ref string, o Options) (*Result, error) {
	if o.Reps == 0 {
		o.Reps = 3
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	o.Model.Context = o.context()
	o.Model.Plain = true // there is nothing to guess in noise
	o.Model.Sessions = o.sessions()
	r := &run{o: o, noise: rand.New(rand.NewPCG(1, 2)), result: &Result{Threads: cmp.Or(o.Model.Threads, runtime.GOMAXPROCS(0))}}
	err := r.with(ctx, ref, o.Model, r.all)
	if err == nil && o.Profile {
		err = r.profile(ctx, ref)
	}
	if err != nil {
		return nil, err
	}
	return r.result, nil
}

// sessions is how many are open at the same time: one at the first depth, and those that
// take turns with it.
func (o *Options) sessions() int {
	most := min(max(1, len(o.Depth)), 2)
	for _, n := range o.Sessions {
		if n > 1 {
			most = max(most, 1+n)
		}
	}
	return most
}

// context is how many positions a session needs.
func (o *Options) context() int {
	longest := 64
	for _, n := range o.Prefill {
		longest = max(longest, n)
	}
	for _, n := range o.Depth {
		longest = max(longest, n)
	}
	return longest + o.Turn*(o.Reps+1) + 2*(o.Decode+2) + 64
}

// with opens the model for as long as f runs.
func (r *run) with(ctx context.Context, ref string, o inference.Options, f func(context.Context) error) error {
	var began, ended time.Time
	outer := o.Progress
	o.Progress = func(done, total int64) {
		if began.IsZero() {
			began = time.Now()
		}
		ended = time.Now()
		if outer != nil {
			outer(done, total)
		}
	}
	o.Plain = true // what is measured is a token's cost
	start := time.Now()
	m, err := inference.Open(ctx, ref, o)
	if err != nil {
		return err
	}
	defer m.Close()
	r.m = m
	if r.result.Start.Open == 0 {
		r.result.Start = Start{Process: sinceStart().Seconds(), Open: time.Since(start).Seconds(), Upload: ended.Sub(began).Seconds()}
	}
	return f(ctx)
}

// all measures everything but the profile.
func (r *run) all(ctx context.Context) error {
	if err := r.start(ctx); err != nil {
		return err
	}
	info, res := r.m.Info(), r.result
	res.Model, res.Backend, res.Device, res.Weights = info.Name, info.Backend, info.Device, info.Bytes
	res.KV = info.Memory.KV
	res.TimedCPU = info.Backend != "vulkan" || software(info.Device)
	res.Memory.Planned = info.Memory.Total()
	r.o.Progress("bandwidth")
	var err error
	if res.Bandwidth, err = inference.Bandwidth(ctx, r.o.Model.Device, r.o.Model.Threads); err != nil {
		return err
	}
	for _, n := range r.o.Prefill {
		if err := r.prefill(ctx, n); err != nil {
			return err
		}
	}
	if err := r.decodes(ctx); err != nil {
		return err
	}
	if err := r.turn(ctx); err != nil {
		return err
	}
	res.Memory.Resident, res.Memory.Device = resident(), gpu.Peak()
	return nil
}

// software reports whether a device computes on the CPU, by its description.
func software(device string) bool {
	all, _ := inference.Devices()
	return slices.ContainsFunc(all, func(d inference.DeviceInfo) bool {
		return d.Software && device == fmt.Sprintf("%s (%s, %s)", d.Name, d.Kind, d.Driver)
	})
}

// prompt is noise.
func (r *run) prompt(n int) []uint32 {
	ids := make([]uint32, n)
	for i := range ids {
		ids[i] = uint32(r.noise.IntN(r.m.Info().Vocab))
	}
	return ids
}

// session makes one that samples what the model says.
func (r *run) session() (*inference.Session, error) {
	return r.m.NewSession(inference.Sampling{Temperature: 1, Seed: r.noise.Uint64()})
}
