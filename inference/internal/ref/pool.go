package ref

import (
	"sync"
	"sync/atomic"
	"time"

	"chorale/inference/internal/kernel"
	"chorale/inference/internal/weights"
)

// pool spreads loops over a fixed set of goroutines, one loop at a time. A thread
// that has nothing to do asks for a while whether there is another loop, as within a
// pass there soon is, and to be woken takes longer than most of them. Then it sleeps.
type pool struct {
	threads int
	workers sync.WaitGroup
	posted  atomic.Pointer[job] // the latest loop
	asleep  atomic.Int32        // threads that nobody has woken yet
	wake    chan struct{}       // each takes one of these
}

// patience is how long a thread asks before it sleeps.
const patience = 100 * time.Microsecond

// job is one loop over [0, n), taken in pieces of grain by whoever is free.
type job struct {
	body     func(s *scratch, lo, hi int) // nil ends the threads
	n, grain int64
	next     atomic.Int64  // start of the next piece
	left     atomic.Int64  // pieces not yet done
	done     chan struct{} // closed when none is left

	mu     sync.Mutex
	failed error // why a piece could not be done
}

// newPool starts threads-1 goroutines; the caller of run is the last thread.
func newPool(threads int) *pool {
	p := &pool{threads: threads, wake: make(chan struct{}, threads)}
	for range threads - 1 {
		p.workers.Go(func() {
			s := new(scratch)
			for j := p.after(nil); j.body != nil; j = p.after(j) {
				j.work(s)
			}
		})
	}
	return p
}

func (p *pool) close() {
	p.post(new(job), p.threads)
	p.workers.Wait()
}

// post has at least so many threads, if there are as many, see a job.
func (p *pool) post(j *job, threads int) {
	p.posted.Store(j)
	for range threads {
		if !p.take() {
			return
		}
		p.wake <- struct{}{}
	}
}

// take takes one off those that sleep, if there are any.
func (p *pool) take() bool {
	for {
		n := p.asleep.Load()
		if n == 0 {
			return false
		}
		if p.asleep.CompareAndSwap(n, n-1) {
			return true
		}
	}
}

// after waits for the next job after one, or after none.
func (p *pool) after(last *job) *job {
	for {
		if soon(func() bool { return p.posted.Load() != last }) {
			return p.posted.Load()
		}
		p.asleep.Add(1)
		if p.posted.Load() == last || !p.take() { // who posts now may not have seen this thread, or has woken it
			<-p.wake
		}
	}
}

// soon reports whether something comes true while a thread is patient.
func soon(is func() bool) bool {
	start := time.Now()
	for i := 1; !is(); i++ {
		kernel.Pause()
		if i%32 == 0 && time.Since(start) > patience {
			return false
		}
	}
	return true
}

// run calls body for pieces that together cover [0, n), each but the last a
// multiple of grain long, and returns when all are done. The caller works too,
// with its own scratch. Body reads weights: where their file has become unreadable,
// run returns that, when no worker is at it any more.
func (p *pool) run(s *scratch, n, grain int, body func(s *scratch, lo, hi int)) error {
	pieces := (n + grain - 1) / grain
	if p.threads == 1 || pieces <= 1 {
		return weights.Guard(func() error { body(s, 0, n); return nil })
	}
	j := &job{body: body, n: int64(n), grain: int64(grain), done: make(chan struct{})}
	j.left.Store(int64(pieces))
	p.post(j, min(pieces, p.threads)-1)
	j.work(s)
	if !soon(func() bool { return j.left.Load() == 0 }) {
		<-j.done
	}
	return j.failed
}

// work does pieces until none is to be had.
func (j *job) work(s *scratch) {
	for {
		lo := j.next.Add(j.grain) - j.grain
		if lo >= j.n {
			return
		}
		err := weights.Guard(func() error { j.body(s, int(lo), int(min(lo+j.grain, j.n))); return nil })
		if err != nil {
			j.mu.Lock()
			j.failed = err
			j.mu.Unlock()
		}
		if j.left.Add(-1) == 0 {
			close(j.done)
		}
	}
}
