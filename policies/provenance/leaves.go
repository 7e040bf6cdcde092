package provenance

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"chorale/internal/strictjson"
	"chorale/tools"
)

// maxLeaves bounds the values of one call that are looked at; nobody vouches for
// the rest.
const maxLeaves = 1000

// Leaves says of every scalar in a call's arguments where it came from, and of
// keys that nobody declared. Source text, and arguments that are no JSON, are one
// leaf.
func (l *Ledger) Leaves(c tools.Call) []Leaf {
	t := l.manifest.Tools[c.Name()]
	if c.Function == "" {
		return []Leaf{{Arg: "code", Text: c.Args, Class: Value, Label: Composed}}
	}
	if strings.TrimSpace(c.Args) == "" {
		return nil
	}
	v, err := strictjson.Parse(c.Args)
	args, ok := v.(map[string]any)
	if err != nil || !ok {
		return unread(t)
	}
	w := walker{ledger: l, tool: c.Name(), keys: t.Keys}
	for _, name := range sortedKeys(args) {
		w.arg, w.class = name, t.Args[name]
		w.walk(name, args[name])
	}
	if w.full {
		return append(w.out, unread(t)...)
	}
	return w.out
}

// unread stands for values that were not looked at: one of each class that the
// tool has, which nobody vouches for.
func unread(t Tool) []Leaf {
	out := []Leaf{{Arg: "$"}}
	for _, name := range sortedKeys(t.Args) {
		leaf := Leaf{Arg: name, Class: t.Args[name]}
		if leaf.Class == URL || leaf.Class == Text {
			leaf.Links = []Link{{}}
		}
		out = append(out, leaf)
	}
	return out
}

// walker lists the leaves of an argument.
type walker struct {
	ledger *Ledger
	tool   string
	keys   []string // that the tool declares
	arg    string
	class  Class
	out    []Leaf
	full   bool // there were more values than are looked at
}

func (w *walker) walk(key string, v any) {
	if len(w.out) >= maxLeaves {
		w.full = true
		return
	}
	switch v := v.(type) {
	case map[string]any:
		for _, k := range sortedKeys(v) {
			if w.named() && k != "" && !slices.Contains(w.keys, k) {
				w.leaf(w.arg, k) // {"eve@evil.example": "reader"}
			}
			w.walk(k, v[k])
		}
	case []any:
		for _, item := range v {
			w.walk(key, item)
		}
	case string:
		if v != "" {
			w.leaf(key, v)
		}
	case json.Number:
		if w.class == URL { // the number of a link, not an address
			w.out = append(w.out, Leaf{Arg: w.arg, Text: v.String()})
			return
		}
		w.leaf(key, v.String())
	case bool:
		w.out = append(w.out, Leaf{Arg: w.arg, Text: strconv.FormatBool(v)})
	}
}

// named reports whether somebody must vouch for the values of the argument.
func (w *walker) named() bool { return w.class != Value && w.class != Text && w.class != Amount }

func (w *walker) leaf(key, text string) {
	class := w.class
	if class == Selector && key != w.arg && (key == "type" || key == "kind") {
		class = Value // says what sort of thing the selector beside it names
	}
	leaf := Leaf{Arg: w.arg, Text: text, Class: class}
	w.ledger.trace(&leaf)
	if w.ledger.approved[approval{w.tool, w.arg, text}] {
		leaf.Label, leaf.Source = User, "approval"
		for i := range leaf.Links {
			leaf.Links[i].Standing = Named
		}
	}
	w.out = append(w.out, leaf)
}

// eachText calls f with every text and number in a value, keys included.
func eachText(v any, f func(string)) {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range sortedKeys(v) {
			f(k)
			eachText(v[k], f)
		}
	case []any:
		for _, item := range v {
			eachText(item, f)
		}
	case string:
		f(v)
	case json.Number:
		f(v.String())
	}
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
