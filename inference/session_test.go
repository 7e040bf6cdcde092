package inference

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"chorale/inference/internal/drivers"
	"chorale/inference/internal/golden"
)

// openTiny opens the smallest checkpoint on the CPU for the time of the test.
func openTiny(t testing.TB, o Options) *Model { return openModel(t, tinyA+"hf", o) }

// openModel opens a checkpoint, on the CPU unless the options say otherwise.
func openModel(t testing.TB, ref string, o Options) *Model {
	t.Helper()
	if o.Device == "" {
		o.Device = "cpu"
	}
	m, err := Open(context.Background(), ref, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return m
}

func newSession(t testing.TB, m *Model, p Sampling) *Session {
	t.Helper()
	s, err := m.NewSession(p)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// prompt returns n ordinary ids of the smallest vocabulary.
func prompt(n, seed int) []uint32 {
	ids := make([]uint32, n)
	for i := range ids {
		ids[i] = uint32((i*7919 + seed*104729 + 13) % 480)
	}
	return ids
}

// take reads n tokens and leaves the loop; an error fails the test.
func take(t testing.TB, s *Session, prompt, stop []uint32, n int) (ids []uint32) {
	t.Helper()
	for id, err := range s.Generate(context.Background(), prompt, stop, nil) {
		if err != nil {
			t.Fatal(err)
		}
		if ids = append(ids, id); len(ids) == n {
			break
		}
	}
	return ids
}

func TestPrefixReuse(t *testing.T) {
	m := openTiny(t, Options{})
	s := newSession(t, m, Sampling{})
	first := prompt(200, 1)
	out := take(t, s, first, nil, 10)
	if got := s.Stats(); got.Prefilled != 200 || got.Reused != 0 || got.Decoded != 10 {
		t.Errorf("first turn: %+v", got)
	}

	// The next turn's prompt holds the first, what was sampled, and 30 more
	// tokens. The tenth sampled token was never run.
	next := append(append(slices.Clone(first), out...), prompt(30, 2)...)
	before := s.Stats()
	got := take(t, s, next, nil, 5)
	if st := s.Stats(); st.Reused-before.Reused != 209 || st.Prefilled-before.Prefilled != 31 {
		t.Errorf("second turn reused %d and prefilled %d, want 209 and 31", st.Reused-before.Reused, st.Prefilled-before.Prefilled)
	}
	if want := take(t, newSession(t, m, Sampling{}), next, nil, 5); !slices.Equal(got, want) {
		t.Errorf("with reuse %v, without %v", got, want)
	}

	// A prompt that parts from the cache in the middle, and one that the cache
	// holds whole.
	branch := append(slices.Clone(first[:50]), prompt(20, 3)...)
	for range 2 {
		before = s.Stats()
		got = take(t, s, branch, nil, 3)
	}
	if st := s.Stats(); st.Reused-before.Reused != 69 || st.Prefilled-before.Prefilled != 1 {
		t.Errorf("the same prompt again reused %d and prefilled %d, want 69 and 1", st.Reused-before.Reused, st.Prefilled-before.Prefilled)
	}
	if want := take(t, newSession(t, m, Sampling{}), branch, nil, 3); !slices.Equal(got, want) {
		t.Errorf("after going back %v, afresh %v", got, want)
	}
}

// TestHeavyTurnsAgain has a conversation of long turns, further than the sliding
// layers remember, and then goes back: to another last turn, to the same turn
// said again, to what followed an earlier prompt, and to the beginning. Only what
// is new may be computed, and the answer must be that of a fresh session.
func TestHeavyTurnsAgain(t *testing.T) {
	if golden.Race {
		t.Skip("much arithmetic, and nothing shared")
	}
	t.Run("cpu", func(t *testing.T) { turnsAgain(t, Options{Device: "cpu"}) })
	t.Run("vulkan", func(t *testing.T) {
		drivers.Lavapipe.Use(t)
		turnsAgain(t, Options{Device: "software"})
	})
}

func turnsAgain(t *testing.T, o Options) {
	m := openTiny(t, o)
	s := newSession(t, m, Sampling{})
	var before, prompts [][]uint32 // the conversation before each turn, and with its prompt
	var all []uint32
	for turn := range 3 {
		before = append(before, slices.Clone(all))
		all = append(all, prompt(700, turn)...)
		prompts = append(prompts, slices.Clone(all))
		all = append(all, take(t, s, all, nil, 8)...)
	}
	for _, v := range []struct {
		what   string
		prompt []uint32
		most   int // tokens to compute
	}{
		{"another last turn", append(slices.Clone(before[2]), prompt(650, 7)...), 651},
		{"the same once more", append(slices.Clone(before[2]), prompt(650, 7)...), 1},
		{"other text after the first prompt", append(slices.Clone(prompts[0]), prompt(60, 8)...), 61},
		{"from the beginning", prompt(600, 9), 600},
	} {
		last := s.Stats()
		got := take(t, s, v.prompt, nil, 4)
		st := s.Stats()
		if n := st.Prefilled - last.Prefilled; n > v.most || n+st.Reused-last.Reused != len(v.prompt) {
			t.Errorf("%s: %d tokens computed, want at most %d", v.what, n, v.most)
		}
		fresh := newSession(t, m, Sampling{})
		if want := take(t, fresh, v.prompt, nil, 4); !slices.Equal(got, want) {
			t.Errorf("%s: %v, a fresh session says %v", v.what, got, want)
		}
		if err := fresh.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestStop(t *testing.T) {
	m := openTiny(t, Options{})
	s := newSession(t, m, Sampling{})
	p := prompt(40, 1)
	ids := take(t, s, p, nil, 6)
	stop := ids[3]
	want := ids[:slices.Index(ids, stop)+1]
	if got := take(t, s, p, []uint32{stop}, 100); !slices.Equal(got, want) {
		t.Errorf("stopping at %d gave %v, want %v", stop, got, want)
	}
}

// TestCancel cancels at each of the first tokens, and before the first, on both
// backends; what the session says afterwards is what it says without.
func TestCancel(t *testing.T) {
	t.Run("cpu", func(t *testing.T) { cancelAnywhere(t, "cpu") })
	t.Run("vulkan", func(t *testing.T) {
		drivers.Lavapipe.Use(t)
		cancelAnywhere(t, "software")
	})
}

func cancelAnywhere(t *testing.T, device string) {
	m := openTiny(t, Options{Device: device})
	s := newSession(t, m, Sampling{})
	p := prompt(300, 1)
	want := take(t, newSession(t, m, Sampling{}), p, nil, 5)
	for at := range 5 {
		ctx, cancel := context.WithCancel(context.Background())
		if at == 0 {
			cancel()
		}
		n, last := 0, error(nil)
		for _, err := range s.Generate(ctx, p, nil, nil) {
			if n++; n == at {
				cancel()
			}
			last = err
		}
		if n != at+1 || !errors.Is(last, context.Canceled) {
			t.Errorf("cancelled at token %d: %d values, then %v", at, n, last)
		}
		cancel()

		// Also where it comes between the batches of another prompt.
		for _, err := range s.Generate(ctx, prompt(500, 2), nil, nil) {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("cancelled before: %v", err)
			}
		}
	}
	if got := take(t, s, p, nil, 5); !slices.Equal(got, want) {
		t.Errorf("after cancelling %v, want %v", got, want)
	}
}

func TestContextOverflow(t *testing.T) {
	m := openTiny(t, Options{Context: 64})
	s := newSession(t, m, Sampling{})
	var over *ContextError
	for _, err := range s.Generate(context.Background(), prompt(70, 1), nil, nil) {
		if !errors.As(err, &over) || over.Need != 70 || over.Context != 64 {
			t.Errorf("70 tokens in a context of 64: %v", err)
		}
	}
	n, last := 0, error(nil)
	for _, err := range s.Generate(context.Background(), prompt(60, 1), nil, nil) {
		n, last = n+1, err
	}
	if n != 6 || !errors.As(last, &over) || over.Need != 65 {
		t.Errorf("60 tokens and on: %d values, then %v", n, last)
	}
}

func TestMisuse(t *testing.T) {
	m := openTiny(t, Options{})
	s := newSession(t, m, Sampling{})
	one := func(p []uint32) (err error) {
		for _, err = range s.Generate(context.Background(), p, nil, nil) {
			break
		}
		return err
	}
	if one(nil) == nil {
		t.Error("an empty prompt was accepted")
	}
	if one([]uint32{1, 1 << 30}) == nil {
		t.Error("an id outside the vocabulary was accepted")
	}
	for range s.Generate(context.Background(), prompt(5, 1), nil, nil) {
		if one(prompt(5, 2)) == nil {
			t.Error("two Generates ran at once on one session")
		}
		if s.Close() == nil {
			t.Error("a session was closed while it generated")
		}
		if m.Close() == nil {
			t.Error("a model was closed while a session generated")
		}
		break
	}
	if err := one(prompt(5, 2)); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Errorf("closing twice: %v", err)
	}
	if one(prompt(5, 1)) == nil {
		t.Error("a closed session generated")
	}
	if _, err := m.NewSession(Sampling{Temperature: math.NaN()}); err == nil {
		t.Error("a temperature that is no number was accepted")
	}
	left := newSession(t, m, Sampling{})
	if err := errors.Join(m.Close(), m.Close(), left.Close()); err != nil {
		t.Errorf("closing the model twice, then its session: %v", err)
	}
	if _, err := m.NewSession(Sampling{}); err == nil {
		t.Error("a closed model made a session")
	}
}

// TestSessionsTogether runs eight sessions on one model at the same time, with
// prompts and answers of different lengths, some sampling. Each must give what it
// gives alone, whatever the others do: end, are closed, are cancelled, or fail.
func TestSessionsTogether(t *testing.T) {
	t.Run("cpu", func(t *testing.T) { sessionsTogether(t, Options{Device: "cpu", Threads: 2}) })
	t.Run("vulkan", func(t *testing.T) {
		drivers.Lavapipe.Use(t)
		sessionsTogether(t, Options{Device: "software"})
	})
}

func sessionsTogether(t *testing.T, o Options) {
	m := openTiny(t, o)
	const n = 8
	var want [n][]uint32
	params := func(i int) Sampling { return Sampling{Temperature: float64(i % 3 / 2), Seed: uint64(i)} }
	for i := range want {
		s := newSession(t, m, params(i))
		want[i] = take(t, s, prompt(5+40*i, i), nil, 8+3*i)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	var all sync.WaitGroup
	for i := range want {
		s := newSession(t, m, params(i))
		all.Go(func() {
			if got := take(t, s, prompt(5+40*i, i), nil, len(want[i])); !slices.Equal(got, want[i]) {
				t.Errorf("session %d among others: %v, alone %v", i, got, want[i])
			}
			if err := s.Close(); err != nil {
				t.Errorf("close session %d: %v", i, err)
			}
		})
	}
	all.Go(func() { disturb(t, m) })
	all.Wait()
}

// disturb makes sessions that are cancelled at a token or in their prompt, that
// fail, and that keep the others waiting.
func disturb(t *testing.T, m *Model) {
	for i := range 6 {
		s := newSession(t, m, Sampling{})
		ctx, cancel := context.WithCancel(t.Context())
		p := prompt(300, 20+i)
		if i%3 == 1 {
			p[250] = 1 << 30 // no such token
		}
		if i%3 == 2 {
			time.AfterFunc(time.Millisecond, cancel)
		}
		n, last := 0, error(nil)
		for _, err := range s.Generate(ctx, p, nil, nil) {
			if n, last = n+1, err; i%3 == 0 && n == 3 {
				time.Sleep(2 * time.Millisecond)
				cancel()
			}
		}
		cancel()
		if last == nil || (i%3 != 1) != errors.Is(last, context.Canceled) {
			t.Errorf("disturbance %d ended with %v", i, last)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestForbid(t *testing.T) {
	m := openTiny(t, Options{})
	p := prompt(20, 1)
	best := take(t, newSession(t, m, Sampling{}), p, nil, 1)[0]
	if got := take(t, newSession(t, m, Sampling{Forbid: []uint32{best}}), p, nil, 1)[0]; got == best {
		t.Errorf("the forbidden token %d was chosen", best)
	}
}
