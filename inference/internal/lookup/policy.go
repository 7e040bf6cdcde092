package lookup

import (
	"slices"
	"sync"
)

// Most is the most tokens of one sequence in a pass that tries a guess.
const Most = 16

// sizes are how many tokens a pass that tries a guess may have of the sequence: a
// few sizes only, so that each is soon measured, and recorded once on a GPU.
var sizes = []int{2, 3, 4, 6, 8, 12, Most}

// Costs are how long passes take by their number of tokens, as measured. They are
// a model's, and safe for concurrent use. The zero value is ready.
type Costs struct {
	mu    sync.Mutex
	times [2*Most + 1]float64 // 0 where not measured
	tried int                 // guesses in a row

	early [2*Most + 1]float64 // first passes before anything was measured
	fresh float64             // seconds that a pass of a new form takes longer
	purse float64             // seconds that may be spent on new forms
}

const (
	// How much a measurement counts that is below what was measured before, and one
	// that is above: a pass takes longer for many reasons that say nothing of it.
	faster, slower = 0.5, 0.05

	// growth is by how much a pass of twice the tokens is believed to take longer,
	// until it is measured: so little that it will be.
	growth = 0.35

	// fade is how fast a measurement that keeps guesses from being tried gives way
	// to that belief: it may have been chance, or of another time.
	fade = 0.001

	// What may be spent on passes of new forms, which a GPU compiles and records for:
	// little of all time, and what guesses have saved. It is nothing to ask for where
	// it is less than few passes.
	share = 0.02
	few   = 3
)

// Observe notes how long a pass took. The first of its form counts as that alone.
func (c *Costs) Observe(tokens int, seconds float64, first bool) {
	if tokens < 1 || tokens >= len(c.times) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.purse += share * seconds
	t := &c.times[tokens]
	if first {
		if !c.measured(len(c.times) - 1) {
			c.early[tokens] = seconds
		} else {
			c.fresh = (c.fresh + max(0, seconds-c.at(tokens))) / 2
		}
		return
	}
	if *t == 0 {
		*t = seconds
		c.fresh, c.early[tokens] = max(c.fresh, c.early[tokens]-seconds), 0
	} else if seconds < *t {
		*t += faster * (seconds - *t)
	} else {
		*t += slower * (min(seconds, 3**t) - *t)
	}
	for n := tokens + 1; n < len(c.times); n++ {
		if belief := believed(*t, tokens, n); c.times[n] > belief {
			c.times[n] += fade * (belief - c.times[n])
		}
	}
}

// measured reports whether passes of up to n tokens have been.
func (c *Costs) measured(n int) bool {
	return slices.ContainsFunc(c.times[:n+1], func(t float64) bool { return t > 0 })
}

// Pays reports whether a pass that is expected to save so many seconds is worth its
// form, if that is a new one.
func (c *Costs) Pays(saves float64, first bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !first:
		c.purse += saves
	case c.fresh < few*c.at(1):
	case c.fresh > c.purse:
		return false
	default:
		c.purse -= c.fresh
	}
	return true
}

// believed is what n tokens should take where m take t.
func believed(t float64, m, n int) float64 { return t * (1 + growth*float64(n-m)/float64(m)) }

// at is what a pass takes; the lock is held.
func (c *Costs) at(n int) float64 {
	if t := c.times[n]; t > 0 {
		return t
	}
	lo, hi := n, n
	for lo > 0 && c.times[lo] == 0 {
		lo--
	}
	for hi < len(c.times) && c.times[hi] == 0 {
		hi++
	}
	switch {
	case lo > 0 && hi < len(c.times):
		return c.times[lo] + (c.times[hi]-c.times[lo])*float64(n-lo)/float64(hi-lo)
	case lo > 0:
		return c.beyond(lo, n)
	case hi < len(c.times):
		return c.times[hi] / believed(1, n, hi)
	}
	return believed(1, 1, n)
}

// beyond is what a pass takes of more tokens than any that was measured, of which
// lo is the largest: as much more for each as the smaller ones show. Up to some
// tokens that is not taken for granted: the second one may be dear, and those
// after it cheap.
func (c *Costs) beyond(lo, n int) float64 {
	for m := 1; m < lo && n > Most/2; m++ {
		if c.times[m] > 0 {
			return c.times[lo] + max(0, c.times[lo]-c.times[m])*float64(n-lo)/float64(lo-m)
		}
	}
	return believed(c.times[lo], lo, n)
}

// Hits are how often guesses were right, by how many tokens before them were the
// same and by what other places said. They are a session's: texts differ.
type Hits [Before + 1][stands]struct {
	right float64 // share
	seen  float64
}

// newHits believes what agents' conversations showed.
func newHits() *Hits {
	var h Hits
	for same := range h {
		p := 0.3 + 0.04*float64(min(same, 14))
		h[same][alone].right, h[same][agreed].right, h[same][contested].right = p, min(0.95, p+0.2), 0.6*p
	}
	return &h
}

// of is how likely token i of a guess is right, if those before it are.
func (h *Hits) of(g *Guess, i int) float64 {
	c := g.class(i)
	return h[c.same][c.stand].right
}

// Observe notes whether token i of a guess was right, tried or not. What was
// believed beforehand counts as much as four guesses, and the last twelve count most.
func (h *Hits) Observe(g *Guess, i int, right bool) {
	c := g.class(i)
	p := &h[c.same][c.stand]
	p.seen = min(p.seen+1, 8)
	was := 0.0
	if right {
		was = 1
	}
	p.right += (was - p.right) / (p.seen + 4)
}

// row is how many guesses are tried in a row before a pass without one measures
// again what they are compared with.
const row = 50

// gain is by how much a guess must be expected to pay.
const gain = 1.05

// Length returns how many tokens of a guess are worth trying: own is how many the
// sequence brings to the pass anyhow, and others how many come along, a token for
// each sequence. It is the number that makes the most tokens a second of all. It is
// expected to save the sequence that many seconds.
func (c *Costs) Length(h *Hits, g *Guess, own, others int) (k int, saves float64) {
	if g.Same == 0 {
		return 0, 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	base := own + others
	if base >= len(c.times) || c.tried == row || !c.measured(base) {
		c.tried = 0
		return 0, 0
	}
	best := gain * float64(others+1) / c.at(base)
	expected, chance, guessed := float64(others+1), 1.0, 0
	for _, size := range sizes {
		n := size - own
		if n < 1 {
			continue
		}
		if size+others >= len(c.times) {
			break
		}
		for ; guessed < n; guessed++ {
			chance *= h.of(g, guessed)
			expected += chance
		}
		if rate := expected / c.at(size+others); rate > best {
			k, best = n, rate
			saves = expected/float64(others+1)*c.at(base) - c.at(size+others)
		}
	}
	if k > 0 {
		c.tried++
	}
	return k, saves
}
