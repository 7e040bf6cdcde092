package main

import (
	"fmt"
	"strings"

	"chorale/agent"
	"chorale/policies/provenance"
)

// maxShownValue bounds what a question shows of one value; the call itself
// stands above it in full.
const maxShownValue = 80

// originLines say where each value of a call came from, with the untrusted text
// around those that were found in such.
func originLines(q agent.Question) []string {
	var out []string
	for _, l := range q.Leaves {
		line := fmt.Sprintf("%s %s: %s", l.Arg, quoted(l.Text), originWords(l))
		if host := lookalike(l); host != "" {
			line += "; letters outside ASCII: " + host
		}
		out = append(out, line)
		if l.Quote != "" {
			out = append(out, "   “… "+show(strings.Join(strings.Fields(l.Quote), " "))+" …”")
		}
	}
	return out
}

func originWords(l provenance.Leaf) string {
	switch l.Label {
	case provenance.User, provenance.Developer:
		return "named by the " + strings.Replace(l.Source, "approval", "person who approved it", 1)
	case provenance.Directory:
		return "from the directory " + l.Source
	case provenance.Member:
		return "inside the boundary"
	case provenance.Minted:
		return "an identifier from " + l.Source
	case provenance.Observed:
		return "found in untrusted output of " + l.Source
	}
	return "made up by the model"
}

// lookalike spells an address that holds letters outside ASCII, which can pass
// for others.
func lookalike(l provenance.Leaf) string {
	name := provenance.Host(l.Text)
	if d := provenance.Domain(l.Text); d != "" {
		name = d
	}
	for _, r := range name {
		if r >= 0x80 {
			return fmt.Sprintf("%+q", name)
		}
	}
	return ""
}

func quoted(s string) string {
	if r := []rune(s); len(r) > maxShownValue {
		s = string(r[:maxShownValue]) + "…"
	}
	return fmt.Sprintf("%q", s)
}
