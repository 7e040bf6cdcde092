package harmony

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Token is an id of the vocabulary. It is an alias so that the inference
// engine can speak uint32 without importing this package.
type Token = uint32

// Role is the author's place in the instruction hierarchy. The zero value is
// no role at all and is never rendered.
type Role uint8

// The five roles, from most to least authority.
const (
	System Role = iota + 1
	Developer
	User
	Assistant
	Tool
)

var roleNames = [...]string{"", "system", "developer", "user", "assistant", "tool"}

// String returns the word that stands for the role in a message header.
func (r Role) String() string {
	if int(r) < len(roleNames) {
		return roleNames[r]
	}
	return fmt.Sprintf("role(%d)", uint8(r))
}

// ParseRole returns the role that a header word stands for. Case matters.
func ParseRole(word string) (Role, bool) {
	for r := System; r <= Tool; r++ {
		if roleNames[r] == word {
			return r, true
		}
	}
	return 0, false
}

// Outranks reports whether r has more authority than s.
func (r Role) Outranks(s Role) bool { return r != 0 && (s == 0 || r < s) }

// The channels that gpt-oss knows.
const (
	Analysis   = "analysis"
	Commentary = "commentary"
	Final      = "final"
)

// Blank is a set of optional text fields that are there although their text is
// empty. openai-harmony tells a missing recipient from an empty one (only the
// second turns a message into a call), so the parser and the JSON reader do
// too. Nobody who builds messages by hand needs it: an empty field without its
// bit is an absent field.
type Blank uint16

// The fields that can be blank.
const (
	BlankName Blank = 1 << iota
	BlankRecipient
	BlankChannel
	BlankContentType
	BlankIdentity
	BlankCutoff
	BlankDate
	BlankInstructions
)

// has reports whether the field is present, given its text and its bit.
func (b Blank) has(text string, field Blank) bool { return text != "" || b&field != 0 }

// Message is one turn of a conversation. Empty fields are absent ones.
type Message struct {
	Role Role
	// Name is the author's name. A tool message must have one: the full name
	// of the function, "functions.get_weather", which stands in the header
	// instead of a role word.
	Name string
	// Recipient is whom the message is addressed to: a tool for calls, the
	// assistant for tool results. Any recipient at all makes an assistant
	// message end in <|call|>.
	Recipient string
	// Channel is one of Analysis, Commentary and Final, or absent.
	Channel string
	// ContentType is what the model writes behind the recipient, such as
	// "<|constrain|>json" or "code".
	ContentType string
	// Content is rendered part by part, each tokenised alone.
	Content []Part
	// Sampled holds the very tokens that the model emitted for this message: the
	// part of the stream from Parsed.Start to Parsed.End. If set, they are
	// rendered instead of the fields above, so that the history is what the
	// model said and the KV cache stays valid. It must only ever hold tokens
	// that came out of a sampler: this is the one way for control tokens to get
	// past the renderer.
	Sampled []Token
	// Blank lists the optional fields that are present but empty.
	Blank Blank
}

// Part is one piece of a message's content: Text, *SystemContent or
// *DeveloperContent.
type Part interface{ part() }

// Text is content that is rendered as it is, always as ordinary text.
type Text string

func (Text) part()              {}
func (*SystemContent) part()    {}
func (*DeveloperContent) part() {}

// NewMessage returns a message of one text.
func NewMessage(r Role, text string) Message {
	return Message{Role: r, Content: []Part{Text(text)}}
}

// NewToolResult returns the message that carries a tool's output back to the
// assistant. Name is the full name of the function that was called and channel
// the one that the call was made on.
func NewToolResult(name, channel, output string) Message {
	return Message{
		Role: Tool, Name: name, Channel: channel, Recipient: Assistant.String(),
		Content: []Part{Text(output)},
	}
}

// Text returns the message's text parts, one after the other.
func (m *Message) Text() string {
	if len(m.Content) == 1 {
		t, _ := m.Content[0].(Text)
		return string(t)
	}
	var b strings.Builder
	for _, p := range m.Content {
		if t, ok := p.(Text); ok {
			b.WriteString(string(t))
		}
	}
	return b.String()
}

// IsCall reports whether the message is the assistant calling a tool.
func (m *Message) IsCall() bool {
	return m.Role == Assistant && m.Blank.has(m.Recipient, BlankRecipient)
}

// Namespace is a group of functions that the prompt declares to the model.
// Without functions it is a heading and a description, as python is.
type Namespace struct {
	Name        string
	Description string
	Functions   []Function
}

// Function is one callable of a namespace. Parameters is a JSON Schema whose
// key order is kept; nil means that the function takes no arguments.
type Function struct {
	Name        string
	Description string
	Parameters  json.RawMessage
}
