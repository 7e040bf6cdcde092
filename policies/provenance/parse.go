package provenance

import (
	"fmt"
	"regexp"

	"chorale/internal/strictyaml"
)

// document is a manifest file as it is written.
type document struct {
	Boundary Boundary           `yaml:"boundary"`
	Tools    map[string]toolDoc `yaml:"tools"`
}

type toolDoc struct {
	Irreversible bool             `yaml:"irreversible"`
	Output       Output           `yaml:"output"`
	Fields       []string         `yaml:"fields"`
	Minted       []string         `yaml:"minted"`
	Author       []string         `yaml:"author"`
	Payees       []string         `yaml:"payees"`
	Args         map[string]Class `yaml:"args"`
	Keys         []string         `yaml:"keys"`
}

var toolName = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)?$`)

// Check refuses names that no tool can have, and fields that mean nothing.
func (d *document) Check() error {
	for name, t := range d.Tools {
		switch {
		case !toolName.MatchString(name):
			return strictyaml.At("tools", strictyaml.At(name, fmt.Errorf("%q is no tool's name; write it as functions.send_mail", name)))
		case len(t.Fields) > 0 && t.Output != Trusted:
			return strictyaml.At("tools", strictyaml.At(name, strictyaml.At("fields", fmt.Errorf("say what a directory names; the output is not declared as one"))))
		}
	}
	return nil
}

// UnmarshalText reads "untrusted", "directory" or "derived".
func (o *Output) UnmarshalText(text []byte) error {
	switch string(text) {
	case "untrusted":
		*o = Untrusted
	case "directory":
		*o = Trusted
	case "derived":
		*o = Derived
	default:
		return fmt.Errorf("must be untrusted, directory or derived, got %q", text)
	}
	return nil
}

// Parse reads a manifest file. Name is the file's, for errors, which give line
// and column.
func Parse(name string, src []byte) (*Manifest, error) {
	var doc document
	if err := strictyaml.DecodeKind(name, src, "Manifest", &doc); err != nil {
		return nil, err
	}
	m := &Manifest{Boundary: doc.Boundary, Tools: map[string]Tool{}}
	for tool, t := range doc.Tools {
		m.Tools[tool] = Tool{Irreversible: t.Irreversible, Output: t.Output, Fields: t.Fields, Minted: t.Minted, Author: t.Author, Payees: t.Payees, Args: t.Args, Keys: t.Keys}
	}
	return m, nil
}
