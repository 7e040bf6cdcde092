package functions

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"chorale/internal/fence"
	"chorale/internal/strictjson"
	"chorale/internal/strictyaml"
)

// arguments are what the model gave a function, checked, with defaults.
type arguments struct {
	values map[string]any
	json   string // an object without repeated keys, in the model's order

	fence *fence.Fence   // what policies leave to commands
	key   string         // of the call, equal in all its tries
	retry *time.Duration // set by a try whose failure may pass: how long to wait, 0 if that is not known
}

// again says of a try that its failure may pass.
func (a arguments) again() { a.after(0) }

// after is again, with what the other side says of the time.
func (a arguments) after(d time.Duration) {
	if a.retry != nil {
		*a.retry = d
	}
}

// read parses and checks the model's text. The error is for the model.
func (s *schema) read(text string) (arguments, error) {
	if strings.TrimSpace(text) == "" {
		text = "{}"
	}
	v, err := strictjson.Parse(text)
	if err != nil {
		return arguments{}, fmt.Errorf("the arguments are not valid JSON: %w", err)
	}
	values, ok := v.(map[string]any)
	if !ok {
		return arguments{}, fmt.Errorf("the arguments must be a JSON object, got %s", kindOf(v))
	}
	if err := s.compiled.Validate(v); err != nil {
		return arguments{}, fmt.Errorf("invalid arguments: %s", s.problems(err))
	}
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(text)); err != nil {
		return arguments{}, fmt.Errorf("the arguments are not valid JSON: %w", err)
	}
	args := arguments{values: values, json: b.String()}
	for _, name := range slices.Sorted(maps.Keys(s.properties)) {
		if err := args.fill(name, s.properties[name].fallback); err != nil {
			return arguments{}, err
		}
	}
	return args, nil
}

// fill gives an argument that is missing its default.
func (a *arguments) fill(name string, fallback json.RawMessage) error {
	if _, given := a.values[name]; given || fallback == nil {
		return nil
	}
	v, err := strictjson.Parse(string(fallback))
	if err != nil {
		return fmt.Errorf("default of %s: %w", name, err)
	}
	a.values[name] = v
	comma := ","
	if a.json == "{}" {
		comma = ""
	}
	a.json = strings.TrimSuffix(a.json, "}") + comma + string(marshal(name)) + ":" + string(fallback) + "}"
	return nil
}

const maxProblems = 5

// problems says what is wrong with the arguments, shortly and with the path:
// "amount: must be number, got string; unknown argument "x"".
func (s *schema) problems(err error) string {
	var v *jsonschema.ValidationError
	if !errors.As(err, &v) {
		return err.Error()
	}
	var all []string
	for _, leaf := range leaves(v) {
		all = append(all, s.problem(leaf)...)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	if n := len(all) - maxProblems; n > 0 {
		all = append(all[:maxProblems], fmt.Sprintf("and %d more", n))
	}
	return strings.Join(all, "; ")
}

// leaves are the complaints without others below them.
func leaves(v *jsonschema.ValidationError) []*jsonschema.ValidationError {
	if len(v.Causes) == 0 {
		return []*jsonschema.ValidationError{v}
	}
	var out []*jsonschema.ValidationError
	for _, c := range v.Causes {
		out = append(out, leaves(c)...)
	}
	return out
}

func (s *schema) problem(v *jsonschema.ValidationError) []string {
	at, noun := path(v.InstanceLocation), "property"
	if at == "" {
		noun = "argument"
	}
	var out []string
	switch k := v.ErrorKind.(type) {
	case *kind.Required:
		for _, name := range k.Missing {
			out = append(out, fmt.Sprintf("missing %s %q", noun, name))
		}
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			msg := fmt.Sprintf("unknown %s %q", noun, clip(name))
			if near := strictyaml.Nearest(name, slices.Sorted(maps.Keys(s.properties))); near != "" && at == "" {
				msg += fmt.Sprintf(" (did you mean %q?)", near)
			}
			out = append(out, msg)
		}
	default:
		out = []string{words(k)}
	}
	if at != "" {
		for i := range out {
			out[i] = at + ": " + out[i]
		}
	}
	return out
}

var english = message.NewPrinter(language.English)

// words is one complaint in our words, or the library's where they will do.
func words(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.Type:
		return fmt.Sprintf("must be %s, got %s", strings.Join(k.Want, " or "), k.Got)
	case *kind.Enum:
		var want []string
		for _, w := range k.Want {
			want = append(want, string(marshal(w)))
		}
		return fmt.Sprintf("must be one of %s, got %s", clip(strings.Join(want, ", ")), clip(string(marshal(k.Got))))
	case *kind.Const:
		return fmt.Sprintf("must be %s, got %s", clip(string(marshal(k.Want))), clip(string(marshal(k.Got))))
	}
	return clip(k.LocalizedString(english))
}

// path writes where a value lies: items[0].price.
func path(location []string) string {
	var b strings.Builder
	for _, step := range location {
		if _, err := strconv.Atoi(step); err == nil {
			b.WriteString("[" + step + "]")
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(clip(step))
	}
	return b.String()
}

func kindOf(v any) string {
	switch v.(type) {
	case []any:
		return "array"
	case string:
		return "string"
	case json.Number:
		return "number"
	case bool:
		return "boolean"
	}
	return "null"
}

// clip shortens outside text for a message.
func clip(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
