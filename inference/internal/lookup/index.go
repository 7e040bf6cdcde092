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

// Before is how many tokens before a place are compared.
const Before = 32

// mostPlaces is how many places are looked at.
const mostPlaces = 32

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

	text   []uint32
	from   int
	other  bool        // the place is in another text
	stands [Most]stand // of its tokens
}

// stand is what other places say of a token that the guess's place says.
type stand uint8

const (
	alone     stand = iota // there are none
	agreed                 // all the same
	contested              // not all
	stands
)

// enough is how many tokens before it must be the same for a place to have a say,
// where the best one has more.
const enough = 16

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
	var found [mostPlaces]struct{ from, same int }
	n := 0
	end := len(text) - 1
	for ; p >= 0 && n < mostPlaces; p = x.before[p] {
		same := gram
		for same < min(Before, len(text)) && int(p) >= same && x.tokens[int(p)-same] == text[end-same] {
			same++
		}
		found[n].from, found[n].same = int(p)+1, same
		n++
		if same > g.Same {
			g = Guess{Same: same, text: x.tokens, from: int(p) + 1}
		}
	}
	for _, f := range found[:n] {
		if f.from != g.from && f.same >= min(enough, g.Same) {
			g.hear(f.from)
		}
	}
	return g
}

// hear notes what another place says, as far as it goes the guess's way.
func (g *Guess) hear(from int) {
	for i := range g.stands {
		if from+i >= len(g.text) || g.from+i >= len(g.text) {
			return
		}
		if g.text[from+i] != g.text[g.from+i] {
			g.stands[i] = contested
			return
		}
		g.stands[i] = max(g.stands[i], agreed)
	}
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
func (g *Guess) class(i int) class {
	return class{min(g.Same+i, Before), g.stands[min(i, Most-1)]}
}

type class struct {
	same  int
	stand stand
}

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

// Add remembers what was said, behind the last tokens before it, and what has been
// found there of guesses, unless h is nil.
func (m *Memory) Add(text []uint32, h *Hits) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if h != nil {
		found := *h
		m.hits = &found
	}
	if len(m.x.tokens)+len(text) > mostRemembered {
		late := m.x.tokens[len(m.x.tokens)/2:]
		m.x = Index{}
		m.x.Append(late...)
	}
	m.x.Append(text[max(0, len(text)-mostRemembered/2):]...)
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
