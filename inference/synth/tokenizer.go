package synth

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// The control tokens lie in the last ids, at the offsets that they have from
// 199998 on in the o200k_harmony vocabulary.
const (
	specials    = 32 // ids
	control     = 21 // of these, the others are padding
	startOfText = 0
	endOfText   = 1
	returnToken = 4
)

var specialNames = map[int]string{
	startOfText: "<|startoftext|>", endOfText: "<|endoftext|>", returnToken: "<|return|>", 5: "<|constrain|>",
	7: "<|channel|>", 8: "<|start|>", 9: "<|end|>", 10: "<|message|>", 14: "<|call|>", 20: "<|endofprompt|>",
}

// vocabulary is a byte-level BPE vocabulary.
type vocabulary struct {
	tokens   []string    // by id, the bytes in GPT-2's alphabet
	merges   [][2]string // by rank
	ordinary int         // ids below this one are text
}

// alphabet returns GPT-2's letter for every byte: itself where it is printable.
func alphabet() [256]string {
	var a [256]string
	next := 256
	for b := range a {
		if b > 32 && b < 127 || b > 160 && b != 173 {
			a[b] = string(rune(b))
		} else {
			a[b] = string(rune(next))
			next++
		}
	}
	return a
}

func (m *Model) vocabulary() *vocabulary {
	v := &vocabulary{ordinary: m.Vocab - specials}
	letters := alphabet()
	v.tokens = append(v.tokens, letters[:]...)
	if m.Vocab <= 65536 {
		v.merge(letters)
	}
	for len(v.tokens) < v.ordinary {
		v.tokens = append(v.tokens, fmt.Sprintf("<t%d>", len(v.tokens)))
	}
	for k := range specials {
		name, ok := specialNames[k]
		switch {
		case k >= control:
			name = fmt.Sprintf("[PAD%d]", v.ordinary+k)
		case !ok:
			name = fmt.Sprintf("<|reserved_%d|>", v.ordinary+k)
		}
		v.tokens = append(v.tokens, name)
	}
	return v
}

// merge adds frequent pairs of letters, and a third letter to some of them.
func (v *vocabulary) merge(alphabet [256]string) {
	var letters []string
	for _, c := range []byte(" etaoinshrdlcumwfgypbvk") {
		letters = append(letters, alphabet[c])
	}
	type pair struct {
		rank int
		text [2]string
	}
	var pairs []pair
	for i, a := range letters {
		for j, b := range letters[1:] {
			pairs = append(pairs, pair{i + j + 1, [2]string{a, b}})
		}
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), strings.Compare(a.text[0], b.text[0]), strings.Compare(a.text[1], b.text[1]))
	})
	for _, p := range pairs[:60] {
		for _, c := range letters[1:12] {
			pairs = append(pairs, pair{text: [2]string{p.text[0] + p.text[1], c}})
		}
	}
	seen := map[string]bool{}
	for _, t := range v.tokens {
		seen[t] = true
	}
	for _, p := range pairs {
		if joined := p.text[0] + p.text[1]; len(v.tokens) < v.ordinary && !seen[joined] {
			seen[joined] = true
			v.merges = append(v.merges, p.text)
			v.tokens = append(v.tokens, joined)
		}
	}
}

// pattern cuts text before it is merged, as that of o200k_harmony does.
const pattern = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|` +
	`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|` +
	`\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`

// quote writes a JSON string of which only quotes and backslashes are special.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// tokenizerJSON is the vocabulary in the format of Hugging Face's tokenizers.
func (m *Model) tokenizerJSON() string {
	v := m.vocabulary()
	var added, vocab, merges []string
	for i, t := range v.tokens {
		switch {
		case i < v.ordinary:
			vocab = append(vocab, fmt.Sprintf("%s: %d", quote(t), i))
		case i < v.ordinary+control:
			added = append(added, fmt.Sprintf(`{"id": %d, "content": %s, "single_word": false, "lstrip": false, `+
				`"rstrip": false, "normalized": false, "special": true}`, i, quote(t)))
		}
	}
	for _, p := range v.merges {
		merges = append(merges, fmt.Sprintf("[%s, %s]", quote(p[0]), quote(p[1])))
	}
	list := func(all []string) string { return strings.Join(all, ", ") }
	return `{"version": "1.0", "truncation": null, "padding": null, "added_tokens": [` + list(added) + `], "normalizer": null, ` +
		`"pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": ` + quote(pattern) +
		`}, "behavior": "Isolated", "invert": false}, {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, ` +
		`"use_regex": false}]}, "post_processor": null, "decoder": {"type": "ByteLevel", "add_prefix_space": true, ` +
		`"trim_offsets": true, "use_regex": true}, "model": {"type": "BPE", "dropout": null, "unk_token": null, ` +
		`"continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, ` +
		`"ignore_merges": false, "vocab": {` + list(vocab) + `}, "merges": [` + list(merges) + `]}}`
}

// tokenizerConfig is tokenizer_config.json.
const tokenizerConfig = `{
 "tokenizer_class": "PreTrainedTokenizerFast",
 "bos_token": "<|startoftext|>",
 "eos_token": "<|return|>",
 "pad_token": "<|endoftext|>",
 "model_max_length": 131072,
 "clean_up_tokenization_spaces": false
}`

// File returns one of the checkpoint's files that are not weights, in Hugging
// Face's layout, nil where it has none of that name. A vocabulary too small for
// all bytes has no tokenizer.
func (m *Model) File(name string) []byte {
	switch {
	case name == "config.json":
		return m.Config()
	case m.Vocab < 256+specials:
		return nil
	case name == "tokenizer.json":
		return []byte(m.tokenizerJSON())
	case name == "tokenizer_config.json":
		return []byte(tokenizerConfig)
	}
	return nil
}
