package inference

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"chorale/inference/internal/drivers"
	"chorale/inference/internal/sample"
)

// lane is a constraint that lists what may come at each place.
type lane struct {
	places [][]uint32
	at     int
	force  bool // whether places with one id are forced
}

func (l *lane) Mask() []uint64 {
	mask := make([]uint64, 8)
	if l.at < len(l.places) {
		for _, id := range l.places[l.at] {
			mask[id/64] |= 1 << (id % 64)
		}
	}
	return mask
}

func (l *lane) Forced() (ids []uint32) {
	for at := l.at; l.force && at < len(l.places) && len(l.places[at]) == 1; at++ {
		ids = append(ids, l.places[at][0])
	}
	return ids
}

func (l *lane) Accept(id uint32) error {
	if l.at == len(l.places) || !slices.Contains(l.places[l.at], id) {
		return fmt.Errorf("%d cannot come at place %d", id, l.at)
	}
	l.at++
	return nil
}

// places draws a lane of n places, about half of them with one id, in runs.
func places(r *rand.Rand, n int) [][]uint32 {
	out := make([][]uint32, n)
	single := true
	for i := range out {
		if r.IntN(4) == 0 {
			single = !single
		}
		choices := 1
		if !single {
			choices = 2 + r.IntN(100)
		}
		for range choices {
			out[i] = append(out[i], uint32(r.IntN(480)))
		}
		slices.Sort(out[i])
		out[i] = slices.Compact(out[i])
	}
	return out
}

// under generates to the end of the lane.
func under(t *testing.T, s *Session, prompt []uint32, l *lane) (ids []uint32) {
	t.Helper()
	for id, err := range s.Generate(context.Background(), prompt, nil, l) {
		if err != nil {
			t.Fatal(err)
		}
		if ids = append(ids, id); len(ids) == len(l.places) {
			break
		}
	}
	return ids
}

// TestForced: what a constraint forces is what would have been sampled under it,
// with fewer passes, and the cache is exact afterwards. On both backends.
func TestForced(t *testing.T) {
	t.Run("cpu", func(t *testing.T) { forcedAnywhere(t, "cpu") })
	t.Run("vulkan", func(t *testing.T) {
		drivers.Lavapipe.Use(t)
		forcedAnywhere(t, "software")
	})
}

func forcedAnywhere(t *testing.T, device string) {
	m := openTiny(t, Options{Device: device, Plain: true}) // guesses save passes as well
	r := rand.New(rand.NewPCG(5, 6))
	for trial := range 8 {
		p, way := prompt(30+trial, trial), places(r, 40)
		plain, forced := newSession(t, m, Sampling{}), newSession(t, m, Sampling{})
		want := under(t, plain, p, &lane{places: way})
		got := under(t, forced, p, &lane{places: way, force: true})
		if !slices.Equal(got, want) {
			t.Fatalf("forced %v, sampled %v", got, want)
		}
		a, b := plain.Stats(), forced.Stats()
		single := 0
		for _, place := range way {
			if len(place) == 1 {
				single++
			}
		}
		if a.Forced != 0 || b.Forced != single || b.Decoded+b.Forced != a.Decoded || single > 5 && b.Passes > a.Passes-single/2 {
			t.Errorf("%d single places: sampled %+v, forced %+v", single, a, b)
		}
		next := append(append(slices.Clone(p), got...), prompt(20, 9)...)
		if got, want := take(t, forced, next, nil, 5), take(t, newSession(t, m, Sampling{}), next, nil, 5); !slices.Equal(got, want) {
			t.Errorf("after forced tokens %v, afresh %v", got, want)
		}
	}
}

// TestForcedCut: leaving the loop or stopping among forced tokens leaves a
// session that goes on exactly.
func TestForcedCut(t *testing.T) {
	m := openTiny(t, Options{})
	p, way := prompt(30, 1), [][]uint32{{1}, {2}, {3, 4, 5}, {6}, {7}, {8}, {9, 10}}
	for n := 1; n <= len(way); n++ {
		s := newSession(t, m, Sampling{})
		var ids []uint32
		for id, err := range s.Generate(context.Background(), p, nil, &lane{places: way, force: true}) {
			if err != nil {
				t.Fatal(err)
			}
			if ids = append(ids, id); len(ids) == n {
				break
			}
		}
		next := append(append(slices.Clone(p), ids...), 11, 12)
		if got, want := take(t, s, next, nil, 4), take(t, newSession(t, m, Sampling{}), next, nil, 4); !slices.Equal(got, want) {
			t.Errorf("left after %d: %v, afresh %v", n, got, want)
		}
	}
	s := newSession(t, m, Sampling{})
	if got := toStop(t, s, p, []uint32{2}, &lane{places: way, force: true}); !slices.Equal(got, []uint32{1, 2}) || s.Stats().Passes != 0 {
		t.Errorf("stopping among forced tokens gave %v in %d passes", got, s.Stats().Passes)
	}
}

func toStop(t *testing.T, s *Session, prompt, stop []uint32, l *lane) (ids []uint32) {
	t.Helper()
	for id, err := range s.Generate(context.Background(), prompt, stop, l) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

// TestConstraintSampling: no setting of the sampler gets around the mask.
func TestConstraintSampling(t *testing.T) {
	m := openTiny(t, Options{})
	r := rand.New(rand.NewPCG(7, 8))
	for _, p := range []Sampling{
		{}, {Temperature: 1}, {Temperature: 2, TopK: 3}, {Temperature: 1, TopP: 0.3}, {Temperature: 1.5, MinP: 0.5},
		{Temperature: 1, TopK: 10, TopP: 0.9, MinP: 0.01, Seed: 3},
	} {
		for range 3 {
			way := places(r, 25)
			under(t, newSession(t, m, p), prompt(20, 1), &lane{places: way, force: true}) // Accept fails on what is outside
		}
	}
}

// TestConstraintFaults: a constraint that leaves nothing, or forces more than
// the context holds, ends generation with an error and not otherwise.
func TestConstraintFaults(t *testing.T) {
	m := openTiny(t, Options{Context: 40})
	var err error
	for _, err = range newSession(t, m, Sampling{}).Generate(context.Background(), prompt(10, 1), nil, &lane{}) {
	}
	if !errors.Is(err, sample.ErrNoToken) {
		t.Errorf("a mask without ids: %v", err)
	}
	long := &lane{force: true}
	for range 50 {
		long.places = append(long.places, []uint32{1})
	}
	n := 0
	for _, err = range newSession(t, m, Sampling{}).Generate(context.Background(), prompt(10, 1), nil, long) {
		n++
	}
	var over *ContextError
	if !errors.As(err, &over) || over.Need != 60 {
		t.Errorf("forced beyond the context: %d values, then %v", n, err)
	}
	strict := &lane{places: [][]uint32{{1, 2}}}
	for _, err = range newSession(t, m, Sampling{}).Generate(context.Background(), prompt(10, 1), nil, blind{strict}) {
	}
	if err == nil {
		t.Error("a token that the constraint refuses was accepted")
	}
}

// blind hides its mask.
type blind struct{ *lane }

func (blind) Mask() []uint64 { return nil }
