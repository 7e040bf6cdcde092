package constrain

import (
	"strings"

	"chorale/harmony"
)

// Speech follows what the model says in a conversation, token by token. It is
// not safe for concurrent use.
type Speech struct {
	g     *Grammar
	place place
	node  int32 // in a header

	// In a body:
	body  *body
	args  *Matcher  // of content with a schema
	char  charState // of free text
	blank bool      // nothing but blanks was said where more is needed
	lead  string    // the text behind its last whole character, while it is blank

	mask Mask            // of headers: the tokens of bits, and no others
	bits []harmony.Token // those that are set in mask
}

// place is the part of a message that comes next.
type place uint8

const (
	inHeader place = iota
	inText
	inDocument
	behind // the model has called or answered
)

// Start follows the model from behind a prompt that ends in <|start|>assistant.
func (g *Grammar) Start() *Speech { return &Speech{g: g, node: g.headers.open} }

// Begin follows the model from before <|start|>.
func (g *Grammar) Begin() *Speech { return &Speech{g: g, node: g.headers.start} }

// Mask returns the tokens that may come next, as the bits of a [Mask]. It is
// good until the next Accept and must not be changed. Behind the end it is empty.
func (s *Speech) Mask() []uint64 {
	switch s.place {
	case inText:
		if s.char == whole && !s.blank {
			return s.body.mask
		}
		return s.g.vocabulary.free.masks[s.char]
	case inDocument:
		return s.args.Mask()
	}
	return s.sparse()
}

// sparse is a mask of few tokens, made by changing the last one.
func (s *Speech) sparse() Mask {
	if s.mask == nil {
		s.mask = make(Mask, len(s.g.vocabulary.text))
	}
	for _, id := range s.bits {
		s.mask.Clear(id)
	}
	s.bits = nil
	if s.place == inHeader {
		s.bits = s.g.headers.after(s.node).tokens
	}
	for _, id := range s.bits {
		s.mask.Set(id)
	}
	return s.mask
}

// Forced returns the tokens that must come next, whatever the model would say:
// text that is determined, in the encoding that the models were trained on. The
// mask may allow other ways to cut the same text. They are not accepted yet.
func (s *Speech) Forced() []harmony.Token {
	switch s.place {
	case inDocument:
		return s.args.Forced(nil)
	case inHeader:
		return s.g.headers.chain(s.node)
	}
	return nil
}

// Accept takes the next token. A token that the mask does not allow is an error,
// *[RefusedError] or [ErrEnded], and changes nothing.
func (s *Speech) Accept(id harmony.Token) error {
	ok := false
	switch s.place {
	case behind:
		return ErrEnded
	case inDocument:
		if err := s.args.Accept(id); err != nil {
			return err
		}
		if s.args.Ended() {
			s.end()
		}
		return nil
	case inText:
		ok = s.acceptText(id)
	case inHeader:
		ok = s.acceptHeader(id)
	}
	if !ok {
		return &RefusedError{Token: id, Text: s.g.vocabulary.enc.TokenText(id)}
	}
	return nil
}

func (s *Speech) acceptHeader(id harmony.Token) bool {
	to, ok := s.g.headers.accept(s.node, id)
	if !ok {
		return false
	}
	if to >= 0 {
		s.node = to
		return true
	}
	s.body = &s.g.bodies[^to]
	s.place, s.char, s.blank, s.lead = inText, whole, s.body.needed, ""
	if s.body.schema != nil {
		s.place, s.args = inDocument, s.body.schema.Start()
	}
	return true
}

func (s *Speech) acceptText(id harmony.Token) bool {
	if id == s.body.end {
		if s.char != whole || s.blank {
			return false
		}
		s.end()
		return true
	}
	char := s.g.vocabulary.free.accept(s.g.vocabulary, s.char, id)
	if char == malformed {
		return false
	}
	s.char = char
	if s.blank {
		s.heed(s.g.vocabulary.enc.TokenText(id))
	}
	return true
}

// heed looks for something said among blanks, some of which take several bytes.
func (s *Speech) heed(text string) {
	s.lead += text
	if s.char != whole {
		return
	}
	s.blank = strings.TrimSpace(s.lead) == ""
	s.lead = ""
}

// end ends a message: behind a thought or a preamble the model speaks on.
func (s *Speech) end() {
	if s.place = behind; s.body.end == s.g.control.End {
		s.place, s.node = inHeader, s.g.headers.start
	}
	s.body, s.args = nil, nil
}

// Ended reports whether the model has handed over, by a call or an answer.
func (s *Speech) Ended() bool { return s.place == behind }

// Fork is Clone, for those who know a speech by what it must do only.
func (s *Speech) Fork() interface {
	Mask() []uint64
	Forced() []harmony.Token
	Accept(harmony.Token) error
} {
	return s.Clone()
}

// Clone returns a speech that goes on from here on its own.
func (s *Speech) Clone() *Speech {
	c := *s
	c.mask, c.bits = nil, nil
	if s.args != nil {
		c.args = s.args.Clone()
	}
	return &c
}
