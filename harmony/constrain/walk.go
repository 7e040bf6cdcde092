package constrain

import (
	"chorale/harmony/constrain/internal/automaton"
	"chorale/harmony/constrain/internal/trie"
)

// walker finds the tokens that a thread can read, by walking the vocabulary's
// trie with it. It belongs to one schema and is used under its lock.
type walker struct {
	v    *Vocabulary
	m    *machine
	t    *trie.Trie
	mask Mask
	// left is set while t holds the tails of tokens: then a token is a group of
	// leavers, of which those of low to high characters are allowed.
	left      [][]leaver
	low, high int32

	text    []byte      // the document and the path of the current node
	base    int         // the document's length in it
	threads []thread    // of all nodes on the path, one behind the other
	bounds  []int       // of threads: those in front of depth d begin at bounds[d]
	texts   []textState // in front of depth d, inside of a string
	budget  int         // of steps to find out whether threads are alive
}

func newWalker(v *Vocabulary, m *machine) *walker {
	return &walker{v: v, m: m, bounds: make([]int, v.all.Deep+3), texts: make([]textState, v.all.Deep+2)}
}

// fill sets the bits of all tokens that the thread can read behind the text.
func (w *walker) fill(mask Mask, t thread, text []byte) {
	w.mask, w.t, w.left = mask, w.v.all, nil
	w.begin(text)
	if !t.isText() || t.text.d != atChar || !w.freeString(t) && !w.runString(t) {
		w.root(t)
	}
	if t.inRepeatable() {
		w.removeRepeats(t)
	}
}

// begin takes the document so far, with room for any token behind it.
func (w *walker) begin(text []byte) {
	w.base = len(text)
	w.budget = maxBudget
	if n := len(text) + w.v.all.Deep + 1; len(w.text) < n {
		w.text = make([]byte, 2*n)
	}
	copy(w.text, text)
}

func (t *thread) isText() bool { return t.mode == inString || t.mode == inTailKey }

// root walks the whole trie.
func (w *walker) root(t thread) {
	w.threads = append(w.threads[:0], t)
	w.bounds[0], w.bounds[1] = 0, 1
	switch {
	case t.isText():
		w.string(0, w.t.Len(), t)
	case t.mode == inNumber && !t.inRepeatable():
		w.number(0, w.t.Len(), t)
	default:
		w.walk(0, w.t.Len())
	}
}

// freeString fills in the tokens of a string in which any text may follow. It
// reports false where that is not so.
func (w *walker) freeString(t thread) bool {
	term := t.strings()
	if !term.DFA.Total(t.text.s) || term.Counts && !term.DFA.Whole(t.text.s) {
		return false
	}
	n, stay := len(w.v.stay)-1, w.v.stay
	if term.Counts && term.Max >= 0 {
		n = min(n, term.Max-int(t.text.n))
	}
	if n >= 0 {
		w.mask.Or(stay[n])
	}
	if !term.DFA.Whole(t.text.s) || t.mode == inTailKey || t.inRepeatable() {
		w.t = w.v.leave // what stands in front of the quote matters
		w.root(t)
		return true
	}
	w.low, w.high = 0, 1<<30
	if term.Counts {
		w.low = int32(term.Min) - t.text.n
		if term.Max >= 0 {
			w.high = int32(term.Max) - t.text.n
		}
		t.text.n = int32(term.Min) // it may close; which tokens may is up to low and high
	}
	w.t, w.left = w.v.tails, w.v.left
	w.root(t)
	return true
}

// runString fills in the tokens of a string in which every text of some kind may
// follow: one as long as a token can be, or as the string can still be.
func (w *walker) runString(t thread) bool {
	term := t.strings()
	if term.Counts && (int(t.text.n) < term.Min || term.Max >= 0 && term.Max-int(t.text.n) < automaton.MaxRun+term.Lengths.Most) {
		return false
	}
	for k := range automaton.Runs {
		length, exact := term.DFA.Survives(t.text.s, k)
		if length < automaton.MaxRun && !exact {
			continue
		}
		r := &w.v.runs[k]
		w.mask.Or(r.tokens[length])
		w.t = r.others
		w.root(t)
		return true
	}
	return false
}

// allow takes the token of a node.
func (w *walker) allow(token uint32) {
	if w.left == nil {
		w.mask.Set(token)
		return
	}
	for _, l := range w.left[token] {
		if l.chars >= w.low && l.chars <= w.high {
			w.mask.Set(l.id)
		}
	}
}

// walk goes over the nodes lo to hi, which are descendants of one. The threads
// in front of the first of them are in place.
func (w *walker) walk(lo, hi uint32) {
	t := w.t
	for i := lo; i < hi; {
		d := int(t.Depth[i])
		first, last := w.bounds[d], w.bounds[d+1]
		w.text[w.base+d] = t.Byte[i]
		text := w.text[:w.base+d+1]
		w.threads = w.threads[:last]
		for k := first; k < last; k++ {
			w.threads = w.m.step(w.threads, w.threads[k], text)
		}
		if last-first > 1 || len(w.threads)-last > 1 {
			w.threads = distinct(w.threads, last)
		}
		next := w.threads[last:]
		if len(next) == 0 || len(next) > maxThreads {
			i = t.Skip[i]
			continue
		}
		w.bounds[d+2] = len(w.threads)
		if id := t.Token[i]; id != trie.None && w.anyAlive(next, text) {
			w.allow(id)
		}
		i++
		skip := t.Skip[i-1]
		if len(next) > 1 || i == skip {
			continue
		}
		switch {
		case next[0].isText():
			w.string(i, skip, next[0])
			i = skip
		case next[0].mode == inNumber && !next[0].inRepeatable():
			w.number(i, skip, next[0])
			i = skip
		}
	}
}

// string is walk for one thread inside of a string. It keeps no threads but
// where the string closes.
func (w *walker) string(lo, hi uint32, thread thread) {
	t, term := w.t, thread.strings()
	check := thread.inRepeatable() && t.Depth[lo] > 0
	base := len(w.threads)
	w.texts[t.Depth[lo]] = thread.text
	for i := lo; i < hi; {
		d, b := int(t.Depth[i]), t.Byte[i]
		w.text[w.base+d] = b
		x, outcome := w.texts[d], inside
		if x.d == atChar && plain[b] && !term.Counts {
			if x.s = term.DFA.StepASCII(x.s, b); x.s == automaton.Dead {
				outcome = refused
			}
		} else {
			x, outcome = stepText(term, x, b)
		}
		if outcome == refused {
			i = t.Skip[i]
			continue
		}
		if outcome == inside {
			w.texts[d+1] = x
			if id := t.Token[i]; id != trie.None {
				if thread.text = x; !check || w.alive(thread, w.text[:w.base+d+1]) {
					w.allow(id)
				}
			}
			i++
			continue
		}
		thread.text = x
		w.behind(i, thread, base)
		i = t.Skip[i]
	}
}

// plain tells the bytes that are characters of a string by themselves.
var plain = func() (p [256]bool) {
	for b := 0x20; b < 0x80; b++ {
		p[b] = b != '"' && b != '\\'
	}
	return p
}()

// number is walk for one thread inside of a number that may be repeated.
func (w *walker) number(lo, hi uint32, thread thread) {
	t, number := w.t, thread.node.Number
	base := len(w.threads)
	w.texts[t.Depth[lo]] = thread.text
	for i := lo; i < hi; {
		d, b := int(t.Depth[i]), t.Byte[i]
		w.text[w.base+d] = b
		x := w.texts[d]
		if b < 0x80 {
			if s := number.StepASCII(x.s, b); s != automaton.Dead {
				w.texts[d+1] = textState{s: s}
				if id := t.Token[i]; id != trie.None {
					w.allow(id)
				}
				i++
				continue
			}
		}
		if number.Label(x.s) != 0 {
			thread.text = x
			w.behind(i, thread, base)
		}
		i = t.Skip[i]
	}
}

// behind walks on from node i, whose byte ends the text or the number that the
// thread is inside of. It leaves base threads in place.
func (w *walker) behind(i uint32, thread thread, base int) {
	d := int(w.t.Depth[i])
	text := w.text[:w.base+d+1]
	w.threads = w.m.step(w.threads[:base], thread, text)
	w.bounds[d+1], w.bounds[d+2] = base, len(w.threads)
	next := w.threads[base:]
	if len(next) == 0 {
		return
	}
	if id := w.t.Token[i]; id != trie.None && w.anyAlive(next, text) {
		w.allow(id)
	}
	w.walk(i+1, w.t.Skip[i])
}

// distinct removes the threads from index on that stand there twice.
func distinct(threads []thread, from int) []thread {
	out := threads[:from]
next:
	for _, t := range threads[from:] {
		for _, o := range out[from:] {
			if o == t {
				continue next
			}
		}
		out = append(out, t)
	}
	return out
}
