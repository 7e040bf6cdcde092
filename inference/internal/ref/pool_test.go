package ref

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestPool runs loops of all sizes, some so late that threads sleep: every number is
// treated once, before run returns, and closing ends all threads, asleep or not.
func TestPool(t *testing.T) {
	for _, threads := range []int{1, 2, 3, 8} {
		p := newPool(threads)
		var s scratch
		r := rand.New(rand.NewPCG(1, uint64(threads)))
		for range 3000 {
			if r.IntN(100) == 0 {
				time.Sleep(2 * patience)
			}
			n, grain := r.IntN(40), 1+r.IntN(5)
			times := make([]atomic.Int32, n)
			if err := p.run(&s, n, grain, func(_ *scratch, lo, hi int) {
				for i := lo; i < hi; i++ {
					times[i].Add(1)
				}
			}); err != nil {
				t.Fatal(err)
			}
			for i := range times {
				if got := times[i].Load(); got != 1 {
					t.Fatalf("%d threads: number %d of %d, in pieces of %d, was treated %d times", threads, i, n, grain, got)
				}
			}
		}
		if threads%2 == 0 {
			time.Sleep(5 * patience)
		}
		p.close()
	}
}

// TestPoolWakes has as many threads as there are wait for each other in a loop, which
// comes about when they go to sleep: all are woken that are wanted.
func TestPoolWakes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	later := func() { time.Sleep(patience + time.Duration(r.IntN(60)-30)*time.Microsecond) }
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 100 {
			threads := 2 + r.IntN(6)
			p := newPool(threads)
			var s scratch
			for range 10 {
				later()
				n := 2 + r.IntN(threads-1)
				var all sync.WaitGroup
				all.Add(n)
				if err := p.run(&s, n, 1, func(*scratch, int, int) { all.Done(); all.Wait() }); err != nil {
					t.Error(err)
				}
			}
			later()
			p.close()
		}
	}()
	select {
	case <-done:
	case <-time.After(2 * time.Minute):
		t.Fatal("threads sleep on")
	}
}
