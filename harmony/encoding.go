package harmony

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Encoding turns text into tokens and back, and knows which ids are the control
// tokens of the Harmony format. It never changes once made and can be used by
// any number of goroutines at once.
type Encoding struct {
	name  string
	vocab vocab
	// merges gives the rank of a pair of tokens. If it is nil, two neighbours
	// merge whenever their bytes together are a token, whose id is the rank.
	merges *mergeTable
	// bytes is the token of each single byte.
	bytes [256]Token
	// special are the tokens that ordinary text never yields, by name.
	special map[string]Token
	opens   [256]bool // the bytes that their names begin with
	lengths []int     // of their names, longest first
	control Control
	long    sync.Pool // of *longMerge
}

// Control holds the ids of the tokens that structure a conversation. A
// checkpoint with its own vocabulary has its own ids.
type Control struct {
	Start     Token // <|start|> opens a header
	Message   Token // <|message|> ends the header
	End       Token // <|end|> ends a message
	Return    Token // <|return|> ends the model's last message
	Call      Token // <|call|> ends a tool call
	Channel   Token // <|channel|> comes before the channel's name
	Constrain Token // <|constrain|> comes before a content type
}

// The control tokens' names.
const (
	startName     = "<|start|>"
	messageName   = "<|message|>"
	endName       = "<|end|>"
	returnName    = "<|return|>"
	callName      = "<|call|>"
	channelName   = "<|channel|>"
	constrainName = "<|constrain|>"
)

// controlNames are all of them.
var controlNames = []string{startName, messageName, endName, returnName, callName, channelName, constrainName}

// bindSpecial makes the special tokens findable in a text and looks the control
// tokens up by name.
func (e *Encoding) bindSpecial() error {
	seen := map[int]bool{}
	for name := range e.special {
		e.opens[name[0]] = true
		seen[len(name)] = true
	}
	e.lengths = slices.SortedFunc(maps.Keys(seen), func(a, b int) int { return b - a })
	c := &e.control
	for _, b := range []struct {
		name string
		id   *Token
	}{
		{startName, &c.Start}, {messageName, &c.Message}, {endName, &c.End}, {returnName, &c.Return},
		{callName, &c.Call}, {channelName, &c.Channel}, {constrainName, &c.Constrain},
	} {
		id, ok := e.special[b.name]
		if !ok {
			return fmt.Errorf("the vocabulary has no special token %s, so it is not one for Harmony", b.name)
		}
		*b.id = id
	}
	return nil
}

// Name returns "o200k_harmony" for the built-in encoding.
func (e *Encoding) Name() string { return e.name }

// VocabSize returns one more than the largest id.
func (e *Encoding) VocabSize() int { return len(e.vocab.spans) }

// Control returns the ids of the control tokens.
func (e *Encoding) Control() Control { return e.control }

// StopTokens returns the tokens that end a message: <|return|>, <|end|>, <|call|>.
func (e *Encoding) StopTokens() []Token {
	return []Token{e.control.Return, e.control.End, e.control.Call}
}

// ActionStopTokens returns the tokens at which a sampler hands over to the
// caller: <|return|> and <|call|>. An <|end|> only ends one of several messages.
func (e *Encoding) ActionStopTokens() []Token {
	return []Token{e.control.Return, e.control.Call}
}

// isStop reports whether the token ends a message.
func (c *Control) isStop(t Token) bool { return t == c.End || t == c.Return || t == c.Call }

// IsSpecial reports whether ordinary text never yields the token.
func (e *Encoding) IsSpecial(t Token) bool {
	return e.vocab.of(t) != "" && e.vocab.spans[t].start >= e.vocab.specialFrom
}

// Sampleable reports whether a model may say the token: it is ordinary text or
// one of the seven control tokens. Reserved and unused ids are not sampleable.
func (e *Encoding) Sampleable(t Token) bool {
	c := &e.control
	switch t {
	case c.Start, c.Message, c.End, c.Return, c.Call, c.Channel, c.Constrain:
		return true
	}
	return e.vocab.of(t) != "" && !e.IsSpecial(t)
}

// Encode returns the tokens of the text. All of it is ordinary text: a
// "<|end|>" in it is spelled out and never becomes the control token. A byte
// that is no valid UTF-8 is kept as that byte.
func (e *Encoding) Encode(text string) []Token {
	return e.AppendEncode(make([]Token, 0, len(text)/4+1), text)
}

// AppendEncode appends what Encode returns to dst.
func (e *Encoding) AppendEncode(dst []Token, text string) []Token {
	c := classes()
	for i := 0; i < len(text); {
		j := c.piece(text, i)
		if t, ok := e.vocab.find(text, i, j); ok {
			dst = append(dst, t)
		} else {
			dst = e.merge(dst, text, i, j)
		}
		i = j
	}
	return dst
}

// EncodeWithSpecial encodes text in which the names of special tokens stand for
// the tokens themselves. It is for vectors, tests and people's tools: on text
// from outside it lets that text forge messages.
func (e *Encoding) EncodeWithSpecial(text string) []Token {
	var out []Token
	for text != "" {
		i, name := e.firstSpecial(text)
		out = e.AppendEncode(out, text[:i])
		if name != "" {
			out = append(out, e.special[name])
		}
		text = text[i+len(name):]
	}
	return out
}

// firstSpecial returns where the first special token's name stands in the text
// (of two that begin there, the longer), or the text's length and "".
func (e *Encoding) firstSpecial(text string) (int, string) {
	for i := range len(text) {
		if !e.opens[text[i]] {
			continue
		}
		for _, n := range e.lengths {
			if n > len(text)-i {
				continue
			}
			if _, ok := e.special[text[i:i+n]]; ok {
				return i, text[i : i+n]
			}
		}
	}
	return len(text), ""
}

// UnknownTokenError is a token that the vocabulary does not have. It is worded
// as openai-harmony words it.
type UnknownTokenError struct{ Token Token }

func (e *UnknownTokenError) Error() string {
	return fmt.Sprintf("Invalid token for decoding: %d", e.Token)
}

// Decode returns the bytes of the tokens as a string, special tokens as their
// names. The string is not valid UTF-8 if the tokens cut a character in two.
func (e *Encoding) Decode(tokens []Token) (string, error) {
	var b strings.Builder
	for _, t := range tokens {
		s := e.vocab.of(t)
		if s == "" {
			return "", &UnknownTokenError{t}
		}
		b.WriteString(s)
	}
	return b.String(), nil
}

// TokenText returns the bytes of one token, a special token's name, or "" for an
// id that the vocabulary does not have.
func (e *Encoding) TokenText(t Token) string { return e.vocab.of(t) }
