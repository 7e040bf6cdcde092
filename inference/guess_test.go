package inference

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"chorale/inference/internal/drivers"
	"chorale/inference/internal/golden"
	"chorale/inference/internal/gpu"
)

// Fork lets a lane be followed along a guess.
func (l *lane) Fork() Constraint {
	c := *l
	return &c
}

// repeating is a prompt that says the same things several times.
func repeating(n, seed int) (ids []uint32) {
	r := rand.New(rand.NewPCG(uint64(seed), 9))
	var said [][]uint32
	for range 4 {
		said = append(said, prompt(5+r.IntN(20), r.IntN(1000)))
	}
	for len(ids) < n {
		ids = append(ids, said[r.IntN(len(said))]...)
	}
	return ids[:n]
}

// TestGuesses: with guesses, tried wherever there is one, sessions say what they
// say without, to the last token: greedily and sampled with every filter, freely
// and under constraints that force, alone and together; and what is in the cache
// afterwards is what was said. On both backends.
func TestGuesses(t *testing.T) {
	cpu, vulkan := 24, 4
	if golden.Race { // all of them: make heavy
		cpu, vulkan = 8, 2
	}
	t.Run("cpu", func(t *testing.T) { guesses(t, "cpu", cpu) })
	t.Run("vulkan", func(t *testing.T) {
		drivers.Lavapipe.Use(t)
		guesses(t, "software", vulkan)
	})
}

func guesses(t *testing.T, device string, trials int) {
	plain, guessing := openTiny(t, Options{Device: device, Plain: true}), openTiny(t, Options{Device: device})
	guessing.eager = true
	r := rand.New(rand.NewPCG(5, 6))
	var all sync.WaitGroup
	var mu sync.Mutex
	var total Stats
	for trial := range trials {
		p := golden.Samplings[trial%len(golden.Samplings)]
		p.Forbid = []uint32{3}
		first, second := repeating(60+trial, trial), repeating(40, trial+100)
		var ways [][][]uint32
		for range 2 {
			if trial%2 == 1 {
				ways = append(ways, placesAlong(r, repeating(50, trial)))
			} else {
				ways = append(ways, nil)
			}
		}
		run := func(m *Model) ([]uint32, Stats) {
			s := newSession(t, m, p)
			said := speech(t, s, first, ways[0], trial%4 == 1)
			next := append(append(slices.Clone(first), said...), second...)
			return append(said, speech(t, s, next, ways[1], trial%4 == 1)...), s.Stats()
		}
		want, was := run(plain)
		together := func() {
			got, is := run(guessing)
			if !slices.Equal(got, want) {
				t.Errorf("trial %d, %+v: with guesses %v, without %v", trial, p, got, want)
			}
			if is.Decoded != was.Decoded || is.Forced != was.Forced || is.Prefilled != was.Prefilled || is.Reused != was.Reused || is.Passes > was.Passes {
				t.Errorf("trial %d: %+v, without guesses %+v", trial, is, was)
			}
			mu.Lock()
			defer mu.Unlock()
			total.Guessed, total.Hit, total.Passes, total.Decoded = total.Guessed+is.Guessed, total.Hit+is.Hit, total.Passes+is.Passes, total.Decoded+is.Decoded
		}
		if trial%3 == 0 {
			together()
		} else {
			all.Go(together)
		}
		if trial%8 == 7 {
			all.Wait()
		}
	}
	all.Wait()
	t.Logf("%d tokens in %d passes, %d guessed, %d right", total.Decoded, total.Passes, total.Guessed, total.Hit)
	if total.Hit == 0 || total.Hit == total.Guessed {
		t.Error("no guess was right, or none was wrong")
	}
}

// speech generates along a lane, or freely where there is none.
func speech(t *testing.T, s *Session, prompt []uint32, way [][]uint32, force bool) (ids []uint32) {
	var c Constraint
	n := 40
	if way != nil {
		c, n = &lane{places: way, force: force}, len(way)
	}
	for id, err := range s.Generate(context.Background(), prompt, []uint32{7}, c) {
		if err != nil {
			t.Error(err)
			return ids
		}
		if ids = append(ids, id); len(ids) == n {
			break
		}
	}
	return ids
}

// placesAlong lets a text come at each place, now and then alone, and others.
func placesAlong(r *rand.Rand, text []uint32) [][]uint32 {
	out := make([][]uint32, len(text))
	for i, id := range text {
		out[i] = []uint32{id}
		if r.IntN(3) == 0 {
			out[i] = append(out[i], uint32(r.IntN(480)), uint32(r.IntN(480)))
			slices.Sort(out[i])
			out[i] = slices.Compact(out[i])
		}
	}
	return out
}

// TestGuessesBlind: under a constraint that cannot be followed along a guess none is
// tried.
func TestGuessesBlind(t *testing.T) {
	m := openTiny(t, Options{})
	m.eager = true
	s := newSession(t, m, Sampling{})
	for _, err := range s.Generate(context.Background(), repeating(80, 1), nil, unfollowed{&lane{places: placesAlong(rand.New(rand.NewPCG(1, 1)), repeating(30, 1))}}) {
		if err != nil {
			break // at the end of the lane
		}
	}
	if st := s.Stats(); st.Guessed > 0 {
		t.Error(fmt.Sprintf("%d tokens were guessed", st.Guessed))
	}
}

// TestGuessesRounded: kernels that round activations run without guesses.
func TestGuessesRounded(t *testing.T) {
	for kernels, want := range map[string]bool{"": true, gpu.Dot: false} {
		m := openTiny(t, Options{Kernels: kernels})
		m.eager = true
		s := newSession(t, m, Sampling{})
		speech(t, s, repeating(80, 1), placesAlong(rand.New(rand.NewPCG(1, 1)), repeating(50, 1)), false)
		if st := s.Stats(); st.Guessed > 0 != want {
			t.Errorf("kernels %q: %d tokens were guessed", kernels, st.Guessed)
		}
	}
}

// unfollowed hides that a constraint can be forked.
type unfollowed struct{ Constraint }

// TestRemembered: what was said elsewhere saves passes and changes nothing, even
// where it is not of this model.
func TestRemembered(t *testing.T) {
	ask := prompt(60, 3)
	run := func(remembered ...[]uint32) ([]uint32, Stats) {
		m := openTiny(t, Options{})
		m.eager = true
		for _, ids := range remembered {
			m.Remember(ids)
		}
		s := newSession(t, m, Sampling{})
		said := speech(t, s, ask, nil, false)
		return said, s.Stats()
	}
	want, alone := run()
	whole := append(slices.Clone(ask), want...)
	got, again := run(whole)
	if !slices.Equal(got, want) || again.Passes >= alone.Passes || again.Hit <= alone.Hit {
		t.Errorf("remembering: %v in %+v; without: %v in %+v", got, again, want, alone)
	}
	for i := range whole[len(ask)+3:] {
		whole[len(ask)+3+i] = 1 << 31
	}
	if got, _ := run(whole); !slices.Equal(got, want) {
		t.Errorf("remembering what is not of the vocabulary: %v, want %v", got, want)
	}
}
