package policies

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"chorale/internal/strictjson"
	"chorale/tools"
)

// arguments are a call's JSON arguments, read when a rule first needs them.
type arguments struct {
	call  tools.Call
	name  string // of the call
	read  bool
	value any
	err   error
}

// at lists the scalars at a path: none where it leads nowhere, all leaves
// where it leads to a list or an object.
func (a *arguments) at(path []step) ([]any, error) {
	if !a.read {
		a.read = true
		a.value, a.err = strictjson.Parse(a.call.Args)
	}
	if a.err != nil {
		return nil, errArguments
	}
	return selectLeaves(nil, a.value, path), nil
}

// step is one step on the way to a value.
type step struct {
	key   string
	index int  // where key is empty
	every bool // [*]
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
		index, _ := strconv.Atoi(m[2])
		steps = append(steps, step{key: m[1] + m[4], index: index, every: m[3] != ""})
	}
	return steps, nil
}

func selectLeaves(out []any, v any, steps []step) []any {
	if len(steps) == 0 {
		switch v := v.(type) {
		case []any:
			for _, item := range v {
				out = selectLeaves(out, item, nil)
			}
		case map[string]any:
			for _, item := range v {
				out = selectLeaves(out, item, nil)
			}
		default:
			out = append(out, v)
		}
		return out
	}
	s, rest := steps[0], steps[1:]
	switch v := v.(type) {
	case map[string]any:
		if item, ok := v[s.key]; ok && s.key != "" {
			out = selectLeaves(out, item, rest)
		} else if s.every {
			for _, item := range v {
				out = selectLeaves(out, item, rest)
			}
		}
	case []any:
		if s.every {
			for _, item := range v {
				out = selectLeaves(out, item, rest)
			}
		} else if s.key == "" && s.index < len(v) {
			out = selectLeaves(out, v[s.index], rest)
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
