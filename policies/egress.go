package policies

import (
	"errors"
	"strings"

	"chorale/internal/strictyaml"
	"chorale/policies/provenance"
)

// egressDoc is a file's `egress:`: the form of the addresses that calls ask for.
type egressDoc struct {
	line int
	egressBody
}

type egressBody struct {
	MaxURLQuery int `yaml:"maxUrlQuery,required"` // bytes behind the question mark
}

func (e *egressDoc) DecodeNode(n strictyaml.Node) error {
	e.line = n.Line()
	return n.Decode(&e.egressBody)
}

// Check implements strictyaml.Checker.
func (e *egressBody) Check() error {
	if e.MaxURLQuery < 0 {
		return strictyaml.At("maxUrlQuery", errors.New("must not be negative"))
	}
	return nil
}

// findings are what the file says of the addresses that a call asks for: a long
// query can carry data out, also to a host that is allowed.
func (e *egressDoc) findings(f *file, r *Request) []Finding {
	if e == nil {
		return nil
	}
	for _, l := range r.Leaves {
		if reason := e.refuses(l); reason != "" {
			return []Finding{{Layer: f.layer, File: f.name, Line: e.line, Rule: "egress.maxUrlQuery", Verdict: Deny, Reason: reason, limits: unlimited}}
		}
	}
	return nil
}

// refuses says why an address must not be asked for; "" if it may.
func (e *egressBody) refuses(l provenance.Leaf) string {
	address, _, _ := strings.Cut(l.Text, "#") // is not sent
	_, query, _ := strings.Cut(address, "?")
	switch {
	case l.Class != provenance.URL:
	case l.Text == "": // stands for those that were not looked at
		return "the address cannot be read"
	case len(query) > e.MaxURLQuery:
		return "the query of the address is too long"
	}
	return ""
}
