package harmony

import (
	"encoding/json"
	"fmt"
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

// Outranks reports whether r has more authority than s.
func (r Role) Outranks(s Role) bool { return r != 0 && (s == 0 || r < s) }

// The channels that gpt-oss knows.
const (
	Analysis   = "analysis"
	Commentary = "commentary"
	Final      = "final"
)

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
