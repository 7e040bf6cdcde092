package speed

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"chorale/inference"
	"chorale/inference/internal/gpu"
)

// stamp is a moment, by the clock and by what the process and its devices have
// done.
type stamp struct {
	wall time.Time
	cpu  time.Duration
	work gpu.Work
}

func now() stamp { return stamp{time.Now(), CPUTime(), gpu.Done()} }

// since returns the time and the work since an earlier moment.
func (s stamp) since(t stamp) (wall, cpu float64, work gpu.Work) {
	return s.wall.Sub(t.wall).Seconds(), (s.cpu - t.cpu).Seconds(), gpu.Work{
		Submits: s.work.Submits - t.work.Submits, Dispatches: s.work.Dispatches - t.work.Dispatches, Read: s.work.Read - t.work.Read}
}

// perCPU is a rate per CPU second; 0 where CPU time is not known.
func perCPU(tokens int, cpu float64) float64 {
	if cpu <= 0 {
		return 0
	}
	return float64(tokens) / cpu
}

// first runs a prompt up to its first token.
func first(ctx context.Context, s *inference.Session, prompt []uint32) error {
	for _, err := range s.Generate(ctx, prompt, nil, nil) {
		return err
	}
	return errors.New("the model said nothing")
}

// start measures the first pass and the second one.
func (r *run) start(ctx context.Context) error {
	r.o.Progress("the first token")
	s, err := r.session()
	if err != nil {
		return err
	}
	defer s.Close()
	for _, took := range []*float64{&r.result.Start.First, &r.result.Start.Second} {
		begin := time.Now()
		if err := first(ctx, s, r.prompt(1)); err != nil {
			return err
		}
		*took = time.Since(begin).Seconds()
	}
	return nil
}

// prefill measures prompts of n tokens, after one that is not counted.
func (r *run) prefill(ctx context.Context, n int) error {
	s, err := r.session()
	if err != nil {
		return err
	}
	defer s.Close()
	p := Prefill{Tokens: n}
	if p.Reads, p.Products, err = r.prefillCost(n); err != nil {
		return err
	}
	var seconds, rate, cpuRate []float64
	for rep := range r.o.Reps + 1 {
		r.o.Progress(fmt.Sprintf("prefill of %d tokens, %d of %d", n, rep, r.o.Reps))
		begin := now()
		if err := first(ctx, s, r.prompt(n)); err != nil {
			return err
		}
		wall, cpu, work := now().since(begin)
		if rep == 0 {
			continue
		}
		seconds, rate, cpuRate = append(seconds, wall), append(rate, float64(n)/wall), append(cpuRate, perCPU(n, cpu))
		p.Dispatches, p.Submits = float64(work.Dispatches), float64(work.Submits)
	}
	p.Seconds, p.Rate, p.PerCPU = SpreadOf(seconds), SpreadOf(rate), SpreadOf(cpuRate)
	r.result.Prefill = append(r.result.Prefill, p)
	return nil
}

// chunk is how the cost of a long prompt is reckoned: the weights once for each
// pass of so many tokens.
const chunk = 512

func (r *run) prefillCost(n int) (reads, products int64, err error) {
	for pos := 0; pos < n; pos += chunk {
		tokens, rows := min(chunk, n-pos), 0
		if pos+tokens == n {
			rows = 1
		}
		steps, err := r.m.Steps(tokens, pos, rows)
		if err != nil {
			return 0, 0, err
		}
		for _, s := range steps {
			reads, products = reads+s.Reads, products+s.Products
		}
	}
	return reads, products, nil
}

// decodeReads is what a pass reads in which each of n sessions has a token.
func (r *run) decodeReads(depth, n int) (reads int64, err error) {
	together, err := r.m.Steps(n, 0, n)
	if err != nil {
		return 0, err
	}
	alone, err := r.m.Steps(1, depth, 1)
	if err != nil {
		return 0, err
	}
	for i, s := range together {
		if s.Name == "attend" || s.Name == "attend, sliding" {
			reads += int64(n) * alone[i].Reads
		} else {
			reads += s.Reads
		}
	}
	return reads, nil
}

// shortest is how many tokens a session has at least before it is stretched.
const shortest = 64

// deep makes a session that has so many tokens.
func (r *run) deep(ctx context.Context, depth int) (*inference.Session, error) {
	s, err := r.session()
	if err != nil {
		return nil, err
	}
	if depth > 0 {
		if err = first(ctx, s, r.prompt(min(depth, shortest))); err == nil && depth > shortest {
			err = s.Stretch(depth)
		}
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// decoding is a measurement of n sessions at a depth, as long as they are open.
type decoding struct {
	Decode
	sessions []*inference.Session
	rate     []float64
	cpuRate  []float64
}

func (d *decoding) close() {
	for _, s := range d.sessions {
		s.Close()
	}
}

// decodes measures one session at every depth, then several at the first. Each takes
// turns with one session at the first depth.
func (r *run) decodes(ctx context.Context) error {
	if r.o.Decode == 0 {
		return nil
	}
	depths := r.o.Depth
	if len(depths) == 0 {
		depths = []int{0}
	}
	first, err := r.open(ctx, depths[0], 1)
	if err != nil {
		return err
	}
	defer first.close()
	var all []*decoding
	measure := func(depth, n int) error {
		d, err := r.open(ctx, depth, n)
		if err != nil {
			return err
		}
		defer d.close()
		all = append(all, d)
		return r.beside(ctx, first, d)
	}
	for _, depth := range depths[1:] {
		if err := measure(depth, 1); err != nil {
			return err
		}
	}
	for _, n := range r.o.Sessions {
		if n > 1 {
			if err := measure(depths[0], n); err != nil {
				return err
			}
		}
	}
	for rep := 0; len(all) == 0 && rep < r.o.Reps; rep++ {
		if err := r.repeat(ctx, first, rep); err != nil {
			return err
		}
	}
	for _, d := range append([]*decoding{first}, all...) {
		r.result.Decode = append(r.result.Decode, r.summary(d))
	}
	return nil
}

// open makes n sessions at a depth.
func (r *run) open(ctx context.Context, depth, n int) (*decoding, error) {
	d := &decoding{Decode: Decode{Depth: depth, Sessions: n}}
	r.o.Progress(d.what())
	var err error
	for range n {
		var s *inference.Session
		if s, err = r.deep(ctx, depth); err != nil {
			break
		}
		d.sessions = append(d.sessions, s)
	}
	if err == nil {
		d.Reads, err = r.decodeReads(depth, n)
	}
	if err != nil {
		d.close()
		return nil, err
	}
	return d, nil
}

func (d *decoding) what() string {
	what := fmt.Sprintf("decode at %d", d.Depth)
	if d.Sessions > 1 {
		what += fmt.Sprintf(" in %d sessions", d.Sessions)
	}
	return what
}

// repeat measures once more.
func (r *run) repeat(ctx context.Context, d *decoding, rep int) error {
	r.o.Progress(fmt.Sprintf("%s, %d of %d", d.what(), rep+1, r.o.Reps))
	from, to, err := r.together(ctx, d.sessions, d.Depth)
	if err != nil {
		return err
	}
	wall, cpu, work := to.since(from)
	tokens := d.Sessions * r.o.Decode
	d.rate, d.cpuRate = append(d.rate, float64(tokens)/wall), append(d.cpuRate, perCPU(tokens, cpu))
	d.Dispatches, d.Submits, d.Read = float64(work.Dispatches)/float64(tokens), float64(work.Submits)/float64(tokens), float64(work.Read)/float64(tokens)
	return nil
}

// beside measures another by turns with the first, and compares them.
func (r *run) beside(ctx context.Context, first, d *decoding) error {
	for rep := range r.o.Reps {
		for _, x := range []*decoding{first, d} {
			if err := r.repeat(ctx, x, rep); err != nil {
				return err
			}
		}
	}
	took := r.took(d)
	base := r.took(first)[len(first.rate)-len(took):] // by turns with these
	var together, lost []float64
	for i, t := range took {
		together, lost = append(together, float64(d.Sessions)*base[i]/t), append(lost, t-base[i])
	}
	if more := d.Reads - first.Reads; d.Sessions > 1 {
		d.Together = SpreadOf(together)
	} else if more > 0 {
		d.Lost, d.Explained = SpreadOf(lost), SpreadOf(base).Median*float64(more)/float64(first.Reads)
	}
	return nil
}

// took returns how many seconds a pass took, each time: where the CPU computes, as if the
// machine did nothing else.
func (r *run) took(d *decoding) []float64 {
	all := make([]float64, len(d.rate))
	for i, rate := range d.rate {
		if r.result.TimedCPU && d.cpuRate[i] > 0 {
			rate = d.cpuRate[i] * float64(r.result.Threads)
		}
		all[i] = float64(d.Sessions) / rate
	}
	return all
}

// summary sums up what was measured.
func (r *run) summary(d *decoding) Decode {
	d.Rate, d.PerCPU = SpreadOf(d.rate), SpreadOf(d.cpuRate)
	d.Speed = float64(d.Reads) / SpreadOf(r.took(d)).Median
	if r.result.Bandwidth > 0 {
		d.Share = d.Speed / r.result.Bandwidth
	}
	return d.Decode
}

// together has sessions decode at the same time, and returns when the first token
// of each was there, and when all had the others. Each goes on at depth.
func (r *run) together(ctx context.Context, all []*inference.Session, depth int) (from, to stamp, err error) {
	var ready, finished sync.WaitGroup
	begin := make(chan struct{})
	errs := make([]error, len(all))
	ready.Add(len(all))
	for i, s := range all {
		prompt := append(s.Tokens()[:min(depth, len(s.Tokens())):depth], r.prompt(1)...)
		finished.Go(func() {
			started, tokens := sync.OnceFunc(ready.Done), 0
			defer started() // also where nothing came
			for _, err := range s.Generate(ctx, prompt, nil, nil) {
				started()
				<-begin
				if errs[i] = err; err != nil || tokens == r.o.Decode {
					return
				}
				tokens++
			}
		})
	}
	ready.Wait()
	from = now()
	close(begin)
	finished.Wait()
	return from, now(), errors.Join(errs...)
}

// turn measures what follows a tool's result.
func (r *run) turn(ctx context.Context) error {
	if r.o.Turn == 0 {
		return nil
	}
	before := shortest
	if n := len(r.o.Prefill); n > 0 {
		before = r.o.Prefill[n-1]
	}
	s, err := r.session()
	if err != nil {
		return err
	}
	defer s.Close()
	conversation := r.prompt(before)
	if err := first(ctx, s, conversation); err != nil {
		return err
	}
	t := &Turn{Before: before, New: r.o.Turn}
	var seconds []float64
	for rep := range r.o.Reps {
		r.o.Progress(fmt.Sprintf("a tool's result of %d tokens, %d of %d", r.o.Turn, rep+1, r.o.Reps))
		conversation = append(conversation, r.prompt(r.o.Turn)...)
		stats, begin := s.Stats(), time.Now()
		if err := first(ctx, s, conversation); err != nil {
			return err
		}
		seconds = append(seconds, time.Since(begin).Seconds())
		t.Reused, t.Prefilled = s.Stats().Reused-stats.Reused, s.Stats().Prefilled-stats.Prefilled
	}
	t.Seconds = SpreadOf(seconds)
	r.result.Turn = t
	return nil
}
