package provenance

import (
	"encoding/json"
	"slices"

	"chorale/internal/strictjson"
)

// Manifest says what the tools of a run mean: what their arguments are for, and
// whose word their outputs are. It follows from what a tool does and is written
// by who offers the tool. What it does not say is the safest there is: output
// is untrusted, and nothing in it is minted.
type Manifest struct {
	Boundary Boundary
	Tools    map[string]Tool // by the name that the model calls: "functions.send_mail"
}

// Tool is what a manifest says of one tool.
type Tool struct {
	Effects      bool // declared to have side effects, as a side effect may be declared elsewhere too
	Irreversible bool // what it did cannot be taken back
	Output       Output
	Fields       []string // of a directory's records: those that name something; none: every value
	Minted       []string // fields of its records that the service fills with identifiers of its own
	Author       []string // fields of its records that say who wrote the rest
	Payees       []string // fields of its records that name whom the user has dealt with
	Args         map[string]Class
	Keys         []string // fields within its arguments; a key that is none of them is a value
}

// Output is whose word a tool's output is.
type Output uint8

// The outputs.
const (
	Untrusted Output = iota // anybody may have written it
	Trusted                 // a directory: kept by people whom the user trusts
	Derived                 // computed from the call's own arguments and what was computed before
)

// Boundary is the inside: who belongs to it may receive.
type Boundary struct {
	Domains []string `yaml:"domains"` // of mail addresses; subdomains do not count
	Hosts   []string `yaml:"hosts"`   // of addresses; "*.example.com" is what lies below
	Members []string `yaml:"members"` // names, accounts, channels
}

// Declare adds the names of fields that the declaration of a tool's arguments
// gives, a JSON Schema.
func (m *Manifest) Declare(tool string, schema json.RawMessage) {
	t, ok := m.Tools[tool]
	v, err := strictjson.Parse(string(schema))
	if !ok || err != nil {
		return
	}
	t.Keys = declared(slices.Clone(t.Keys), v)
	m.Tools[tool] = t
}

func declared(out []string, schema any) []string {
	switch v := schema.(type) {
	case map[string]any:
		for _, key := range sortedKeys(v) {
			if fields, ok := v[key].(map[string]any); ok && key == "properties" {
				out = append(out, sortedKeys(fields)...)
			}
			out = declared(out, v[key])
		}
	case []any:
		for _, item := range v {
			out = declared(out, item)
		}
	}
	return out
}

// Join is a manifest of the tools and boundaries of both. Of a tool that both
// know, other's word counts.
func (m *Manifest) Join(other *Manifest) *Manifest {
	out := &Manifest{Tools: map[string]Tool{}}
	for _, each := range []*Manifest{m, other} {
		if each == nil {
			continue
		}
		b := each.Boundary
		out.Boundary.Domains = append(out.Boundary.Domains, b.Domains...)
		out.Boundary.Hosts = append(out.Boundary.Hosts, b.Hosts...)
		out.Boundary.Members = append(out.Boundary.Members, b.Members...)
		for name, t := range each.Tools {
			out.Tools[name] = t
		}
	}
	return out
}
