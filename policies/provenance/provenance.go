// Package provenance says where the values of a call came from: whether the
// user, the developer or a trusted directory named them, whether the model
// found them in untrusted text, or whether they stand nowhere at all. It is
// pure, and it refuses to guess: what it cannot find is composed, the label
// that vouches for nothing.
//
// The labels assume the worst of the model: that it does whatever an attacker
// wrote into a mail, a page or a file. A value is only ever as good as the text
// that it stands in, word for word.
package provenance

import "fmt"

// Label is where a value came from. A greater one vouches for more.
type Label uint8

// The labels.
const (
	Composed  Label = iota // stands nowhere in the context: the model made it up
	Observed               // stands verbatim in untrusted output
	Minted                 // an identifier that a service made, in a field declared as such
	Member                 // lies inside the declared boundary
	Directory              // equals a whole value of a trusted lookup
	Developer              // stands whole in the developer's text
	User                   // stands whole in the user's text, or a person approved it
)

var labelNames = [...]string{"composed", "observed", "minted", "member", "directory", "developer", "user"}

func (l Label) String() string {
	if int(l) < len(labelNames) {
		return labelNames[l]
	}
	return labelNames[Composed]
}

// UnmarshalText reads a label's name.
func (l *Label) UnmarshalText(text []byte) error {
	for i, name := range labelNames {
		if name == string(text) {
			*l = Label(i)
			return nil
		}
	}
	return fmt.Errorf("must be one of %v, got %q", labelNames, text)
}

// Class is what an argument means to the tool. It decides which labels do.
type Class uint8

// The classes.
const (
	Value       Class = iota // an ordinary value; nobody needs to vouch for it
	Text                     // prose; the links in it are looked at
	Amount                   // a quantity; bound it by a rule
	Destination              // who or what receives: a recipient, an account, a participant
	Selector                 // which thing is acted on: a file, a message, an event
	URL                      // an address that is requested
	Secret                   // a password or the like: the user's own word only
)

var classNames = [...]string{"value", "text", "amount", "destination", "selector", "url", "secret"}

func (c Class) String() string {
	if int(c) < len(classNames) {
		return classNames[c]
	}
	return classNames[Value]
}

// UnmarshalText reads a class's name.
func (c *Class) UnmarshalText(text []byte) error {
	for i, name := range classNames {
		if name == string(text) {
			*c = Class(i)
			return nil
		}
	}
	return fmt.Errorf("must be one of %v, got %q", classNames, text)
}

// Suits reports whether a value of the label may stand where the class needs
// somebody to vouch for it. Addresses are judged by their Links.
func (c Class) Suits(l Label) bool {
	switch c {
	case Destination:
		return l >= Member
	case Selector:
		return l >= Minted
	case Secret:
		return l == User
	}
	return true
}

// Leaf is one scalar of a call's arguments.
type Leaf struct {
	Arg    string // the top-level argument that it is part of
	Text   string // the value; a number as the model wrote it
	Class  Class
	Label  Label
	Source string // whose text it was found in: "user", "browser.open (call-3), https://shop.example"
	Quote  string // an excerpt of the untrusted text around it, for a person to read
	Links  []Link // an address itself, or those in a text
	// Sent says that the value was observed on a page whose address the user
	// gave: the user sent us there to find something.
	Sent bool
	Echo bool // two words in a row of it stand in the user's text
	// Steered says that a value which a directory offers is one that untrusted
	// prose speaks of: somebody may want it chosen.
	Steered bool
}

// Standing is what speaks for a link. A greater one vouches for more.
type Standing uint8

// The standings of links.
const (
	Invented Standing = iota // the address stands nowhere: it can carry data out
	OnNamed                  // likewise, but its host was named by user, developer or boundary
	Foreign                  // verbatim in untrusted output, and nobody named its host
	Vouched                  // verbatim in the message of a member of the boundary
	Named                    // the address, or its host and the address verbatim, was named
)

// Link is an address in an argument.
type Link struct {
	URL, Host string
	Standing  Standing
}
