package constrain

import (
	"strings"

	"chorale/harmony/constrain/internal/trie"
)

// Unique items and keys must not be repeated. That an item is a repetition shows
// when it ends, and then it is refused; but it must not come so far that nothing
// else is left. While the text of an item is how one of the used ones begins, a
// thread is alive only if another text can still come out of it.

// maxBudget bounds the steps that a mask spends on such questions. Beyond it a
// thread counts as alive.
const maxBudget = 20_000

// inRepeatable reports whether the thread is inside of an item or a key that
// must differ from others.
func (t *thread) inRepeatable() bool {
	for f := t.frame; f != nil && f.watched; f = f.parent {
		if f.start > 0 {
			return true
		}
	}
	return false
}

// repeats reports whether some item or key that the thread is inside of is, so
// far, as one of the used ones begins.
func (t *thread) repeats(text []byte) bool {
	for f := t.frame; f != nil && f.watched; f = f.parent {
		if f.start == 0 || int(f.start) > len(text)+1 {
			continue
		}
		part := text[f.start-1:]
		for u := f.used; u != nil; u = u.rest {
			if len(part) <= len(u.raw) && u.raw[:len(part)] == string(part) {
				return true
			}
		}
	}
	return false
}

// alive reports whether the thread can go on without repeating. The text may be
// written behind its end.
func (w *walker) alive(t thread, text []byte) bool {
	if !t.repeats(text) {
		return true
	}
	if w.budget <= 0 {
		return true
	}
	text = append(text[:len(text):len(text)], 0)
	for b := 0x20; b < 0x100; b++ {
		w.budget--
		text[len(text)-1] = byte(b)
		for _, next := range w.m.step(nil, t, text) {
			if w.alive(next, text) {
				return true
			}
		}
	}
	return false
}

func (w *walker) anyAlive(threads []thread, text []byte) bool {
	for _, t := range threads {
		if t.frame == nil || !t.frame.watched || w.alive(t, text) {
			return true
		}
	}
	return false
}

// removeRepeats takes the tokens out of the mask that only lead along the text of
// a used item.
func (w *walker) removeRepeats(t thread) {
	text := string(w.text[:w.base])
	for f := t.frame; f != nil && f.watched; f = f.parent {
		if f.start == 0 {
			continue
		}
		part := text[f.start-1:]
		for u := f.used; u != nil; u = u.rest {
			if rest, ok := strings.CutPrefix(u.raw, part); ok {
				w.removeAlong(t, rest)
			}
		}
	}
}

func (w *walker) removeAlong(t thread, rest string) {
	all := w.v.all
	threads := []thread{t}
	lo, hi := uint32(0), all.Len()
	for d := range len(rest) {
		i, ok := all.Child(lo, hi, rest[d])
		if !ok {
			return
		}
		w.text[w.base+d] = rest[d]
		text := w.text[:w.base+d+1]
		var next []thread
		for _, t := range threads {
			next = w.m.step(next, t, text)
		}
		threads = distinct(next, 0)
		if id := all.Token[i]; id != trie.None && w.mask.Has(id) && !w.anyAlive(threads, text) {
			w.mask.Clear(id)
		}
		lo, hi = i+1, all.Skip[i]
	}
}
