package browser

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// arguments are a call's arguments as the model wrote them. An argument that
// is null counts as left out.
type arguments map[string]json.RawMessage

// errArguments answers content that is no JSON object, as the trained tool does.
const errArguments = `{"error": "Invalid function arguments"}`

func parseArguments(content string) (arguments, bool) {
	if content == "" {
		return arguments{}, true
	}
	var a arguments
	if err := json.Unmarshal([]byte(content), &a); err != nil || a == nil {
		return nil, false
	}
	for name, v := range a {
		if string(v) == "null" {
			delete(a, name)
		}
	}
	return a, true
}

// check refuses arguments that the function does not have, or lacks.
func (a arguments) check(function string, required, optional []string) error {
	for _, name := range required {
		if _, ok := a[name]; !ok {
			return usage("%s needs the argument `%s`.", function, name)
		}
	}
	var unknown []string
	for name := range a {
		if !slices.Contains(required, name) && !slices.Contains(optional, name) {
			unknown = append(unknown, "`"+name+"`")
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	slices.Sort(unknown)
	return usage("%s has no argument %s. It takes: %s.", function, strings.Join(unknown, ", "),
		strings.Join(slices.Concat(required, optional), ", "))
}

// text returns a string argument. A number or a boolean is taken as written.
func (a arguments) text(name string) (string, error) {
	v := a[name]
	if len(v) == 0 {
		return "", nil
	}
	var s string
	if json.Unmarshal(v, &s) == nil {
		return s, nil
	}
	if k := kindOf(v); k == "dict" || k == "list" {
		return "", usage("`%s` should be a string, not `%s`", name, k)
	}
	return string(v), nil
}

// number returns an integer argument, or what stands for a missing one.
func (a arguments) number(name string, missing int) (int, error) {
	v, ok := a[name]
	if !ok {
		return missing, nil
	}
	if k := kindOf(v); k != "int" {
		return 0, usage("`%s` should be an integer, not `%s`", name, k)
	}
	n, err := strconv.Atoi(string(v))
	if err != nil { // beyond 64 bits: as far out as can be
		n = int(^uint(0) >> 1)
		if v[0] == '-' {
			n = -n
		}
	}
	return n, nil
}

// texts returns an argument that is a list of strings; one string is a list of
// one.
func (a arguments) texts(name string) ([]string, error) {
	var list []string
	if err := json.Unmarshal(a[name], &list); err == nil {
		return list, nil
	}
	var one string
	if err := json.Unmarshal(a[name], &one); err != nil {
		return nil, usage("`%s` should be a list of strings", name)
	}
	return []string{one}, nil
}

// decimal returns a number, or what stands for a missing one.
func (a arguments) decimal(name string, missing float64) (float64, error) {
	v, ok := a[name]
	if !ok {
		return missing, nil
	}
	var n float64
	if err := json.Unmarshal(v, &n); err != nil {
		return 0, usage("`%s` should be a number, not `%s`", name, kindOf(v))
	}
	return n, nil
}

func (a arguments) flag(name string) (bool, error) {
	v, ok := a[name]
	if !ok {
		return false, nil
	}
	if k := kindOf(v); k != "bool" {
		return false, usage("`%s` should be true or false, not `%s`", name, k)
	}
	return string(v) == "true", nil
}

// kindOf names the type of a JSON value as the trained tool's errors do.
func kindOf(v json.RawMessage) string {
	switch {
	case len(v) == 0:
		return "NoneType"
	case v[0] == '"':
		return "str"
	case v[0] == '{':
		return "dict"
	case v[0] == '[':
		return "list"
	case v[0] == 't', v[0] == 'f':
		return "bool"
	case strings.ContainsAny(string(v), ".eE"):
		return "float"
	}
	return "int"
}

// A usageError is the model's to read and mend.
type usageError string

func (e usageError) Error() string { return string(e) }

func usage(format string, args ...any) error { return usageError(fmt.Sprintf(format, args...)) }
