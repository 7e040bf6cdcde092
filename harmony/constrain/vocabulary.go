package constrain

import (
	"errors"
	"fmt"

	"chorale/harmony"
	"chorale/harmony/constrain/internal/automaton"
	"chorale/harmony/constrain/internal/shape"
	"chorale/harmony/constrain/internal/trie"
)

// Vocabulary holds the ordinary tokens of an encoding in the order of their
// bytes. It never changes once made.
type Vocabulary struct {
	enc  *harmony.Encoding
	text Mask
	all  *trie.Trie
	free *freeText // masks of text that is no document

	// What follows holds the tokens by what they do in the middle of a string in
	// which any text may follow: so nearly all of the vocabulary needs no walk.

	stay  []Mask     // stay[n]: tokens that stay inside, of at most n characters
	leave *trie.Trie // the tokens that close the string
	tails *trie.Trie // what they say behind the quote; its tokens are indices of left
	left  [][]leaver

	runs [automaton.Runs]run
}

// run holds the tokens that are a run of one kind, and the others.
type run struct {
	tokens [automaton.MaxRun + 1]Mask // of at most so many characters
	others *trie.Trie
}

// leaver is a token that closes a string after so many characters.
type leaver struct {
	id    harmony.Token
	chars int32
}

// NewVocabulary prepares an encoding, in some 100 ms for 200,000 tokens.
// Special tokens have no text here: no document spells one.
func NewVocabulary(enc *harmony.Encoding) (*Vocabulary, error) {
	v := &Vocabulary{enc: enc, text: NewMask(enc.VocabSize())}
	var entries []trie.Entry
	for id := range harmony.Token(enc.VocabSize()) {
		text := enc.TokenText(id)
		if text == "" || enc.IsSpecial(id) {
			continue
		}
		if len(text) > 1<<15 {
			return nil, fmt.Errorf("token %d has %d bytes, more than a token has", id, len(text))
		}
		v.text.Set(id)
		entries = append(entries, trie.Entry{Text: text, Token: id})
	}
	if len(entries) == 0 {
		return nil, errors.New("the encoding has no ordinary tokens")
	}
	v.all = trie.New(entries)
	v.sortByText()
	v.sortByRun(entries)
	v.free = newFreeText(v)
	automaton.Warm()
	return v, nil
}

// anyString is a string of which nothing is known.
var anyString = &shape.Term{DFA: automaton.All(1), Max: -1}

// sortByText sorts the tokens by what they do inside of a free string.
func (v *Vocabulary) sortByText() {
	var leave, tails []trie.Entry
	groups := map[string]uint32{}
	var stay [][]harmony.Token
	t := v.all
	states := make([]textState, t.Deep+1)
	path := make([]byte, t.Deep)
	states[0] = textState{s: anyString.DFA.Start()}
	for i := uint32(0); i < t.Len(); {
		d := int(t.Depth[i])
		path[d] = t.Byte[i]
		x, outcome := stepText(anyString, states[d], t.Byte[i])
		switch outcome {
		case refused:
			i = t.Skip[i]
			continue
		case closed:
			chars := states[d].n
			for ; ; i++ {
				if id := t.Token[i]; id != trie.None {
					text := v.enc.TokenText(id)
					leave = append(leave, trie.Entry{Text: text, Token: id})
					group, ok := groups[text[d+1:]]
					if !ok {
						group = uint32(len(v.left))
						groups[text[d+1:]] = group
						v.left = append(v.left, nil)
						tails = append(tails, trie.Entry{Text: `"` + text[d+1:], Token: group})
					}
					v.left[group] = append(v.left[group], leaver{id, chars})
				}
				if i+1 >= t.Len() || int(t.Depth[i+1]) <= d {
					break
				}
			}
			i++
			continue
		}
		x.n = charsAfter(states[d], x)
		states[d+1] = x
		if id := t.Token[i]; id != trie.None {
			n := int(x.n)
			if x.d != atChar {
				n++ // a character or an escape that is not complete counts
			}
			for len(stay) <= n {
				stay = append(stay, nil)
			}
			stay[n] = append(stay[n], id)
		}
		i++
	}
	mask := NewMask(v.enc.VocabSize())
	for _, ids := range stay {
		for _, id := range ids {
			mask.Set(id)
		}
		v.stay = append(v.stay, mask.Clone())
	}
	v.leave, v.tails = trie.New(leave), trie.New(tails)
}

// charsAfter counts the characters of a free string, which is one more when the
// decoder is back between two of them.
func charsAfter(before, after textState) int32 {
	if after.d == atChar {
		return before.n + 1
	}
	return before.n
}

// sortByRun sorts the tokens by the kinds of their characters.
func (v *Vocabulary) sortByRun(entries []trie.Entry) {
	var of [automaton.Runs][automaton.MaxRun + 1][]harmony.Token
	var others [automaton.Runs][]trie.Entry
	for _, e := range entries {
		kind, length, ok := automaton.KindOf(e.Text)
		if ok {
			of[kind][length] = append(of[kind][length], e.Token)
		}
		for k := range automaton.Runs { // a narrower kind is one of each wider
			if !ok || kind < k {
				others[k] = append(others[k], e)
			}
		}
	}
	for k := range automaton.Runs {
		mask := NewMask(v.enc.VocabSize())
		for length := range of[k] {
			for _, narrower := range of[k:] {
				for _, id := range narrower[length] {
					mask.Set(id)
				}
			}
			v.runs[k].tokens[length] = mask.Clone()
		}
		v.runs[k].others = trie.New(others[k])
	}
}

// Encoding returns what the vocabulary was made for.
func (v *Vocabulary) Encoding() *harmony.Encoding { return v.enc }

// Text returns the set of all ordinary tokens.
func (v *Vocabulary) Text() Mask { return v.text }

// Options say how documents are written.
type Options struct {
	// End are the tokens that are allowed when the document is complete, and
	// then only: <|call|>, <|return|>.
	End []harmony.Token
	// Blanks allows one space behind a comma and behind a colon, as models are
	// used to write. Otherwise there is none.
	Blanks bool
	// Lenient leaves out what masks cannot hold; [Schema.Unenforced] lists it,
	// and whoever reads the document has to check it.
	Lenient bool
}

// Compile prepares a JSON Schema (2020-12, and the older definitions). The error
// is an *[UnsupportedError] or an *[InvalidError].
func (v *Vocabulary) Compile(schema []byte, o Options) (*Schema, error) {
	root, left, err := shape.Compile(schema, o.Lenient)
	if err != nil {
		return nil, exported(err)
	}
	s := &Schema{vocabulary: v, root: root, end: o.End, machine: newMachine(o.Blanks), masks: map[thread]Mask{}, joint: map[joint]Mask{}}
	for _, e := range left {
		s.unenforced = append(s.unenforced, exported(e))
	}
	return s, nil
}

// exported turns an error of the compiler into the package's own.
func exported(err error) error {
	var e *shape.Error
	switch {
	case !errors.As(err, &e):
		return err
	case e.Invalid:
		return &InvalidError{Path: e.Path, Keyword: e.Keyword, Reason: e.Reason}
	}
	return &UnsupportedError{Path: e.Path, Keyword: e.Keyword, Reason: e.Reason}
}
