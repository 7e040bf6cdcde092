package harmony

import (
	"bytes"
	"cmp"
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
		Type         string           `json:"type"`
		Dropout      *float64         `json:"dropout"`
		Prefix       *string          `json:"continuing_subword_prefix"`
		Suffix       *string          `json:"end_of_word_suffix"`
		ByteFallback bool             `json:"byte_fallback"`
		IgnoreMerges bool             `json:"ignore_merges"`
		Vocab        map[string]Token `json:"vocab"`
		Merges       mergeList        `json:"merges"`
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
	v, err := f.vocabulary()
	var e *Encoding
	if err == nil {
		e, err = v.encoding("tokenizer.json", f.Model.IgnoreMerges)
	}
	if err != nil {
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

// vocabulary returns the file's tokens by id and its merges, in which a pair is
// a list of two or one string with a space.
func (f *tokenizerFile) vocabulary() (v Vocabulary, err error) {
	last, added := Token(0), make(map[string]bool, len(f.AddedTokens))
	for _, id := range f.Model.Vocab {
		last = max(last, id)
	}
	for _, a := range f.AddedTokens {
		switch {
		case !a.Special:
			return v, fmt.Errorf("the added token %q is not special; such tokens are not supported", a.Content)
		case a.Content == "":
			return v, fmt.Errorf("the added token %d has no content", a.ID)
		}
		added[a.Content] = true
		last = max(last, a.ID)
	}
	most := min(maxTokenID, 8*(len(f.Model.Vocab)+len(f.AddedTokens))+1024) // a damaged id must not ask for memory
	if int64(last) >= int64(most) {
		return v, fmt.Errorf("token id %d is beyond %d, which is much for a file of %d tokens", last, most, len(f.Model.Vocab)+len(f.AddedTokens))
	}
	v = Vocabulary{Tokens: make([]string, last+1), Special: make([]bool, last+1), Merges: f.Model.Merges}
	put := func(id Token, name string) {
		if v.Tokens[id] != "" || name == "" {
			err = fmt.Errorf("two tokens have the id %d, or one has no name", id)
		}
		v.Tokens[id] = name
	}
	for name, id := range f.Model.Vocab {
		if !added[name] {
			put(id, name)
		}
	}
	for _, a := range f.AddedTokens {
		put(a.ID, a.Content)
		v.Special[a.ID] = true
	}
	return v, err
}

// mergeList is the merges of a file. There are half a million, half the file, so
// they are read by hand.
type mergeList []string

// UnmarshalJSON implements json.Unmarshaler; data is sound JSON.
func (m *mergeList) UnmarshalJSON(data []byte) error {
	*m = nil
	if string(data) == "null" {
		return nil
	}
	r := merges{rest: data}
	if !r.take('[') {
		return errors.New("merges is no list")
	}
	for first := true; !r.take(']'); first = false {
		if !first {
			r.take(',')
		}
		pair, err := r.pair()
		if err != nil {
			return fmt.Errorf("merge %d: %w", len(*m), err)
		}
		*m = append(*m, pair)
	}
	return nil
}

// merges reads sound JSON from the front.
type merges struct{ rest []byte }

// take steps over a mark, if it comes next.
func (r *merges) take(mark byte) bool {
	r.rest = bytes.TrimLeft(r.rest, " \t\r\n")
	if r.rest[0] != mark {
		return false
	}
	r.rest = r.rest[1:]
	return true
}

var errNoPair = errors.New("it is not two tokens")

// pair reads a merge: a list of two strings, or one with a space.
func (r *merges) pair() (string, error) {
	if !r.take('[') {
		return r.text()
	}
	a, err := r.text()
	if err != nil || !r.take(',') {
		return "", cmp.Or(err, errNoPair)
	}
	b, err := r.text()
	if err != nil || !r.take(']') {
		return "", cmp.Or(err, errNoPair)
	}
	return a + " " + b, nil
}

// text reads a string.
func (r *merges) text() (s string, err error) {
	if !r.take('"') {
		return "", errNoPair
	}
	for i := 0; ; i++ {
		switch r.rest[i] {
		case '\\':
			i++
		case '"':
			part := r.rest[:i]
			r.rest = r.rest[i+1:]
			if bytes.IndexByte(part, '\\') < 0 && utf8.Valid(part) {
				return string(part), nil
			}
			quoted := slices.Concat([]byte{'"'}, part, []byte{'"'})
			err = json.Unmarshal(quoted, &s)
			return s, err
		}
	}
}
