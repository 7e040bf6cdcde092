package sample

import (
	"math"
	"math/rand/v2"
	"slices"
	"sort"
	"testing"
)

// stream makes one draw after the other.
type stream struct {
	Sampler
	Chooser
	number uint64
}

func newStream(t *testing.T, p Params, n int) *stream {
	t.Helper()
	s, err := New(p, n)
	if err != nil {
		t.Fatal(err)
	}
	return &stream{Sampler: *s}
}

func (s *stream) next(logits []float32, mask []uint64) (uint32, error) {
	d := s.Draw(s.number, mask)
	s.number++
	return s.Choose(&d, logits)
}

// frequencies draws n times and counts.
func frequencies(t *testing.T, p Params, logits []float32, n int) map[uint32]float64 {
	t.Helper()
	s := newStream(t, p, len(logits))
	f := map[uint32]float64{}
	for range n {
		id, err := s.next(logits, nil)
		if err != nil {
			t.Fatal(err)
		}
		f[id] += 1 / float64(n)
	}
	return f
}

// expect states the distribution that the filters should leave, straight from
// their definitions, over a full sort.
func expect(p Params, logits []float32) map[uint32]float64 {
	type item struct {
		id uint32
		w  float64
	}
	var items []item
	for i, v := range logits {
		if _, forbidden := slices.BinarySearch(p.Forbid, uint32(i)); !forbidden {
			items = append(items, item{uint32(i), math.Exp(float64(v) / p.Temperature)})
		}
	}
	sort.SliceStable(items, func(i, j int) bool { return items[i].w > items[j].w })
	sum := func() (s float64) {
		for _, x := range items {
			s += x.w
		}
		return s
	}
	if p.TopK > 0 {
		items = items[:min(p.TopK, len(items))]
	}
	if p.TopP > 0 {
		need, have := p.TopP*sum(), 0.0
		for i, x := range items {
			if have += x.w; have >= need {
				items = items[:i+1]
				break
			}
		}
	}
	for i, x := range items {
		if x.w < p.MinP*items[0].w {
			items = items[:i]
			break
		}
	}
	all, out := sum(), map[uint32]float64{}
	for _, x := range items {
		out[x.id] = x.w / all
	}
	return out
}

func TestDistribution(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	logits := make([]float32, 40)
	for i := range logits {
		logits[i] = float32(r.NormFloat64() * 2)
	}
	const draws = 10_000
	for _, p := range []Params{
		{Temperature: 1},
		{Temperature: 0.5},
		{Temperature: 1.5, TopK: 5},
		{Temperature: 1, TopK: 1},
		{Temperature: 1, TopP: 0.7},
		{Temperature: 1, TopP: 1e-9},
		{Temperature: 2, MinP: 0.2},
		{Temperature: 1.3, TopK: 12, TopP: 0.8, MinP: 0.1},
		{Temperature: 1, TopP: 0.9, MinP: 0.3, Forbid: []uint32{3, 17, 39}},
		{Temperature: 1, TopK: 1000},
	} {
		want := expect(p, logits)
		got := frequencies(t, p, logits, draws)
		for id := range got {
			if want[id] == 0 {
				t.Errorf("%+v: token %d was drawn, the filters remove it", p, id)
			}
		}
		for id, w := range want {
			if sigma := math.Sqrt(w * (1 - w) / draws); math.Abs(got[id]-w) > 5*sigma+1e-9 {
				t.Errorf("%+v: token %d has frequency %.4f, want %.4f", p, id, got[id], w)
			}
		}
	}
}

// TestRows holds what is drawn from rows of many lengths, under masks, to the definition:
// of what the filters leave, the id with the highest score.
func TestRows(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, n := range []int{1, 63, 64, 65, 8192, 8193, 20_000} {
		for _, p := range []Params{
			{}, {Temperature: 1}, {Temperature: 0.1}, {Temperature: 1, TopK: 3}, {Temperature: 2, TopK: 100}, {Temperature: 1, TopK: 101},
			{Temperature: 1, TopP: 0.9}, {Temperature: 0.3, TopP: 0.5}, {Temperature: 100, TopP: 0.999}, {Temperature: 1, TopK: 50, TopP: 0.6},
			{Temperature: 1, MinP: 0.01}, {Temperature: 1, TopP: 0.95, MinP: 0.05},
		} {
			logits := make([]float32, n)
			for i := range logits {
				logits[i] = float32(r.NormFloat64() * 4)
			}
			for turn := range 4 {
				mask := make([]uint64, (n+63)/64)
				for i := range mask {
					mask[i] = r.Uint64() & r.Uint64()
					if turn == 0 {
						mask[i] = math.MaxUint64
					}
				}
				p.Seed, p.Forbid = r.Uint64(), nil
				for i := range n {
					if mask[i/64]>>(i%64)&1 == 0 {
						p.Forbid = append(p.Forbid, uint32(i))
					}
				}
				s := newStream(t, p, n)
				d := s.Draw(0, nil)
				got, err := s.Choose(&d, logits)
				if len(p.Forbid) == n {
					if err != ErrNoToken {
						t.Errorf("%d ids, none permitted: %d, %v", n, got, err)
					}
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				kept := p
				if p.Greedy() {
					kept = Params{Temperature: 1, TopK: 1, Forbid: p.Forbid}
				}
				best, top := uint32(0), math.Inf(-1)
				for id := range expect(kept, logits) {
					if s := d.score(Candidate{id, logits[id]}); s > top {
						best, top = id, s
					}
				}
				if got != best {
					t.Errorf("%d ids, %d forbidden, temperature %v, top-k %d, top-p %v, min-p %v: %d with logit %v, want %d with %v",
						n, len(p.Forbid), p.Temperature, p.TopK, p.TopP, p.MinP, got, logits[got], best, logits[best])
				}
			}
		}
	}
}

func TestGreedyTakesLowestAmongEquals(t *testing.T) {
	s := newStream(t, Params{Forbid: []uint32{1, math.MaxUint32}}, 5)
	for range 3 {
		if id, err := s.next([]float32{1, 9, 5, 5, 2}, nil); err != nil || id != 2 {
			t.Fatalf("token %d, %v; want 2", id, err)
		}
	}
}

// TestMask: a mask leaves the distribution that forbidding the same ids leaves,
// bit for bit and with every filter; what lies behind its end is out.
func TestMask(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for trial := range 300 {
		logits := make([]float32, 1+r.IntN(200))
		for i := range logits {
			logits[i] = float32(r.NormFloat64() * 2)
		}
		p := Params{Seed: uint64(trial), Temperature: float64(trial%3) / 2, TopK: (trial % 4) * 5, TopP: float64(trial%5) / 5, MinP: float64(trial%2) / 4}
		mask := make([]uint64, r.IntN((len(logits)+63)/64+2))
		forbidding := p
		for i := range logits {
			if i < 64*len(mask) && r.IntN(3) == 0 {
				mask[i/64] |= 1 << (i % 64)
			} else {
				forbidding.Forbid = append(forbidding.Forbid, uint32(i))
			}
		}
		masked, forbids := newStream(t, p, len(logits)), newStream(t, forbidding, len(logits))
		for range 20 {
			got, err1 := masked.next(logits, mask)
			want, err2 := forbids.next(logits, nil)
			if got != want || err1 != err2 {
				t.Fatalf("%+v: under the mask %d, %v; with the rest forbidden %d, %v", p, got, err1, want, err2)
			}
		}
	}
}

func TestSeed(t *testing.T) {
	logits := make([]float32, 100)
	draw := func(seed uint64) (ids []uint32) {
		s := newStream(t, Params{Temperature: 1, Seed: seed}, len(logits))
		for range 50 {
			id, err := s.next(logits, nil)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
		return ids
	}
	if !slices.Equal(draw(7), draw(7)) {
		t.Error("equal seeds give different tokens")
	}
	if slices.Equal(draw(7), draw(8)) {
		t.Error("different seeds give equal tokens")
	}
}

func TestRefusals(t *testing.T) {
	for _, p := range []Params{
		{Temperature: -1}, {Temperature: math.NaN()}, {TopK: -1}, {TopP: 1.1}, {TopP: math.NaN()}, {MinP: -0.1},
	} {
		if _, err := New(p, 10); err == nil {
			t.Errorf("%+v was accepted", p)
		}
	}
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, logits := range [][]float32{{1, 2}, {1, 2, nan}, {inf, 1, 2}, {}} {
		s := newStream(t, Params{Forbid: []uint32{0, 1}}, len(logits))
		if id, err := s.next(logits, nil); err == nil {
			t.Errorf("logits %v gave token %d", logits, id)
		}
	}
}
