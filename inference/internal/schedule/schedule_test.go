package schedule

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"chorale/inference/internal/graph"
)

// second is how long a pass of the scripted backend takes, by the test's clock.
const second = time.Second

// scripted is a backend that computes nothing and remembers its passes.
type scripted struct {
	graph.Backend
	mu     sync.Mutex
	passes [][]int // tokens of each part
	fail   graph.State
}

// sequence is a state of it.
type sequence struct {
	graph.State
	end int // tokens so far
}

var errScripted = errors.New("scripted")

func (b *scripted) Chunk() int { return 100 }

func (b *scripted) Forward(ctx context.Context, parts []graph.Part) error {
	var sizes []int
	for _, p := range parts {
		sizes = append(sizes, len(p.IDs))
	}
	b.mu.Lock()
	b.passes = append(b.passes, sizes)
	b.mu.Unlock()
	select {
	case <-time.After(second):
	case <-ctx.Done():
		return ctx.Err()
	}
	for _, p := range parts {
		if p.State == b.fail {
			return errScripted
		}
		if s := p.State.(*sequence); s.end != p.Pos {
			return errors.New("tokens out of order")
		}
	}
	for _, p := range parts {
		p.State.(*sequence).end += len(p.IDs)
	}
	return nil
}

// play runs a test with a scheduler and a clock that stands while anybody works.
func play(t *testing.T, test func(t *testing.T, b *scripted, s *Scheduler)) {
	synctest.Test(t, func(t *testing.T) {
		b := &scripted{}
		s := New(b)
		defer s.Close()
		test(t, b, s)
	})
}

// work is n tokens from a position on.
func work(n, pos int) *Work { return &Work{Batch: graph.Batch{IDs: make([]uint32, n), Pos: pos}} }

// say runs a prompt and then single tokens.
func say(t *testing.T, q *Sequence, prompt, tokens int) {
	t.Helper()
	pos := 0
	for i := range tokens + 1 {
		n := 1
		if i == 0 {
			n = prompt
		}
		if err := q.Run(t.Context(), work(n, pos)); err != nil {
			t.Error(err)
			return
		}
		pos += n
	}
	q.Rest()
}

func TestLoneSequenceNeverWaits(t *testing.T) {
	play(t, func(t *testing.T, b *scripted, s *Scheduler) {
		begin := time.Now()
		say(t, s.Add(&sequence{}), 250, 5)
		if want := [][]int{{100}, {100}, {50}, {1}, {1}, {1}, {1}, {1}}; !slices.EqualFunc(b.passes, want, slices.Equal) {
			t.Errorf("passes %v, want %v", b.passes, want)
		}
		if took := time.Since(begin); took != 8*second {
			t.Errorf("8 passes took %v", took)
		}
	})
}

func TestStepsShareOnePass(t *testing.T) {
	play(t, func(t *testing.T, b *scripted, s *Scheduler) {
		var all sync.WaitGroup
		for i := range 10 {
			q := s.Add(&sequence{})
			all.Go(func() { say(t, q, 3, 20+i) })
		}
		all.Wait()
		most, steps := 0, 0
		for _, p := range b.passes {
			most = max(most, len(p))
			steps += len(p)
		}
		if most != graph.MaxParts {
			t.Errorf("a pass had %d parts, want at most %d", most, graph.MaxParts)
		}
		// Ten sequences of 21 to 30 steps take 255 steps in all.
		if steps != 255 || len(b.passes) > 255/graph.MaxParts+15 {
			t.Errorf("%d steps in %d passes", steps, len(b.passes))
		}
	})
}

// TestPromptBesideSteps has a long prompt come while another sequence decodes:
// neither stops the other.
func TestPromptBesideSteps(t *testing.T) {
	play(t, func(t *testing.T, b *scripted, s *Scheduler) {
		var all sync.WaitGroup
		quick, long := s.Add(&sequence{}), s.Add(&sequence{})
		all.Go(func() { say(t, quick, 2, 12) })
		all.Go(func() { say(t, long, 950, 0) })
		all.Wait()
		both := 0
		for _, p := range b.passes {
			if len(p) == 2 {
				both++
			}
		}
		if both < 9 || len(b.passes) > 15 {
			t.Errorf("passes %v", b.passes)
		}
	})
}

// TestAbsent has a sequence stay away without saying so: others wait for it once,
// for less than a pass.
func TestAbsent(t *testing.T) {
	play(t, func(t *testing.T, b *scripted, s *Scheduler) {
		here, away := s.Add(&sequence{}), s.Add(&sequence{})
		if err := away.Run(t.Context(), work(1, 0)); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		say(t, here, 1, 9)
		if took := time.Since(begin); took != 10*second+second/patience {
			t.Errorf("10 passes took %v", took)
		}
	})
}

func TestErrorsStayApart(t *testing.T) {
	play(t, func(t *testing.T, b *scripted, s *Scheduler) {
		bad := &sequence{}
		b.fail = bad
		var all sync.WaitGroup
		for range 3 {
			q := s.Add(&sequence{})
			all.Go(func() { say(t, q, 2, 5) })
		}
		q := s.Add(bad)
		for range 3 {
			w := work(2, 0)
			if err := q.Run(t.Context(), w); w.Ran != 0 || !errors.Is(err, errScripted) {
				t.Errorf("ran %d tokens: %v", w.Ran, err)
			}
		}
		q.Rest()
		all.Wait()
	})
}

// TestCancel cancels a sequence in a pass of its own, in a pass with others, in
// its second pass, and where it waits for one; others go on.
func TestCancel(t *testing.T) {
	for _, company := range []int{0, 1, 9} {
		for _, after := range []time.Duration{0, second / 2, 3 * second / 2} {
			play(t, func(t *testing.T, b *scripted, s *Scheduler) {
				var all sync.WaitGroup
				for range company {
					q := s.Add(&sequence{})
					all.Go(func() { say(t, q, 5, 4) })
				}
				synctest.Wait()
				ctx, cancel := context.WithTimeout(t.Context(), after)
				defer cancel()
				begin := time.Now()
				state := &sequence{}
				w := work(1000, 0)
				err := s.Add(state).Run(ctx, w)
				if !errors.Is(err, context.DeadlineExceeded) || w.Ran != state.end {
					t.Errorf("beside %d, after %v: ran %d tokens in %d passes, the state has %d: %v", company, after, w.Ran, w.Passes, state.end, err)
				}
				if late := time.Since(begin) - after; late > second || company == 0 && late > 0 {
					t.Errorf("beside %d, after %v: came back %v late", company, after, late)
				}
				all.Wait()
			})
		}
	}
}
