package agentdojo

import (
	"encoding/json"
	"fmt"
	"slices"

	"chorale/policies/provenance"
)

// manifestDoc is a manifest in the form that lies beside the traces.
type manifestDoc struct {
	Boundary struct {
		Domains []string `json:"domains"`
		Hosts   []string `json:"hosts"`
		Members []string `json:"members"`
		Payees  []string `json:"payee_fields"` // of any tool's outputs
	} `json:"boundary"`
	Tools map[string]struct {
		SideEffect   bool              `json:"side_effect"`
		Irreversible bool              `json:"irreversible"`
		Output       string            `json:"output"`
		Minted       []string          `json:"minted_fields"`
		Author       []string          `json:"author_fields"`
		Payees       []string          `json:"payee_fields"`
		Args         map[string]string `json:"args"`
	} `json:"tools"`
}

// classes are the words for classes, long and short. A word that is not here
// means the strictest class.
var classes = map[string]provenance.Class{
	"dest": provenance.Destination, "destination": provenance.Destination, "recipient": provenance.Destination, "payee": provenance.Destination,
	"sel": provenance.Selector, "selector": provenance.Selector, "id": provenance.Selector,
	"url": provenance.URL, "link": provenance.URL, "text": provenance.Text, "body": provenance.Text,
	"val": provenance.Value, "value": provenance.Value, "date": provenance.Value, "time": provenance.Value, "query": provenance.Value, "enum": provenance.Value,
	"amt": provenance.Amount, "amount": provenance.Amount, "money": provenance.Amount, "number": provenance.Amount,
	"secret": provenance.Secret, "password": provenance.Secret, "credential": provenance.Secret,
}

// authors are the fields of a record that say who wrote it, where a manifest
// names none.
var authors = []string{"sender", "from", "author"}

// ReadManifest reads a manifest for functions of the names that the traces use.
func ReadManifest(name string, src []byte) (*provenance.Manifest, error) {
	var doc manifestDoc
	if err := json.Unmarshal(src, &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(doc.Tools) == 0 {
		return nil, fmt.Errorf("%s: names no tools", name)
	}
	m := &provenance.Manifest{Tools: map[string]provenance.Tool{}, Boundary: provenance.Boundary{
		Domains: doc.Boundary.Domains, Hosts: doc.Boundary.Hosts, Members: doc.Boundary.Members,
	}}
	// A service names its records by the same field wherever it gives one out,
	// also in the result of an action.
	var minted []string
	for _, t := range doc.Tools {
		minted = append(minted, t.Minted...)
	}
	slices.Sort(minted)
	minted = slices.Compact(minted)
	for tool, t := range doc.Tools {
		out := provenance.Tool{Effects: t.SideEffect, Irreversible: t.Irreversible, Minted: minted, Author: t.Author, Args: map[string]provenance.Class{}}
		out.Payees = slices.Concat(doc.Boundary.Payees, t.Payees)
		if len(out.Author) == 0 {
			out.Author = authors
		}
		if t.Output == "directory" || t.Output == "trusted" {
			out.Output = provenance.Trusted
		}
		for arg, word := range t.Args {
			class, known := classes[word]
			if !known {
				class = provenance.Secret
			}
			out.Args[arg] = class
		}
		m.Tools[namespace+"."+tool] = out
	}
	return m, nil
}

const namespace = "functions"
