package constrain

import (
	"chorale/harmony"
	"chorale/harmony/constrain/internal/trie"
)

// freeText holds the masks of text that may be anything but must be UTF-8 (RFC
// 3629), so that no message ends in the middle of a character. There is one for
// each state of a character that is being read; they are constant.
type freeText struct {
	masks [halves]Mask
	// after is the state behind each token that begins with a whole character.
	after []charState
}

// charState is how much of a character has been read.
type charState uint8

const (
	whole      charState = iota // none: the last one is complete
	oneMore                     // one more byte must come, 80..BF
	twoMore                     // two more
	threeMore                   // three more
	twoMore0                    // two more, the first A0..BF: shorter forms are not UTF-8
	twoMore9                    // two more, the first 80..9F: surrogates are not
	threeMore0                  // three more, the first 90..BF
	threeMore8                  // three more, the first 80..8F: up to U+10FFFF
	halves                      // the number of states
	malformed  charState = 0xFF
)

// newFreeText takes the tokens of a vocabulary whose text and trie are there.
func newFreeText(v *Vocabulary) *freeText {
	f := &freeText{after: make([]charState, 64*len(v.text))}
	for s := range f.masks {
		f.masks[s] = make(Mask, len(v.text))
	}
	f.walk(v.all, whole, func(id harmony.Token, after charState) { f.after[id] = after })
	for s := oneMore; s < halves; s++ {
		f.walk(v.all, s, func(harmony.Token, charState) {})
	}
	return f
}

// walk finds the tokens that may come in a state, and tells each with the state
// behind it.
func (f *freeText) walk(t *trie.Trie, from charState, each func(harmony.Token, charState)) {
	states := make([]charState, t.Deep+1)
	states[0] = from
	for i := uint32(0); i < t.Len(); {
		d := t.Depth[i]
		s := states[d].next(t.Byte[i])
		if s == malformed {
			i = t.Skip[i]
			continue
		}
		states[d+1] = s
		if id := t.Token[i]; id != trie.None {
			f.masks[from].Set(id)
			each(id, s)
		}
		i++
	}
}

// accept returns the state behind a token, malformed if it cannot come.
func (f *freeText) accept(v *Vocabulary, s charState, id harmony.Token) charState {
	switch {
	case !f.masks[s].Has(id):
		return malformed
	case s == whole:
		return f.after[id]
	}
	return s.read(v.enc.TokenText(id))
}

// read follows a text that is well formed.
func (s charState) read(text string) charState {
	for i := range len(text) {
		s = s.next(text[i])
	}
	return s
}

// next is the state behind one more byte.
func (s charState) next(b byte) charState {
	low, high, then := byte(0x80), byte(0xBF), whole
	switch s {
	case whole:
		return begin(b)
	case twoMore:
		then = oneMore
	case twoMore0:
		low, then = 0xA0, oneMore
	case twoMore9:
		high, then = 0x9F, oneMore
	case threeMore:
		then = twoMore
	case threeMore0:
		low, then = 0x90, twoMore
	case threeMore8:
		high, then = 0x8F, twoMore
	}
	if b < low || b > high {
		return malformed
	}
	return then
}

// begin is the state behind the first byte of a character.
func begin(b byte) charState {
	switch {
	case b < 0x80:
		return whole
	case b < 0xC2 || b > 0xF4:
		return malformed
	case b < 0xE0:
		return oneMore
	case b == 0xE0:
		return twoMore0
	case b == 0xED:
		return twoMore9
	case b < 0xF0:
		return twoMore
	case b == 0xF0:
		return threeMore0
	case b == 0xF4:
		return threeMore8
	}
	return threeMore
}
