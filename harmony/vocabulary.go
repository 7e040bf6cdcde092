package harmony

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// Vocabulary is a byte-level BPE vocabulary as lists, the form in which GGUF
// files carry it (tokenizer.ggml.tokens and its neighbours, where
// tokenizer.ggml.model is gpt2 and pre is gpt-4o).
type Vocabulary struct {
	// Tokens are the tokens by id: ordinary ones in the byte-level alphabet of
	// GPT-2, special ones by name, "" where an id is unused.
	Tokens []string

	// Special says by id which tokens are special. The control tokens of the
	// Harmony format are, also where it does not say so.
	Special []bool

	// Merges are pairs of tokens with a space between them, by rank.
	Merges []string
}

// FromVocabulary returns the encoding of a vocabulary: byte-level BPE on o200k's
// splitter, with the Harmony control tokens among its special tokens, under
// whatever ids. It keeps nothing of v.
func FromVocabulary(v Vocabulary) (*Encoding, error) {
	e, err := v.encoding("vocabulary", false)
	if err != nil {
		return nil, fmt.Errorf("vocabulary: %w", err)
	}
	return e, nil
}

// maxText bounds the length of all tokens together.
const maxText = 1 << 28

// encoding makes the encoding. With ignoreMerges a piece that is a token becomes
// that token, whether or not its bytes merge to it.
func (v *Vocabulary) encoding(name string, ignoreMerges bool) (*Encoding, error) {
	length := 0
	for _, t := range v.Tokens {
		length += len(t)
	}
	if len(v.Tokens) > maxTokenID || length > maxText {
		return nil, fmt.Errorf("%d tokens of %d bytes in all are too many", len(v.Tokens), length)
	}
	e := &Encoding{name: name, special: map[string]Token{}}
	if err := v.fillTokens(e); err != nil {
		return nil, err
	}
	if err := v.fillMerges(e); err != nil {
		return nil, err
	}
	if err := e.bindSpecial(); err != nil {
		return nil, err
	}
	v.fillWords(e, ignoreMerges)
	return e, nil
}

// isSpecial reports whether ordinary text never yields a token.
func (v *Vocabulary) isSpecial(id int) bool {
	return id < len(v.Special) && v.Special[id] || slices.Contains(controlNames, v.Tokens[id])
}

func (v *Vocabulary) fillTokens(e *Encoding) error {
	size, text := 0, strings.Builder{}
	for id, name := range v.Tokens {
		if name != "" {
			size = id + 1
		}
	}
	t := &e.vocab
	t.spans = make([]span, size)
	put := func(id int, s string) {
		t.spans[id] = span{uint32(text.Len()), uint32(text.Len() + len(s))}
		text.WriteString(s)
	}
	for id, name := range v.Tokens[:size] {
		if name == "" || v.isSpecial(id) {
			continue
		}
		s, ok := fromByteLevel(name)
		if !ok {
			return fmt.Errorf("the token %q (%d) is not spelled in the byte-level alphabet", name, id)
		}
		put(id, s)
	}
	t.specialFrom = uint32(text.Len())
	for id, name := range v.Tokens[:size] {
		if name != "" && v.isSpecial(id) {
			put(id, name)
			e.special[name] = Token(id)
		}
	}
	t.text = text.String()
	return nil
}

// fillMerges takes the merge list over.
func (v *Vocabulary) fillMerges(e *Encoding) error {
	ids := make(map[string]Token, len(v.Tokens))
	for id, name := range v.Tokens {
		if name == "" || v.isSpecial(id) {
			continue
		}
		if other, twice := ids[name]; twice {
			return fmt.Errorf("the tokens %d and %d are both %q", other, id, name)
		}
		ids[name] = Token(id)
	}
	for b := range 256 {
		id, ok := ids[string(byteLevel[b])]
		if !ok {
			return fmt.Errorf("the vocabulary has no token for the byte 0x%02x", b)
		}
		e.bytes[b] = id
	}
	t := &mergeTable{
		ranks:   make(map[uint64]uint32, len(v.Merges)),
		results: make([]Token, len(v.Merges)),
	}
	e.merges = t
	var both []byte
	for rank, merge := range v.Merges {
		left, right, ok := strings.Cut(merge, " ")
		if !ok || strings.Contains(right, " ") {
			return fmt.Errorf("merge %d: %q is not two tokens", rank, merge)
		}
		both = append(append(both[:0], left...), right...)
		a, okA := ids[left]
		b, okB := ids[right]
		c, okC := ids[string(both)]
		if !okA || !okB || !okC {
			return fmt.Errorf("merge %d: %q makes %q, and one of the three is not in the vocabulary", rank, merge, both)
		}
		t.ranks[pairKey(a, b)] = uint32(rank)
		t.results[rank] = c
	}
	return nil
}

// fillWords makes the tokens findable that a piece becomes as a whole: those
// that their own bytes merge to, or all of them with ignoreMerges.
func (v *Vocabulary) fillWords(e *Encoding, ignoreMerges bool) {
	n := len(e.vocab.spans)
	word := make([]bool, n)
	var all sync.WaitGroup
	for lo := 0; lo < n; lo += wordsAtOnce {
		all.Go(func() {
			var got []Token
			for id := Token(lo); int(id) < min(lo+wordsAtOnce, n); id++ {
				text := e.vocab.of(id)
				if text == "" || e.IsSpecial(id) {
					continue
				}
				if word[id] = ignoreMerges; !ignoreMerges {
					got = e.merge(got[:0], text, 0, len(text))
					word[id] = len(got) == 1 && got[0] == id
				}
			}
		})
	}
	all.Wait()
	short, long := 0, 0
	for id, is := range word {
		switch {
		case !is:
		case len(e.vocab.of(Token(id))) <= maxShort:
			short++
		default:
			long++
		}
	}
	e.vocab.reserve(short, long)
	for id, is := range word {
		if is {
			e.vocab.add(Token(id))
		}
	}
}

// wordsAtOnce is how many tokens a core looks at in one go.
const wordsAtOnce = 1 << 14

// byteLevel is the alphabet in which tokenizer.json spells bytes (GPT-2's
// bytes_to_unicode): printable Latin-1 as itself, the rest from U+0100 on.
var byteLevel = func() (alphabet [256]rune) {
	next := rune(0x100)
	for b := range alphabet {
		switch {
		case '!' <= b && b <= '~', 0xA1 <= b && b <= 0xAC, 0xAE <= b && b <= 0xFF:
			alphabet[b] = rune(b)
		default:
			alphabet[b] = next
			next++
		}
	}
	return alphabet
}()

// fromByteLevel returns the bytes that a name of the vocabulary stands for.
func fromByteLevel(name string) (string, bool) {
	b := make([]byte, 0, utf8.RuneCountInString(name))
	for _, r := range name {
		c, ok := byteOf(r)
		if !ok {
			return "", false
		}
		b = append(b, c)
	}
	return string(b), true
}

func byteOf(r rune) (byte, bool) {
	switch {
	case r < 0x100 && byteLevel[r] == r:
		return byte(r), true
	case r < 0x100 || r > 0x143:
		return 0, false
	}
	return byteLevelHigh[r-0x100], true
}

// byteLevelHigh is the inverse of byteLevel from U+0100 on.
var byteLevelHigh = func() (bytes [0x44]byte) {
	for b, r := range byteLevel {
		if r >= 0x100 {
			bytes[r-0x100] = byte(b)
		}
	}
	return bytes
}()
