package policies

import (
	"net/url"
	"strings"

	"chorale/internal/strictyaml"
	"chorale/internal/wall"
	"chorale/policies/provenance"
)

// hostsDoc is a file's `hosts:`: all that calls may reach. An empty list is
// nothing; a file without the key does not restrict.
type hostsDoc struct {
	line int
	list []string
	rule wall.Rule
}

func (h *hostsDoc) DecodeNode(n strictyaml.Node) (err error) {
	h.line = n.Line()
	if err = n.Decode(&h.list); err != nil {
		return err
	}
	h.rule, err = wall.ParseRule(h.list)
	return err
}

// Hosts are the lists of hosts of all files that have one. What a tool reaches
// must be allowed by each of them, and by the tool's own list.
func (p *Policy) Hosts() [][]string {
	var out [][]string
	if p != nil {
		for _, f := range p.files {
			if f.hosts != nil {
				out = append(out, f.hosts.list)
			}
		}
	}
	return out
}

// reasonHost is told to the model, so it names no host.
const reasonHost = "the host is not allowed"

// findings are what the list says of the addresses that a call asks for. A tool
// whose calls name no address is held to the list where it is opened.
func (h *hostsDoc) findings(f *file, r *Request) []Finding {
	if h == nil {
		return nil
	}
	for _, l := range r.Leaves {
		if l.Class == provenance.URL && len(l.Links) > 0 && !h.allows(l.Text) {
			return []Finding{{Layer: f.layer, File: f.name, Line: h.line, Rule: "hosts", Verdict: Deny, Reason: reasonHost, limits: unlimited}}
		}
	}
	return nil
}

func (h *hostsDoc) allows(address string) bool {
	if !strings.Contains(address, "://") {
		address = "https://" + strings.TrimPrefix(address, "//")
	}
	u, err := url.Parse(address)
	return err == nil && h.rule.CheckURL(u) == nil
}
