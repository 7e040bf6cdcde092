package runtime

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const inputName = `[A-Za-z_][A-Za-z0-9_-]*`

var (
	inputPattern = regexp.MustCompile(`^` + inputName + `$`)
	placeholder  = regexp.MustCompile(`\{\{\s*(` + inputName + `)\s*\}\}`)
)

// Set gives the inputs their values and puts them into the prompt. Every
// declared input must end up with a value, and every value must be declared. A
// value is text: it is put in once and never looked into again.
func (j *Job) Set(values map[string]string) error {
	if err := j.Task.set(values); err != nil {
		return fmt.Errorf("%s: %w", j.path, err)
	}
	return nil
}

func (t *Task) set(values map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if _, ok := t.Inputs[name]; !ok {
			return fmt.Errorf("no input %s: the task declares %s", name, orNone(slices.Sorted(maps.Keys(t.Inputs))))
		}
	}
	resolved := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(t.Inputs)) {
		in := t.Inputs[name]
		value, set := values[name]
		switch {
		case set:
		case in.Default != nil:
			value = string(*in.Default)
		default:
			return fmt.Errorf("input %s has no default: set it with --set %s=VALUE", name, name)
		}
		if err := in.check(value); err != nil {
			return fmt.Errorf("input %s: %w", name, err)
		}
		resolved[name] = value
		text := Scalar(value)
		in.Default = &text
		t.Inputs[name] = in
	}
	t.Prompt = substitute(t.Prompt, resolved)
	return nil
}

// substitute replaces {{name}} by the named value, in one pass. Without
// values the text is left alone, so that braces need no escape.
func substitute(text string, values map[string]string) string {
	return placeholder.ReplaceAllStringFunc(text, func(m string) string {
		if v, ok := values[placeholder.FindStringSubmatch(m)[1]]; ok {
			return v
		}
		return m
	})
}

func (in Input) check(value string) error {
	if !utf8.ValidString(value) {
		return fmt.Errorf("%q is not UTF-8 text", value)
	}
	var err error
	switch in.Type {
	case "", "string":
	case "integer":
		_, err = strconv.ParseInt(value, 10, 64)
	case "number":
		_, err = strconv.ParseFloat(value, 64)
	case "boolean":
		if value != "true" && value != "false" {
			err = strconv.ErrSyntax
		}
	}
	if err != nil {
		return fmt.Errorf("%q is not of type %s", value, in.Type)
	}
	if in.Pattern != "" && !regexp.MustCompile(`^(?:`+in.Pattern+`)$`).MatchString(value) {
		return fmt.Errorf("%q does not match %s", value, in.Pattern)
	}
	return nil
}

// unknownPlaceholders returns the names in the prompt that no input has.
func (t *Task) unknownPlaceholders() []string {
	var out []string
	if len(t.Inputs) == 0 {
		return nil
	}
	for _, m := range placeholder.FindAllStringSubmatch(t.Prompt, -1) {
		if _, ok := t.Inputs[m[1]]; !ok {
			out = append(out, m[1])
		}
	}
	return out
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "no inputs"
	}
	return strings.Join(names, ", ")
}
