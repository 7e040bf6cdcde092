package harmony

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// tokenizerFile is the part of a Hugging Face tokenizer.json that decides how
// text is encoded.
type tokenizerFile struct {
	AddedTokens []struct {
		ID      Token  `json:"id"`
		Content string `json:"content"`
		Special bool   `json:"special"`
	} `json:"added_tokens"`
	Normalizer   *json.RawMessage `json:"normalizer"`
	PreTokenizer *preTokenizer    `json:"pre_tokenizer"`
	Model        struct {
		Type         string            `json:"type"`
		Dropout      *float64          `json:"dropout"`
		Prefix       *string           `json:"continuing_subword_prefix"`
		Suffix       *string           `json:"end_of_word_suffix"`
		ByteFallback bool              `json:"byte_fallback"`
		IgnoreMerges bool              `json:"ignore_merges"`
		Vocab        map[string]Token  `json:"vocab"`
		Merges       []json.RawMessage `json:"merges"`
	} `json:"model"`
}

type preTokenizer struct {
	Type    string         `json:"type"`
	Parts   []preTokenizer `json:"pretokenizers"`
	Pattern struct {
		Regex  string  `json:"Regex"`
		String *string `json:"String"`
	} `json:"pattern"`
	Behavior       string `json:"behavior"`
	Invert         bool   `json:"invert"`
	AddPrefixSpace bool   `json:"add_prefix_space"`
	UseRegex       *bool  `json:"use_regex"`
}

// maxTokenID bounds the ids of a tokenizer.json, so that a damaged file cannot
// ask for all memory.
const maxTokenID = 1 << 24

// FromTokenizerJSON returns the encoding that a Hugging Face tokenizer.json
// describes: byte-level BPE on o200k's splitter, with the Harmony control
// tokens among its special tokens, under whatever ids. Anything else is refused
// with the reason: other models and splitters, normalizers, dropout, and added
// tokens that are not special.
func FromTokenizerJSON(data []byte) (*Encoding, error) {
	var f tokenizerFile
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, fmt.Errorf("tokenizer.json: %w", err)
	}
	if err := f.supported(); err != nil {
		return nil, fmt.Errorf("tokenizer.json: %w", err)
	}
	e := &Encoding{name: "tokenizer.json", special: make(map[string]Token, len(f.AddedTokens))}
	if err := f.fill(e); err != nil {
		return nil, fmt.Errorf("tokenizer.json: %w", err)
	}
	return e, nil
}

// supported says what in the file this package does not do.
func (f *tokenizerFile) supported() error {
	m := &f.Model
	switch {
	case m.Type != "BPE":
		return fmt.Errorf("model.type is %q; only BPE is supported", m.Type)
	case m.Dropout != nil && *m.Dropout != 0:
		return errors.New("model.dropout is not supported")
	case m.Prefix != nil && *m.Prefix != "", m.Suffix != nil && *m.Suffix != "":
		return errors.New("subword prefixes and suffixes are not supported")
	case m.ByteFallback:
		return errors.New("model.byte_fallback is not supported; only byte-level BPE is")
	case f.Normalizer != nil && string(*f.Normalizer) != "null":
		return errors.New("normalizers are not supported")
	}
	return f.PreTokenizer.supported()
}

// supported accepts the one pre-tokenizer that gpt-oss has.
func (p *preTokenizer) supported() error {
	if p == nil || p.Type != "Sequence" || len(p.Parts) != 2 || p.Parts[0].Type != "Split" || p.Parts[1].Type != "ByteLevel" {
		return errors.New("pre_tokenizer must be a Sequence of Split and ByteLevel")
	}
	split, level := &p.Parts[0], &p.Parts[1]
	switch {
	case split.Pattern.Regex != o200kPattern:
		return fmt.Errorf("the split pattern %q is not supported; only that of o200k is", split.Pattern.Regex)
	case !strings.EqualFold(split.Behavior, "isolated"), split.Invert:
		return errors.New("the split must be Isolated and not inverted")
	case level.AddPrefixSpace:
		return errors.New("add_prefix_space is not supported")
	case level.UseRegex == nil || *level.UseRegex: // true is its default
		return errors.New("ByteLevel with a pattern of its own (use_regex) is not supported")
	}
	return nil
}

// fill takes vocabulary, special tokens and merges over.
func (f *tokenizerFile) fill(e *Encoding) error {
	if err := f.fillTokens(e); err != nil {
		return err
	}
	if err := f.fillMerges(e); err != nil {
		return err
	}
	if err := e.bindSpecial(); err != nil {
		return err
	}
	return f.fillWords(e)
}

func (f *tokenizerFile) fillTokens(e *Encoding) error {
	last := Token(0)
	for _, id := range f.Model.Vocab {
		last = max(last, id)
	}
	for _, a := range f.AddedTokens {
		if !a.Special {
			return fmt.Errorf("the added token %q is not special; such tokens are not supported", a.Content)
		}
		if a.Content == "" {
			return fmt.Errorf("the added token %d has no content", a.ID)
		}
		e.special[a.Content] = a.ID
		last = max(last, a.ID)
	}
	if last > maxTokenID {
		return fmt.Errorf("token id %d is beyond %d", last, maxTokenID)
	}
	v := &e.vocab
	v.spans = make([]span, last+1)
	var text strings.Builder
	put := func(id Token, s string) error {
		if v.spans[id].end != 0 {
			return fmt.Errorf("two tokens have the id %d", id)
		}
		v.spans[id] = span{uint32(text.Len()), uint32(text.Len() + len(s))}
		text.WriteString(s)
		return nil
	}
	for name, id := range f.Model.Vocab {
		if _, special := e.special[name]; special {
			continue
		}
		s, ok := fromByteLevel(name)
		if !ok || s == "" {
			return fmt.Errorf("the token %q (%d) is not spelled in the byte-level alphabet", name, id)
		}
		if err := put(id, s); err != nil {
			return err
		}
	}
	v.specialFrom = uint32(text.Len())
	for name, id := range e.special {
		if err := put(id, name); err != nil {
			return err
		}
	}
	v.text = text.String()
	return nil
}

// fillMerges takes the merge list over, in which a pair is a list of two or one
// string with a space.
func (f *tokenizerFile) fillMerges(e *Encoding) error {
	for b := range 256 {
		id, ok := f.Model.Vocab[string(byteLevel[b])]
		if !ok {
			return fmt.Errorf("the vocabulary has no token for the byte 0x%02x", b)
		}
		e.bytes[b] = id
	}
	t := &mergeTable{
		ranks:   make(map[uint64]uint32, len(f.Model.Merges)),
		results: make([]Token, len(f.Model.Merges)),
	}
	e.merges = t
	for rank, raw := range f.Model.Merges {
		pair, err := readMerge(raw)
		if err != nil {
			return fmt.Errorf("merge %d: %w", rank, err)
		}
		var ids [3]Token
		for i, name := range []string{pair[0], pair[1], pair[0] + pair[1]} {
			id, ok := f.Model.Vocab[name]
			if !ok {
				return fmt.Errorf("merge %d: %q is not in the vocabulary", rank, name)
			}
			ids[i] = id
		}
		t.ranks[pairKey(ids[0], ids[1])] = uint32(rank)
		t.results[rank] = ids[2]
	}
	return nil
}

func readMerge(raw json.RawMessage) (pair [2]string, err error) {
	if raw[0] == '"' {
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return pair, err
		}
		left, right, ok := strings.Cut(s, " ")
		if !ok || strings.Contains(right, " ") {
			return pair, fmt.Errorf("%q is not two tokens", s)
		}
		return [2]string{left, right}, nil
	}
	var list []string
	if err := json.Unmarshal(raw, &list); err != nil {
		return pair, err
	}
	if len(list) != 2 {
		return pair, fmt.Errorf("%q is not two tokens", list)
	}
	return [2]string(list), nil
}

// fillWords makes the tokens findable that a piece becomes as a whole: those
// that their own bytes merge to, or all of them with ignore_merges.
func (f *tokenizerFile) fillWords(e *Encoding) error {
	var words []Token
	short := 0
	for name, id := range f.Model.Vocab {
		if _, special := e.special[name]; special {
			continue
		}
		text := e.vocab.of(id)
		if !f.Model.IgnoreMerges {
			if got := e.merge(nil, text, 0, len(text)); len(got) != 1 || got[0] != id {
				continue
			}
		}
		words = append(words, id)
		if len(text) <= maxShort {
			short++
		}
	}
	slices.Sort(words)
	e.vocab.reserve(short, len(words)-short)
	for _, id := range words {
		e.vocab.add(id)
	}
	return nil
}

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
