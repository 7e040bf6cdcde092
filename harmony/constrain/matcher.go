package constrain

import "chorale/harmony"

// Schema is a compiled schema. It is safe for concurrent use and keeps the masks
// that its matchers have computed, up to some megabytes.
type Schema struct {
	unenforced []error
}

// Unenforced lists what [Options.Lenient] left out, as *[UnsupportedError].
func (s *Schema) Unenforced() []error { return s.unenforced }

// Start returns a matcher at the beginning of a document.
func (s *Schema) Start() *Matcher { return &Matcher{schema: s} }

// Matcher follows one document, token by token. It is not safe for concurrent
// use.
type Matcher struct {
	schema *Schema
	ended  bool
}

// Mask returns the tokens that may come next. It is never empty before the end,
// is shared and must not be changed.
func (m *Matcher) Mask() Mask { return nil }

// Accept takes the next token. A token that the mask does not allow is an error,
// *[RefusedError] or [ErrEnded], and changes nothing.
func (m *Matcher) Accept(id harmony.Token) error { return ErrEnded }

// Done reports whether the document is complete as it stands, so that the tokens
// of [Options.End] are allowed. It may still be possible to go on: after the
// number 1, with 12.
func (m *Matcher) Done() bool { return false }

// Ended reports whether one of the tokens of [Options.End] has been accepted.
func (m *Matcher) Ended() bool { return m.ended }

// Forced appends the tokens that must come next, whatever the model would say:
// the text that the schema leaves no choice about, encoded as the model would
// have encoded it. Tokens that could merge with what follows are not among
// them. They are not accepted yet: call Accept with each.
func (m *Matcher) Forced(dst []harmony.Token) []harmony.Token { return dst }

// Clone returns a matcher that goes on from here on its own.
func (m *Matcher) Clone() *Matcher {
	c := *m
	return &c
}
