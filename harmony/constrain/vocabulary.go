package constrain

import (
	"errors"

	"chorale/harmony"
)

// Vocabulary holds the ordinary tokens of an encoding in the order of their
// bytes. It never changes once made.
type Vocabulary struct {
	enc  *harmony.Encoding
	text Mask
}

// NewVocabulary prepares an encoding, in some 100 ms for 200,000 tokens.
// Special tokens have no text here: no document spells one.
func NewVocabulary(enc *harmony.Encoding) (*Vocabulary, error) {
	return nil, errors.New("constrain: not there yet")
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
	// Blanks allows one space or line break with its indent between the parts of
	// a document. Otherwise there is none.
	Blanks bool
	// Lenient leaves out what masks cannot hold; [Schema.Unenforced] lists it,
	// and whoever reads the document has to check it.
	Lenient bool
}

// Compile prepares a JSON Schema (2020-12, and the older definitions). The error
// is an *[UnsupportedError] or an *[InvalidError].
func (v *Vocabulary) Compile(schema []byte, o Options) (*Schema, error) {
	return nil, errors.New("constrain: not there yet")
}

// Choice prepares a text, no JSON, that is one of the given ones.
func (v *Vocabulary) Choice(texts []string, end []harmony.Token) (*Schema, error) {
	return nil, errors.New("constrain: not there yet")
}
