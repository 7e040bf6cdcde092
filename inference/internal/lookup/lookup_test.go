package lookup

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// find is Index.Find by looking everywhere.
func find(tokens []uint32) (same, from int) {
	end := len(tokens)
	places := 0
	for p := end - 1; p >= gram && places < mostPlaces; p-- {
		n := 0
		for n < Before && n < p && tokens[p-1-n] == tokens[end-1-n] {
			n++
		}
		if n >= gram {
			if places++; n > same {
				same, from = n, p
			}
		}
	}
	return same, from
}

// TestIndex has a text grow, be cut and be replaced at random, and compares what is
// found with a search of the whole text.
func TestIndex(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var x Index
	var text []uint32
	found := 0
	for range 3000 {
		switch r.IntN(20) {
		case 0:
			text = slices.Clone(text[:r.IntN(len(text)+1)])
			fallthrough
		case 1:
			for range r.IntN(30) {
				text = append(text, uint32(r.IntN(6)))
			}
			x.Set(text)
		default:
			id := uint32(r.IntN(6))
			text = append(text, id)
			x.Append(id)
		}
		g := x.Find()
		same, from := find(text)
		if g.Same != same || same > 0 && g.from != from {
			t.Fatalf("in %v: %d the same before %d, want %d before %d", text, g.Same, g.from, same, from)
		}
		if same > 0 {
			found++
			for i := range 40 {
				if got, _ := g.Token(i); got != text[from+i%(len(text)-from)] {
					want := text[from+i%(len(text)-from)]
					t.Fatalf("token %d of the guess is %d, want %d", i, got, want)
				}
			}
		}
	}
	if found < 1000 {
		t.Errorf("only %d guesses", found)
	}
}

// TestStands compares what other places say of a guess with a search of the whole text.
func TestStands(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	var seen [stands]int
	for range 400 {
		var text []uint32
		for range 20 + r.IntN(40) {
			text = append(text, uint32(r.IntN(3)))
		}
		var x Index
		x.Append(text...)
		g := x.Find()
		if g.Same == 0 {
			continue
		}
		var others []int
		for p := len(text) - 1; p >= gram && len(others) < mostPlaces; p-- {
			if n := common(text[:p], text); n >= gram {
				others = append(others, p)
			}
		}
		others = slices.DeleteFunc(others, func(p int) bool {
			return p == g.from || common(text[:p], text) < min(enough, g.Same)
		})
		for i := range Most {
			if g.from+i >= len(text) {
				break
			}
			want := alone
			for _, p := range others {
				if p+i < len(text) && slices.Equal(text[p:p+i], text[g.from:g.from+i]) {
					if want = max(want, agreed); text[p+i] != text[g.from+i] {
						want = contested
					}
				}
			}
			if got := g.class(i).stand; got != want {
				t.Fatalf("in %v, token %d of the guess at %d: stand %d, want %d", text, i, g.from, got, want)
			}
			seen[want]++
		}
	}
	if slices.Contains(seen[:], 0) {
		t.Errorf("seen %v", seen)
	}
}

// common is how many tokens the ends of two texts have in common, up to Before.
func common(a, b []uint32) (n int) {
	for n < min(Before, len(a), len(b)) && a[len(a)-1-n] == b[len(b)-1-n] {
		n++
	}
	return n
}

// TestNothingToGain decodes texts that look as if they came again, and do not, with
// passes that cost what a rule says: what is tried must not cost more than 3 in 100.
func TestNothingToGain(t *testing.T) {
	for name, next := range map[string]func(r *rand.Rand, text []uint32) uint32{
		"noise":      func(r *rand.Rand, _ []uint32) uint32 { return uint32(r.IntN(30_000)) },
		"few tokens": func(r *rand.Rand, _ []uint32) uint32 { return uint32(r.IntN(6)) },
		"another turn each time": func(r *rand.Rand, text []uint32) uint32 { // always two that were neighbours before
			if len(text)%2 == 1 {
				return text[len(text)-1] + 1
			}
			return uint32(2 * r.IntN(30))
		},
	} {
		for costs, v := range map[string]struct{ row, form float64 }{
			"half and half": {0.5, 0}, "dear": {0.8, 0}, "cheap": {0.1, 0}, "recorded": {0.5, 8}, "cheap and recorded": {0.1, 8},
		} {
			cost := func(n int) float64 { return 1 + v.row*float64(n-1) }
			seen := map[int]bool{}
			r := rand.New(rand.NewPCG(5, 6))
			var c Costs
			var x Index
			h := newHits()
			var text []uint32
			for range 300 {
				text = append(text, next(r, text))
			}
			x.Append(text...)
			plain, spent, tried := v.form, 0.0, 0
			for at := 0; at < 400; {
				g := x.Find()
				k, saves := c.Length(h, &g, 1, 0)
				first := !seen[1+k]
				if k > 0 && !c.Pays(saves, first) {
					k, first = 0, !seen[1]
				}
				seen[1+k] = true
				tried += k
				took := cost(1 + k)
				if first {
					took += v.form
				}
				spent += took
				c.Observe(1+k, took, first)
				for i := 0; ; i++ { // what a pass says: what is guessed right, and one more
					id := next(r, text)
					text = append(text, id)
					x.Append(id)
					plain += cost(1)
					at++
					token, ok := g.Token(i)
					if ok = ok && g.Same > 0; ok {
						h.Observe(&g, i, token == id)
					}
					if !ok || token != id || i >= k {
						break
					}
				}
			}
			if plain/spent < 0.97 {
				t.Errorf("%s, passes that are %s: %.3f times as fast", name, costs, plain/spent)
			}
			t.Logf("%s, %s: %.3f times as fast, %d tried", name, costs, plain/spent, tried)
		}
	}
}

// TestLength plays passes that cost what a rule says, with guesses that are right
// so often: what is tried must pay, and nothing where it cannot.
func TestLength(t *testing.T) {
	for _, v := range []struct {
		name         string
		cost         func(n int) float64
		right        float64
		others       int
		least, limit float64 // tokens a second, relative to no guesses
	}{
		{"memory bound, always right", func(n int) float64 { return 1 + 0.05*float64(n) }, 1, 0, 5, 20},
		{"memory bound, often right", func(n int) float64 { return 1 + 0.05*float64(n) }, 0.8, 0, 2, 5},
		{"memory bound, seldom right", func(n int) float64 { return 1 + 0.05*float64(n) }, 0.02, 0, 0.98, 1.1},
		{"half and half", func(n int) float64 { return 1 + 0.5*float64(n) }, 0.9, 0, 1.2, 3},
		{"linear, always right", func(n int) float64 { return float64(n) }, 1, 0, 0.97, 1.01},
		{"linear, seldom right", func(n int) float64 { return float64(n) }, 0.1, 0, 0.97, 1.01},
		{"worse than linear", func(n int) float64 { return math.Pow(float64(n), 1.3) }, 0.99, 0, 0.94, 1.01}, // what it takes to find out
		{"a dear second token", func(n int) float64 { return 1 + float64(min(n-1, 1)) + 0.05*float64(n) }, 0.95, 0, 2, 8},
		{"in company", func(n int) float64 { return 1 + 0.1*float64(n) }, 0.9, 3, 1.5, 5},
	} {
		r := rand.New(rand.NewPCG(3, 4))
		var c Costs
		h := newHits()
		tokens, seconds := 0.0, 0.0
		seen := map[int]bool{}
		for range 2000 {
			k, _ := c.Length(h, &Guess{Same: 5}, 1, v.others)
			tokens++
			for i := range max(k, 1) { // a guess that is not tried is compared as well
				right := r.Float64() < v.right
				h.Observe(&Guess{Same: 5}, i, right)
				if !right {
					break
				}
				if i < k {
					tokens++
				}
			}
			cost := v.cost(1 + k + v.others)
			seconds += cost
			c.Observe(1+k+v.others, cost*(0.9+0.2*r.Float64()), !seen[k])
			seen[k] = true
		}
		if speed := tokens / seconds * v.cost(1+v.others); speed < v.least || speed > v.limit {
			t.Errorf("%s: %.2f times as fast, want %v to %v", v.name, speed, v.least, v.limit)
		} else {
			t.Logf("%s: %.2f times as fast", v.name, speed)
		}
	}
}
