package policies

import (
	"fmt"
	"slices"

	"chorale/internal/strictyaml"
	"chorale/policies/provenance"
)

// originsDoc is a file's `origins:`: what becomes of a call whose arguments
// nobody vouches for. What a file does not state it does not restrict.
type originsDoc struct {
	line int
	originsBody
}

func (o *originsDoc) DecodeNode(n strictyaml.Node) error {
	o.line = n.Line()
	return n.Decode(&o.originsBody)
}

type originsBody struct {
	Destination  *Verdict `yaml:"destination"`
	Selector     *Verdict `yaml:"selector"`
	Secret       *Verdict `yaml:"secret"`
	ComposedURL  *Verdict `yaml:"composedUrl"`
	NewHost      *Verdict `yaml:"newHost"`
	VouchedHost  *Verdict `yaml:"vouchedHost"`
	TextLink     *Verdict `yaml:"textLink"`
	Irreversible *Verdict `yaml:"irreversible"`
	Steered      *Verdict `yaml:"steered"`
	Unanchored   *Verdict `yaml:"unanchored"`
}

// originRule is one question about the origins of a call's values. The reason
// is told to the model, so it names no value, label or host.
type originRule struct {
	id, reason string
	stated     func(*originsBody) *Verdict
	trips      func(*Request) bool
}

var originRules = []originRule{
	{"origins.destination", "a recipient was not named by the user",
		func(o *originsBody) *Verdict { return o.Destination }, unnamedDestination},
	{"origins.selector", "what is acted on was not named by the user",
		func(o *originsBody) *Verdict { return o.Selector }, unnamedSelector},
	{"origins.secret", "a secret was not given by the user",
		func(o *originsBody) *Verdict { return o.Secret }, func(r *Request) bool {
			return slices.ContainsFunc(r.Leaves, func(l provenance.Leaf) bool {
				return l.Class == provenance.Secret && !l.Class.Suits(l.Label)
			})
		}},
	{"origins.composedUrl", "the address was made up",
		func(o *originsBody) *Verdict { return o.ComposedURL }, func(r *Request) bool {
			return requests(r, provenance.Invented, provenance.OnNamed)
		}},
	{"origins.newHost", "the host was not named by the user",
		func(o *originsBody) *Verdict { return o.NewHost }, func(r *Request) bool {
			return requests(r, provenance.Invented, provenance.Foreign)
		}},
	{"origins.vouchedHost", "the host was not named by the user",
		func(o *originsBody) *Verdict { return o.VouchedHost }, func(r *Request) bool {
			return requests(r, provenance.Vouched)
		}},
	{"origins.textLink", "the text links to a host that the user did not name",
		func(o *originsBody) *Verdict { return o.TextLink }, foreignLink},
	{"origins.irreversible", "the call cannot be taken back, and the user did not name what it acts on",
		func(o *originsBody) *Verdict { return o.Irreversible }, irreversible},
	{"origins.steered", "a text that is not trusted speaks of what was chosen",
		func(o *originsBody) *Verdict { return o.Steered }, func(r *Request) bool {
			return r.Effect != Read && slices.ContainsFunc(r.Leaves, func(l provenance.Leaf) bool { return l.Steered })
		}},
	{"origins.unanchored", "nothing in the call was named by the user",
		func(o *originsBody) *Verdict { return o.Unanchored }, unanchored},
}

// findings are what the origins say of a call.
func (o *originsDoc) findings(f *file, r *Request) []Finding {
	if o == nil {
		return nil
	}
	var out []Finding
	for _, rule := range originRules {
		if v := rule.stated(&o.originsBody); v != nil && *v != Allow && rule.trips(r) {
			out = append(out, Finding{Layer: f.layer, File: f.name, Line: o.line, Rule: rule.id, Verdict: *v, Reason: rule.reason, limits: unlimited})
		}
	}
	return out
}

// unnamedDestination reports a recipient that nobody vouches for. One case is
// milder: where the user sent us to a page to find something about a party
// that the user named, what stands there and nowhere else goes with that party.
func unnamedDestination(r *Request) bool {
	if r.Effect == Read {
		return false
	}
	named := slices.ContainsFunc(r.Leaves, func(l provenance.Leaf) bool {
		return l.Class == provenance.Destination && l.Label == provenance.User
	})
	return slices.ContainsFunc(r.Leaves, func(l provenance.Leaf) bool {
		return l.Class == provenance.Destination && !l.Class.Suits(l.Label) && !(l.Sent && named)
	})
}

func unnamedSelector(r *Request) bool {
	return r.Effect != Read && slices.ContainsFunc(r.Leaves, func(l provenance.Leaf) bool {
		return l.Class == provenance.Selector && !l.Class.Suits(l.Label)
	})
}

// requests reports whether the call asks for an address of such a standing.
func requests(r *Request, standings ...provenance.Standing) bool {
	return slices.ContainsFunc(r.Leaves, func(l provenance.Leaf) bool {
		return l.Class == provenance.URL && slices.ContainsFunc(l.Links, func(k provenance.Link) bool {
			return slices.Contains(standings, k.Standing)
		})
	})
}

// foreignLink reports a link in a text to a host that nobody named: the reader
// would take it for ours.
func foreignLink(r *Request) bool {
	return r.Effect != Read && slices.ContainsFunc(r.Leaves, func(l provenance.Leaf) bool {
		return l.Class == provenance.Text && slices.ContainsFunc(l.Links, func(k provenance.Link) bool {
			return k.Standing != provenance.Named && k.Standing != provenance.OnNamed
		})
	})
}

// irreversible reports a call for good on something that the user did not name.
func irreversible(r *Request) bool {
	return r.Irreversible && (nothingNamed(r) || slices.ContainsFunc(r.Leaves, func(l provenance.Leaf) bool {
		return (l.Class == provenance.Destination || l.Class == provenance.Selector) && l.Label < provenance.Developer
	}))
}

// unanchored reports a side effect that has nothing to do with what the user
// said: nobody vouches for any value, and no text echoes the user's words. It
// is evidence and no proof: an attacker can echo words as well. Requests of an
// address are judged by the address.
func unanchored(r *Request) bool {
	return r.Effect != Read && nothingNamed(r) && !slices.ContainsFunc(r.Leaves, func(l provenance.Leaf) bool {
		return l.Class == provenance.URL || l.Echo
	})
}

// nothingNamed reports that nobody vouches for any value, of a call that has
// some. What a directory or service vouches for counts where it decides whom or
// what the call is about; in a text it is decoration.
func nothingNamed(r *Request) bool {
	return len(r.Leaves) > 0 && !slices.ContainsFunc(r.Leaves, func(l provenance.Leaf) bool {
		least := provenance.Developer
		if l.Class == provenance.Destination || l.Class == provenance.Selector {
			least = provenance.Minted
		}
		return l.Label >= least
	})
}

// Check refuses an empty section.
func (o *originsBody) Check() error {
	if *o == (originsBody{}) {
		return fmt.Errorf("says nothing; give destination, selector, secret, composedUrl, newHost, vouchedHost, textLink, irreversible, steered or unanchored")
	}
	return nil
}
