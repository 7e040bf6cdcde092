package provenance

import (
	"encoding/json"

	"go.yaml.in/yaml/v3"

	"chorale/internal/strictjson"
)

// record is a value of a structured output: a mapping, a list or a scalar.
type record struct {
	fields map[string]string // the scalars of a mapping, and no others
	items  map[string][]*record
	list   []*record
	text   string // of a scalar
	scalar bool
}

// parseRecords reads an output as JSON or else as YAML. Text that is neither is
// nil. A document that is one scalar is a record of one value.
func parseRecords(text string) *record {
	if len(text) > 1<<20 {
		return nil
	}
	if v, err := strictjson.Parse(text); err == nil {
		return fromJSON(v)
	}
	var n yaml.Node
	if yaml.Unmarshal([]byte(text), &n) != nil || len(n.Content) != 1 {
		return nil
	}
	return fromYAML(n.Content[0], 0)
}

func fromJSON(v any) *record {
	r := &record{}
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			r.put(key, fromJSON(value))
		}
	case []any:
		for _, item := range v {
			r.list = append(r.list, fromJSON(item))
		}
	case string:
		r.text, r.scalar = v, true
	case json.Number:
		r.text, r.scalar = v.String(), true
	}
	return r
}

// maxDepth bounds nesting; what lies deeper vouches for nothing.
const maxDepth = 64

// fromYAML takes nodes as they stand: aliases are not followed, tags not obeyed.
func fromYAML(n *yaml.Node, depth int) *record {
	r := &record{}
	if depth > maxDepth {
		return r
	}
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			r.put(n.Content[i].Value, fromYAML(n.Content[i+1], depth+1))
		}
	case yaml.SequenceNode:
		for _, item := range n.Content {
			r.list = append(r.list, fromYAML(item, depth+1))
		}
	case yaml.ScalarNode:
		r.text, r.scalar = n.Value, n.Tag != "!!null"
	}
	return r
}

func (r *record) put(key string, v *record) {
	if v.scalar {
		if r.fields == nil {
			r.fields = map[string]string{}
		}
		r.fields[key] = v.text
		return
	}
	if r.items == nil {
		r.items = map[string][]*record{}
	}
	r.items[key] = append(r.items[key], v)
}

// each calls f with every record in r that has scalar fields.
func (r *record) each(f func(*record)) {
	if r.fields != nil {
		f(r)
	}
	for _, items := range r.items {
		for _, item := range items {
			item.each(f)
		}
	}
	for _, item := range r.list {
		item.each(f)
	}
}

// scalars calls f with every scalar in r and the field that it stands in.
func (r *record) scalars(field string, f func(field, value string)) {
	if r.scalar && r.text != "" {
		f(field, r.text)
	}
	for key, value := range r.fields {
		if value != "" {
			f(key, value)
		}
	}
	for key, items := range r.items {
		for _, item := range items {
			item.scalars(key, f)
		}
	}
	for _, item := range r.list {
		item.scalars(field, f)
	}
}
