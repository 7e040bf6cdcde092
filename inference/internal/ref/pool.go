package ref

import (
	"sync"
	"sync/atomic"

	"chorale/inference/internal/weights"
)

// pool spreads loops over a fixed set of goroutines. Several states may use it
// at once.
type pool struct {
	jobs    chan *job
	workers sync.WaitGroup
	threads int
}

// job is one loop over [0, n), taken in pieces of grain by whoever is free.
type job struct {
	body     func(s *scratch, lo, hi int)
	n, grain int64
	next     atomic.Int64  // start of the next piece
	left     atomic.Int64  // pieces not yet done
	done     chan struct{} // closed when none is left

	mu     sync.Mutex
	failed error // why a piece could not be done
}

// newPool starts threads-1 goroutines; the caller of run is the last thread.
func newPool(threads int) *pool {
	p := &pool{jobs: make(chan *job, threads), threads: threads}
	for range threads - 1 {
		p.workers.Go(func() {
			s := new(scratch)
			for j := range p.jobs {
				j.work(s)
			}
		})
	}
	return p
}

func (p *pool) close() {
	close(p.jobs)
	p.workers.Wait()
}

// run calls body for pieces that together cover [0, n), each but the last a
// multiple of grain long, and returns when all are done. The caller works too,
// with its own scratch; a worker that is busy for another state is not waited
// for. Body reads weights: where their file has become unreadable, run returns
// that, when no worker is at it any more.
func (p *pool) run(s *scratch, n, grain int, body func(s *scratch, lo, hi int)) error {
	pieces := (n + grain - 1) / grain
	if p.threads == 1 || pieces <= 1 {
		return weights.Guard(func() error { body(s, 0, n); return nil })
	}
	j := &job{body: body, n: int64(n), grain: int64(grain), done: make(chan struct{})}
	j.left.Store(int64(pieces))
	for range min(pieces, p.threads) - 1 {
		select {
		case p.jobs <- j:
		default: // all workers have enough to do
		}
	}
	j.work(s)
	<-j.done
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
