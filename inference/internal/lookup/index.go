// Package lookup guesses what a model will say next: what stood behind the same
// words before, in the same conversation or in what the model said in others.
// Agents repeat much, names and numbers from tool results, calls, and phrases. A
// guess costs nothing to make; whether it is worth trying is decided by
// how often such guesses were right lately and by what passes of more tokens have
// been measured to cost.
//
// It knows tokens and times. It refuses to decide what is said: a guess that the
// model does not confirm, token by token, is dropped.
package lookup

import "sync"

// gram is how many tokens must be the same for a guess.
const gram = 2

// Limits of a search: places that are looked at, and tokens compared at each.
const (
	mostPlaces = 32
	mostSame   = 32
)

// Index finds earlier occurrences of the last tokens of a text. The zero value is
// of the empty text.
type Index struct {
	tokens []uint32
	last   map[[gram]uint32]int32 // where the grams end, the last place of each
	before []int32                // by the end of a gram, where it ended before; -1 for nowhere
}

// Set makes the text that of tokens, keeping what is common.
func (x *Index) Set(tokens []uint32) {
	n := 0
	for n < min(len(tokens), len(x.tokens)) && tokens[n] == x.tokens[n] {
		n++
	}
	for i := len(x.tokens) - 1; i >= max(n, gram-1); i-- {
		if key := x.key(i); x.before[i] < 0 {
			delete(x.last, key)
		} else {
			x.last[key] = x.before[i]
		}
	}
	x.tokens, x.before = x.tokens[:n], x.before[:n]
	x.Append(tokens[n:]...)
}

// Append makes the text longer.
func (x *Index) Append(tokens ...uint32) {
	if x.last == nil {
		x.last = map[[gram]uint32]int32{}
	}
	for _, id := range tokens {
		i := len(x.tokens)
		x.tokens = append(x.tokens, id)
		before := int32(-1)
		if i >= gram-1 {
			key := x.key(i)
			if p, ok := x.last[key]; ok {
				before = p
			}
			x.last[key] = int32(i)
		}
		x.before = append(x.before, before)
	}
}

// key is the gram that ends with token i.
func (x *Index) key(i int) [gram]uint32 { return [gram]uint32(x.tokens[i-gram+1:]) }

// Guess is what may come next. The zero value is none.
type Guess struct {
	Same int // tokens before it that are the same as at its place; 0 where there is none

	text  []uint32
	from  int
	other bool // the place is in another text
}

// Find looks for the place with the most tokens before it that are also the text's
// last ones; of several the last.
func (x *Index) Find() Guess {
	if end := len(x.tokens) - 1; end >= gram-1 {
		return x.best(x.tokens, x.before[end])
	}
	return Guess{}
}

// best looks at the places that the one in p leads to, for the end of a text.
func (x *Index) best(text []uint32, p int32) (g Guess) {
	end := len(text) - 1
	for range mostPlaces {
		if p < 0 {
			break
		}
		same := gram
		for same < min(mostSame, len(text)) && int(p) >= same && x.tokens[int(p)-same] == text[end-same] {
			same++
		}
		if same > g.Same {
			g = Guess{Same: same, text: x.tokens, from: int(p) + 1}
		}
		if same == mostSame {
			break
		}
		p = x.before[p]
	}
	return g
}

// Token is number i of those that are guessed to come, and whether there is one.
// What would lie behind the end of the text repeats.
func (g Guess) Token(i int) (id uint32, ok bool) {
	n := len(g.text) - g.from
	switch {
	case i < n:
		return g.text[g.from+i], true
	case n == 0 || g.other:
		return 0, false
	}
	return g.text[g.from+i%n], true
}

// class is what kind of guess its token i is, as far as being right goes.
func (g Guess) class(i int) int {
	c := min(g.Same+i, mostSame)
	if g.other {
		c += mostSame + 1
	}
	return c
}

const classes = 2 * (mostSame + 1)

// Memory is what a model said lately, in all conversations, and how good guesses
// were there. It is safe for concurrent use; the zero value is empty.
type Memory struct {
	mu   sync.Mutex
	x    Index
	hits *Hits
}

// mostRemembered is how many tokens a memory holds before it forgets.
const mostRemembered = 1 << 16

// Hits returns what a new conversation begins to believe.
func (m *Memory) Hits() *Hits {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.hits == nil {
		m.hits = newHits()
	}
	h := *m.hits
	return &h
}

// Add remembers what was said in a turn, and what has been found there of guesses.
func (m *Memory) Add(said []uint32, h *Hits) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range h.right {
		m.hits.right[i] += (h.right[i] - m.hits.right[i]) / 4
	}
	if len(m.x.tokens)+len(said) > mostRemembered {
		late := m.x.tokens[len(m.x.tokens)/2:]
		m.x = Index{}
		m.x.Append(late...)
	}
	m.x.Append(said[max(0, len(said)-mostRemembered/2):]...)
}

// Find looks for the end of an index's text among what was said. It prefers the
// guess that is given.
func (m *Memory) Find(x *Index, g Guess) Guess {
	m.mu.Lock()
	defer m.mu.Unlock()
	end := len(x.tokens) - 1
	if end < gram-1 {
		return g
	}
	p, ok := m.x.last[x.key(end)]
	if !ok {
		return g
	}
	if o := m.x.best(x.tokens, p); o.Same > g.Same {
		o.other = true
		return o
	}
	return g
}
