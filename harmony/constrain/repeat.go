package constrain

import (
	"bytes"
	"strings"

	"chorale/harmony/constrain/internal/trie"
)

// Unique items and keys must not be repeated. That an item is a repetition shows
// when it ends, and then it is refused; but it must not come so far that nothing
// else is left. While the text of an item is how one of the used ones begins, a
// thread is alive only if another text can still come out of it. Blanks between
// the parts of an item make no other.

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
		part := f.part(text)
		for u := f.used; u != nil; u = u.rest {
			if len(part) <= len(u.raw) && u.raw[:len(part)] == string(part) {
				return true
			}
		}
	}
	return false
}

// part is the text of the item or key that the frame is inside of.
func (f *frame) part(text []byte) []byte {
	part := text[f.start-1:]
	if f.array != nil { // a key begins inside of its quotes
		part = withoutBlanks(part)
	}
	return part
}

// withoutBlanks leaves out the spaces that stand outside of strings.
func withoutBlanks(text []byte) []byte {
	if bytes.IndexByte(text, ' ') < 0 {
		return text
	}
	out := make([]byte, 0, len(text))
	quoted, escaped := false, false
	for _, b := range text {
		if b != ' ' || quoted {
			out = append(out, b)
		}
		switch {
		case escaped:
			escaped = false
		case quoted && b == '\\':
			escaped = true
		case b == '"':
			quoted = !quoted
		}
	}
	return out
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
	for f := t.frame; f != nil && f.watched; f = f.parent {
		if f.start == 0 {
			continue
		}
		part := string(f.part(w.text[:w.base]))
		for u := f.used; u != nil; u = u.rest {
			if rest, ok := strings.CutPrefix(u.raw, part); ok {
				w.removeAlong(0, w.v.all.Len(), 0, []thread{t}, rest)
			}
		}
	}
}

// removeAlong goes on in tokens of which so many bytes led to the threads.
func (w *walker) removeAlong(lo, hi uint32, read int, threads []thread, rest string) {
	if rest == "" || len(threads) == 0 {
		return
	}
	w.removeBehind(lo, hi, read, threads, rest[0], rest[1:])
	if w.m.blanks && rest[0] != ' ' {
		w.removeBehind(lo, hi, read, threads, ' ', rest)
	}
}

func (w *walker) removeBehind(lo, hi uint32, read int, threads []thread, b byte, rest string) {
	all := w.v.all
	i, ok := all.Child(lo, hi, b)
	if !ok {
		return
	}
	w.text[w.base+read] = b
	text := w.text[:w.base+read+1]
	var next []thread
	for _, t := range threads {
		next = w.m.step(next, t, text)
	}
	next = distinct(next, 0)
	if id := all.Token[i]; id != trie.None && w.mask.Has(id) && !w.anyAlive(next, text) {
		w.mask.Clear(id)
	}
	w.removeAlong(i+1, all.Skip[i], read+1, next, rest)
}
