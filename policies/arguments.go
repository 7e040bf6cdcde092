package policies

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"chorale/internal/strictjson"
	"chorale/policies/provenance"
	"chorale/tools"
)

// arguments are a call's JSON arguments, read when a rule first needs them.
type arguments struct {
	request *Request
	call    tools.Call
	name    string // of the call
	read    bool
	value   any
	err     error
	vars    map[string]any // what conditions see
}

// at lists the scalars at a path: none where it leads nowhere, all leaves
// where it leads to a list or an object.
func (a *arguments) at(path []step) ([]any, error) {
	if !a.parse() {
		return nil, errArguments
	}
	return selectLeaves(nil, a.value, path), nil
}

// parse reads the arguments once and reports whether they are JSON.
func (a *arguments) parse() bool {
	if !a.read {
		a.read = true
		text := a.call.Args
		if strings.TrimSpace(text) == "" {
			text = "{}" // as functions take it
		}
		a.value, a.err = strictjson.Parse(text)
	}
	return a.err == nil
}

// variables are what a condition sees of the call. Source text is args.code.
func (a *arguments) variables() (map[string]any, error) {
	if a.vars != nil {
		return a.vars, nil
	}
	var args map[string]any
	if a.call.Function == "" {
		args = map[string]any{"code": a.call.Args}
	} else {
		if !a.parse() {
			return nil, errArguments
		}
		var ok bool
		if args, ok = native(a.value).(map[string]any); !ok {
			return nil, errArguments
		}
	}
	prov := map[string]map[string]string{}
	least := map[[2]string]provenance.Label{} // a text may stand in several places of an argument
	for _, l := range a.request.Leaves {
		if prov[l.Arg] == nil {
			prov[l.Arg] = map[string]string{}
		}
		at := [2]string{l.Arg, l.Text}
		if known, ok := least[at]; !ok || l.Label < known {
			least[at] = l.Label
			prov[l.Arg][l.Text] = l.Label.String()
		}
	}
	a.vars = map[string]any{"tool": a.name, "effect": a.request.Effect.String(), "args": args, "prov": prov}
	return a.vars, nil
}

// step is one step on the way to a value: a key, an index, or all there is.
type step struct {
	key   string
	index int // -1: none
	every bool
}

var stepPattern = regexp.MustCompile(`^(?:\.?([A-Za-z0-9_-]+)|\[([0-9]{1,6})\]|\[(\*)\]|\["([^"\\]+)"\])`)

// parsePath reads where in the arguments a value lies: to, $.to,
// items[0].price, items[*].price, ["odd key"].
func parsePath(path string) ([]step, error) {
	rest := strings.TrimPrefix(strings.TrimPrefix(path, "$"), ".")
	var steps []step
	for rest != "" {
		m := stepPattern.FindStringSubmatch(rest)
		if m == nil {
			return nil, fmt.Errorf("%q is no path to an argument; write it as to, items[0].price, items[*].price or [\"odd key\"]", path)
		}
		rest = rest[len(m[0]):]
		index, err := strconv.Atoi(m[1] + m[2]) // also items.0
		if err != nil {
			index = -1
		}
		steps = append(steps, step{key: m[1] + m[4], index: index, every: m[3] != ""})
	}
	return steps, nil
}

// selectLeaves adds the scalars that the steps lead to. In doubt it takes more:
// a key asked of a list is asked of each of its items, so that a call cannot
// get past a rule by wrapping a value in a list.
func selectLeaves(out []any, v any, steps []step) []any {
	var s step
	var rest []step
	if len(steps) == 0 {
		s.every = true
	} else {
		s, rest = steps[0], steps[1:]
	}
	switch v := v.(type) {
	case map[string]any:
		if item, ok := v[s.key]; ok && !s.every {
			return selectLeaves(out, item, rest)
		}
		if s.every {
			for _, item := range v {
				out = selectLeaves(out, item, rest)
			}
		}
	case []any:
		if s.index >= 0 && !s.every {
			if s.index < len(v) {
				out = selectLeaves(out, v[s.index], rest)
			}
			return out
		}
		if !s.every {
			rest = steps
		}
		for _, item := range v {
			out = selectLeaves(out, item, rest)
		}
	default:
		if len(steps) == 0 {
			out = append(out, v)
		}
	}
	return out
}

// textOf is a scalar as text, numbers as the model wrote them.
func textOf(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	return "null"
}

// floatOf is a number's value; one that a float64 cannot hold is none.
func floatOf(v any) (float64, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	f, err := n.Float64()
	return f, err == nil
}
