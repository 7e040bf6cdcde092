// Package schedule shares a backend among sequences. Each hands in the tokens
// that it wants to run; one goroutine gathers what is waiting into passes, in
// which every weight is read once for all of them: up to eight decode steps, and
// a piece of somebody's prompt.
//
// A pass begins as soon as nobody is expected who would come along: sequences
// that just got their logits will be back with the next token in a moment, and
// are waited for, shorter than the pass that they would miss. A sequence that is
// alone never waits.
//
// It refuses to reorder a sequence's own tokens, and to let one sequence's error
// or cancellation reach another.
package schedule

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"chorale/inference/internal/graph"
	"chorale/inference/internal/lookup"
	"chorale/inference/internal/sample"
)

const (
	// step is the most tokens of a request that counts as a decode step: one
	// sampled, and some that a constraint forced.
	step = 16

	// beside is the most tokens of prompts in a pass with decode steps, so that
	// a long prompt makes the others' tokens slower, but does not stop them.
	beside = graph.MaxChunk / 4

	// A pass waits for sequences that are expected for at most this part of the
	// time that the last one took, and at least for long enough to sample.
	patience    = 4
	leastWaited = 100 * time.Microsecond
)

// Scheduler is the one user of a backend's passes.
type Scheduler struct {
	backend graph.Backend
	changed chan struct{} // something came or went
	closing chan struct{}
	done    sync.WaitGroup

	mu       sync.Mutex
	queue    []*request
	expected map[*Sequence]bool // those that got logits and have not come back
	last     time.Duration      // of a pass
	made     int                // sequences so far

	costs lookup.Costs // of passes that decode
}

// New starts a scheduler.
func New(b graph.Backend) *Scheduler {
	s := &Scheduler{backend: b, changed: make(chan struct{}, 1), closing: make(chan struct{}), expected: map[*Sequence]bool{}}
	s.done.Go(s.loop)
	return s
}

// Close ends it. No sequence may be running.
func (s *Scheduler) Close() {
	close(s.closing)
	s.done.Wait()
}

// Sequence is a user of the scheduler. Its calls come one at a time.
type Sequence struct {
	scheduler *Scheduler
	state     graph.State
	number    int // in the order of making: recordings are kept by order
	beside    int // tokens of others in its last pass
	seen      map[form]bool
}

// form is what a GPU records a sequence's pass for.
type form struct{ tokens, draws int }

// Worth returns how many tokens of a guess are worth running behind own ones, and
// what that saves; see [lookup.Costs.Length].
func (q *Sequence) Worth(h *lookup.Hits, g *lookup.Guess, own int) (n int, saves float64) {
	return q.scheduler.costs.Length(h, g, own, q.beside)
}

// Pays reports whether work with a guess in it is worth running; see
// [lookup.Costs.Pays].
func (q *Sequence) Pays(w *Work, saves float64) bool {
	return q.scheduler.costs.Pays(saves, !q.seen[form{len(w.IDs) + q.beside, len(w.Draws) + q.beside}])
}

// Add makes a sequence of a state of the scheduler's backend.
func (s *Scheduler) Add(state graph.State) *Sequence {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made++
	return &Sequence{scheduler: s, state: state, number: s.made, seen: map[form]bool{}}
}

// Work is tokens to run, and what to choose behind some of them.
type Work struct {
	graph.Batch
	Draws  []sample.Draw // one for each of the batch's rows
	Tokens []uint32      // receives what is chosen

	// What has been done, also where an error ended it.
	Ran    int // tokens
	Passes int
	Read   graph.Readback
}

// request is work that a sequence waits for.
type request struct {
	*Sequence
	*Work
	ctx    context.Context
	result chan error
}

// left is how many tokens are still to be run.
func (r *request) left() int { return len(r.IDs) - r.Ran }

// part is the request's share in a pass that takes its next n tokens.
func (r *request) part(n int) graph.Part {
	p := graph.Part{State: r.state, Batch: graph.Batch{IDs: r.IDs[r.Ran:][:n], Pos: r.Pos + r.Ran}}
	first, _ := slices.BinarySearch(r.Rows, r.Ran)
	for i := first; i < len(r.Rows) && r.Rows[i] < r.Ran+n; i++ {
		p.Rows = append(p.Rows, r.Rows[i]-r.Ran)
	}
	if n := len(p.Rows); n > 0 {
		p.Draws, p.Tokens = r.Draws[first:][:n], r.Tokens[first:][:n]
	}
	return p
}

// Run does some work, in as many passes as it needs.
func (q *Sequence) Run(ctx context.Context, w *Work) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	s := q.scheduler
	r := &request{Sequence: q, Work: w, ctx: ctx, result: make(chan error, 1)}
	s.mu.Lock()
	s.queue = append(s.queue, r)
	delete(s.expected, q)
	s.mu.Unlock()
	s.notify()
	select {
	case err = <-r.result:
	case <-ctx.Done():
		if err = ctx.Err(); !s.withdraw(r) {
			err = <-r.result // a pass has it
		}
	}
	return err
}

// Rest says that the sequence has nothing to run for now.
func (q *Sequence) Rest() {
	s := q.scheduler
	s.mu.Lock()
	delete(s.expected, q)
	s.mu.Unlock()
	s.notify()
}

func (s *Scheduler) notify() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// withdraw takes a request back, unless a pass has it.
func (s *Scheduler) withdraw(r *request) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.queue, r)
	if i >= 0 {
		s.queue = slices.Delete(s.queue, i, i+1)
	}
	return i >= 0
}

// loop runs passes until the scheduler is closed.
func (s *Scheduler) loop() {
	for {
		select {
		case <-s.closing:
			return
		case <-s.changed:
		}
		for s.gather() {
			if pass := s.take(); len(pass) > 0 {
				s.run(pass)
			}
		}
	}
}

// gather waits for the sequences that are expected, and reports whether anything
// is there to run.
func (s *Scheduler) gather() bool {
	var late <-chan time.Time
	for {
		s.mu.Lock()
		waiting, missing := len(s.queue), len(s.expected)
		limit := max(s.last/patience, leastWaited)
		s.mu.Unlock()
		if waiting == 0 {
			return false
		}
		if missing == 0 || waiting >= graph.MaxParts {
			return true
		}
		if late == nil {
			late = time.After(limit)
		}
		select {
		case <-s.changed:
		case <-late:
			s.mu.Lock()
			clear(s.expected) // they are busy elsewhere; who comes back is served
			s.mu.Unlock()
		}
	}
}

// piece is a request's share in a pass.
type piece struct {
	*request
	n int // of its tokens
}

// take removes what goes into the next pass from the queue: decode steps first,
// then prompts, one place kept for them.
func (s *Scheduler) take() []piece {
	s.mu.Lock()
	defer s.mu.Unlock()
	var pass []piece
	room, draws := s.backend.Chunk(), graph.MaxDraws
	prompts := slices.ContainsFunc(s.queue, func(r *request) bool { return r.left() > step })
	places := graph.MaxParts
	if prompts {
		places--
	}
	s.queue = slices.DeleteFunc(s.queue, func(r *request) bool {
		if r.left() > step || r.left() > room || len(r.Rows) > draws || len(pass) == places {
			return false
		}
		pass, room, draws = append(pass, piece{r, r.left()}), room-r.left(), draws-len(r.Rows)
		return true
	})
	if len(pass) > 0 {
		room = min(room, beside)
	}
	s.queue = slices.DeleteFunc(s.queue, func(r *request) bool {
		n := min(r.left(), room)
		if n == 0 || len(r.Rows) > draws || len(pass) == graph.MaxParts {
			return false
		}
		pass, room, draws = append(pass, piece{r, n}), room-n, draws-len(r.Rows)
		return true
	})
	slices.SortFunc(pass, func(a, b piece) int { return a.number - b.number })
	return pass
}

// run runs a pass and tells the sequences. One that failed is run again part by
// part, so that each gets its own error.
func (s *Scheduler) run(pass []piece) {
	begin := time.Now()
	ctx, cancel := joint(pass)
	err := s.forward(ctx, pass)
	cancel()
	s.mu.Lock()
	s.last = time.Since(begin)
	s.mu.Unlock()
	s.measure(pass, err)
	for _, p := range pass {
		if err != nil && len(pass) > 1 {
			s.finish(p, s.forward(p.ctx, []piece{p}))
		} else {
			s.finish(p, err)
		}
	}
}

// measure notes what a pass cost, if it decoded and nothing else.
func (s *Scheduler) measure(pass []piece, err error) {
	var f form
	for _, p := range pass {
		f = form{f.tokens + p.n, f.draws + len(p.Draws)}
	}
	decoded, first := err == nil, false
	for _, p := range pass {
		first = first || !p.seen[f]
		p.seen[f] = true
		p.beside = f.tokens - p.n
		decoded = decoded && p.n == len(p.IDs) && p.n <= step
	}
	if decoded {
		s.costs.Observe(f.tokens, s.last.Seconds(), first)
	}
}

func (s *Scheduler) forward(ctx context.Context, pass []piece) error {
	parts := make([]graph.Part, len(pass))
	for i, p := range pass {
		parts[i] = p.part(p.n)
	}
	err := s.backend.Forward(ctx, parts)
	for i, p := range pass {
		p.Read.Bytes += parts[i].Read.Bytes
		p.Read.Whole += parts[i].Read.Whole
	}
	return err
}

// finish answers a request, or puts what is left of it back.
func (s *Scheduler) finish(p piece, err error) {
	r := p.request
	if err == nil {
		r.Ran += p.n
		r.Passes++
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil && r.left() > 0 && r.ctx.Err() == nil:
		s.queue = append(s.queue, r)
		return
	case err == nil && r.left() > 0:
		err = r.ctx.Err()
	case err == nil:
		s.expected[r.Sequence] = true
	}
	r.result <- err
}

// joint returns a context that ends when those of all parts have ended.
func joint(pass []piece) (context.Context, context.CancelFunc) {
	if len(pass) == 1 {
		return context.WithCancel(pass[0].ctx)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var left atomic.Int64
	left.Store(int64(len(pass)))
	stops := make([]func() bool, len(pass))
	for i, p := range pass {
		stops[i] = context.AfterFunc(p.ctx, func() {
			if left.Add(-1) == 0 {
				cancel()
			}
		})
	}
	return ctx, func() {
		for _, stop := range stops {
			stop()
		}
		cancel()
	}
}
