package constrain

import (
	"errors"
	"fmt"

	"chorale/harmony"
)

// UnsupportedError is a schema that asks for what masks cannot hold.
type UnsupportedError struct {
	Path    string // where in the schema, as a JSON pointer in a fragment: "#/properties/tags"
	Keyword string // "uniqueItems"
	Reason  string
}

func (e *UnsupportedError) Error() string {
	return fmt.Sprintf("schema %s: %s: %s", e.Path, e.Keyword, e.Reason)
}

// InvalidError is a schema that is none: no JSON, a keyword with a value of the
// wrong kind, a reference to nowhere, or one that no document satisfies.
type InvalidError struct {
	Path    string
	Keyword string // "" if it is not about one
	Reason  string
}

func (e *InvalidError) Error() string {
	if e.Keyword == "" {
		return fmt.Sprintf("schema %s: %s", e.Path, e.Reason)
	}
	return fmt.Sprintf("schema %s: %s: %s", e.Path, e.Keyword, e.Reason)
}

// RefusedError is a token that the mask does not allow.
type RefusedError struct {
	Token harmony.Token
	Text  string // the token's text
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("token %d %q is not allowed here", e.Token, e.Text)
}

// ErrEnded is a token after the document's end.
var ErrEnded = errors.New("the document has ended")
