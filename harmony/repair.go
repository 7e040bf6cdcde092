package harmony

import "fmt"

// RepairKind names what a lenient parser had to mend.
type RepairKind uint8

// The repairs, in the order of the stream that they mend: between messages, in
// headers, in content.
const (
	// ExtraStop is a stop token where no message was open.
	ExtraStop RepairKind = iota + 1
	// StrayText is text between two messages. It comes as a Stray event.
	StrayText
	// MissingStart is a message without <|start|>.
	MissingStart
	// RepeatedStart is a <|start|> behind another.
	RepeatedStart
	// MissingRole is a header without an author; the assistant is meant.
	MissingRole
	// GarbledRole is an author's word with a slip in it, as in "Assistant".
	GarbledRole
	// UnknownRole is an author's word that is no role; a tool is meant.
	UnknownRole
	// RepeatedRole is the author's word said again.
	RepeatedRole
	// EmptyChannel is <|channel|> without a name.
	EmptyChannel
	// RepeatedChannel is a further <|channel|>; the first counts.
	RepeatedChannel
	// MissingChannel is a channel's name without <|channel|>.
	MissingChannel
	// GarbledChannel is a channel that does not exist; the nearest is meant, and
	// Parsed.RawChannel is what stood there.
	GarbledChannel
	// MissingTo is a recipient without to=.
	MissingTo
	// ExtraSpace is white space inside to=X, or between a marker and its word.
	ExtraSpace
	// ExtraWords is what no rule could place in a header. Parsed.HeaderText has it.
	ExtraWords
	// MissingMessage is a header without <|message|>; its text is the content.
	MissingMessage
	// EmptyMessage is a header without <|message|> and without text; there is no
	// message.
	EmptyMessage
	// MissingEnd is a message that the next one's header ended.
	MissingEnd
	// StrayControl is a special token inside content or a header that means
	// nothing there. It is left out.
	StrayControl
	// UnknownToken is an id outside the vocabulary, which becomes U+FFFD.
	UnknownToken
	// InvalidText is bytes that are no UTF-8; each bad sequence becomes U+FFFD.
	InvalidText
	// Truncated is a stream that ended inside a message.
	Truncated
)

var repairNames = [...]string{
	ExtraStop: "extra stop", StrayText: "stray text", MissingStart: "missing start",
	RepeatedStart: "repeated start", MissingRole: "missing role", GarbledRole: "garbled role",
	UnknownRole: "unknown role", RepeatedRole: "repeated role", EmptyChannel: "empty channel",
	RepeatedChannel: "repeated channel", MissingChannel: "missing channel",
	GarbledChannel: "garbled channel", MissingTo: "missing to", ExtraSpace: "extra space", ExtraWords: "extra words",
	MissingMessage: "missing message", EmptyMessage: "empty message", MissingEnd: "missing end",
	StrayControl: "stray control", UnknownToken: "unknown token",
	InvalidText: "invalid text", Truncated: "truncated",
}

// String returns the kind in words, as in "missing start".
func (k RepairKind) String() string {
	if k > 0 && int(k) < len(repairNames) {
		return repairNames[k]
	}
	return fmt.Sprintf("repair(%d)", uint8(k))
}

// Repair is one thing that a lenient parser mended. Token counts from the first
// that was pushed; it is the one at which the parser knew.
type Repair struct {
	Kind  RepairKind
	Token int
}
