package mcp

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"chorale/internal/strictyaml"
)

// PinsFile is the name of the file of accepted declarations. It lies in the
// task's folder, beside the task file: what a run may call is then reviewed and
// versioned with the task, as go.sum is with a program, and a run that nobody
// watches uses what somebody looked at. A file in the user's own folders would
// be accepted anew, unseen, on each machine.
const PinsFile = "mcp.lock.yaml"

// Pins are the declarations that a person has accepted: by server and tool, the
// hash of what the server said. The zero value accepts nothing.
type Pins map[string]map[string]string

type pinsDocument struct {
	Servers map[string]map[string]string `yaml:"servers,required"`
}

var hashPattern = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

// Check implements strictyaml.Checker.
func (d *pinsDocument) Check() error {
	for server, tools := range d.Servers {
		for tool, hash := range tools {
			if !hashPattern.MatchString(hash) {
				return strictyaml.At("servers", strictyaml.At(server, strictyaml.At(tool, fmt.Errorf("%q is no hash of a declaration", clip(hash)))))
			}
		}
	}
	return nil
}

// ParsePins reads a file of pins. Name is the file's, for errors.
func ParsePins(name string, src []byte) (Pins, error) {
	var doc pinsDocument
	if err := strictyaml.DecodeKind(name, src, "MCPLock", &doc); err != nil {
		return nil, err
	}
	return doc.Servers, nil
}

// Format writes the pins as a file.
func (p Pins) Format() []byte {
	var b strings.Builder
	b.WriteString("# Declarations of MCP tools that somebody looked at and accepted; agent mcp pin\n# writes this file. A declaration that is not here, or has changed, is not used.\n")
	fmt.Fprintf(&b, "apiVersion: %s\nkind: MCPLock\nservers:\n", strictyaml.APIVersion)
	for _, server := range slices.Sorted(maps.Keys(p)) {
		fmt.Fprintf(&b, "  %s:\n", server)
		for _, tool := range slices.Sorted(maps.Keys(p[server])) {
			fmt.Fprintf(&b, "    %s: %s\n", quote(tool), p[server][tool])
		}
	}
	return []byte(b.String())
}

// Accept adds declarations.
func (p Pins) Accept(ds ...Declaration) {
	for _, d := range ds {
		if p[d.Server] == nil {
			p[d.Server] = map[string]string{}
		}
		p[d.Server][d.Tool] = d.Hash
	}
}

// State is what the pins say of a declaration.
type State int

// The states.
const (
	New State = iota // nobody has accepted anything of the name
	Changed
	Accepted
)

func (s State) String() string { return [...]string{"new", "changed", "accepted"}[s] }

// State tells whether a declaration is accepted.
func (p Pins) State(d Declaration) State {
	switch p[d.Server][d.Tool] {
	case "":
		return New
	case d.Hash:
		return Accepted
	}
	return Changed
}
