package functions

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"chorale/internal/strictjson"
	"chorale/internal/strictyaml"
)

// schema is a compiled JSON Schema (2020-12) of a function's arguments.
type schema struct {
	compiled   *jsonschema.Schema
	properties map[string]property
	required   []string
}

// property is what a command template needs to know of one argument.
type property struct {
	types    []string
	fallback json.RawMessage // its default; nil if it has none
}

// schemaError is a fault of a schema at a path into it.
type schemaError struct {
	path []string
	msg  string
}

func (e *schemaError) Error() string {
	if len(e.path) == 0 {
		return e.msg
	}
	return "/" + strings.Join(e.path, "/") + ": " + e.msg
}

const schemaURL = "schema:parameters"

// compileSchema reads the schema of an argument object. Nil stands for a
// function without arguments.
func compileSchema(raw json.RawMessage) (*schema, error) {
	if raw == nil {
		raw = json.RawMessage(`{"type":"object","additionalProperties":false}`)
	}
	s, err := objectSchema(raw, compile)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(s.properties)) {
		if err := s.checkDefault(name); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// objectSchema reads the schema of an object by the given compiler.
func objectSchema(raw json.RawMessage, compile func(any) (*jsonschema.Schema, error)) (*schema, error) {
	v, err := strictjson.Parse(string(raw))
	if err != nil {
		return nil, &schemaError{msg: err.Error()}
	}
	root, ok := v.(map[string]any)
	if !ok || root["type"] != "object" {
		return nil, &schemaError{msg: `must be a JSON Schema with "type": "object"`}
	}
	compiled, err := compile(v)
	if err != nil {
		return nil, err
	}
	return &schema{compiled: compiled, properties: properties(root), required: stringList(root["required"])}, nil
}

// compile reads a JSON Schema. Formats are checked, not just noted.
func compile(v any) (*jsonschema.Schema, error) {
	if err := checkKeywords(v); err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	c.UseLoader(noLoader{})
	if err := c.AddResource(schemaURL, v); err != nil {
		return nil, &schemaError{msg: err.Error()}
	}
	compiled, err := c.Compile(schemaURL)
	if err != nil {
		return nil, compileError(err)
	}
	return compiled, nil
}

// checkDefault refuses a default that its own property would refuse: it is
// filled in after the arguments are checked.
func (s *schema) checkDefault(name string) error {
	of, ok := s.compiled.Properties[name]
	if !ok || s.properties[name].fallback == nil {
		return nil
	}
	at := []string{"properties", name, "default"}
	v, err := strictjson.Parse(string(s.properties[name].fallback))
	if err != nil {
		return &schemaError{at, err.Error()}
	}
	var bad *jsonschema.ValidationError
	if errors.As(of.Validate(v), &bad) {
		return &schemaError{at, s.problems(bad)}
	}
	return nil
}

// noLoader refuses references out of the schema: reading one would let a
// function file read other files.
type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("$ref to %s: only references within the schema are possible", url)
}

func compileError(err error) error {
	var invalid *jsonschema.SchemaValidationError
	var v *jsonschema.ValidationError
	if errors.As(err, &invalid) && errors.As(invalid.Err, &v) {
		leaf := v
		for len(leaf.Causes) > 0 {
			leaf = leaf.Causes[0]
		}
		return &schemaError{leaf.InstanceLocation, words(leaf.ErrorKind)}
	}
	return &schemaError{msg: strings.ReplaceAll(err.Error(), schemaURL, "")}
}

func properties(root map[string]any) map[string]property {
	out := map[string]property{}
	list, _ := root["properties"].(map[string]any)
	for name, v := range list {
		sub, _ := v.(map[string]any)
		p := property{types: stringList(sub["type"])}
		if d, ok := sub["default"]; ok {
			p.fallback = marshal(d)
		}
		out[name] = p
	}
	return out
}

// stringList is v if it is a list of strings, or the one string that it is.
func stringList(v any) []string {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		var out []string
		for _, item := range v {
			if s, ok := item.(string); ok {
				out = append(out, s)
			}
		}
		return out
	}
	return nil
}

// encode writes JSON that a model reads as it is, without \u003c for <.
func encode(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// marshal is encode for what was read from JSON and so can be written.
func marshal(v any) json.RawMessage {
	text, _ := encode(v)
	return text
}

// The keywords of JSON Schema 2020-12 that hold no schema, one schema, a list
// of schemas, and schemas by name.
var (
	plainKeywords = []string{"$schema", "$id", "$ref", "$anchor", "$dynamicRef", "$dynamicAnchor", "$comment", "$vocabulary",
		"type", "enum", "const", "multipleOf", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum", "maxLength", "minLength",
		"pattern", "maxItems", "minItems", "uniqueItems", "maxContains", "minContains", "maxProperties", "minProperties", "required",
		"dependentRequired", "title", "description", "default", "deprecated", "readOnly", "writeOnly", "examples", "format",
		"contentEncoding", "contentMediaType"}
	oneKeywords = []string{"items", "additionalProperties", "propertyNames", "contains", "not", "if", "then", "else",
		"unevaluatedItems", "unevaluatedProperties", "contentSchema"}
	listKeywords = []string{"allOf", "anyOf", "oneOf", "prefixItems"}
	nameKeywords = []string{"properties", "patternProperties", "dependentSchemas", "$defs", "definitions"}
	keywords     = slices.Concat(plainKeywords, oneKeywords, listKeywords, nameKeywords)
)

// checkKeywords refuses keywords that JSON Schema does not know. It would
// ignore them, and a misspelt constraint constrains nothing.
func checkKeywords(v any, path ...string) error {
	object, _ := v.(map[string]any)
	for _, key := range slices.Sorted(maps.Keys(object)) {
		for at, sub := range subschemas(key, object[key]) {
			if err := checkKeywords(sub, slices.Concat(path, at)...); err != nil {
				return err
			}
		}
		if slices.Contains(keywords, key) || strings.HasPrefix(key, "x-") {
			continue
		}
		msg := "unknown keyword of JSON Schema"
		if near := strictyaml.Nearest(key, keywords); near != "" {
			msg += fmt.Sprintf("; did you mean %q?", near)
		}
		return &schemaError{slices.Concat(path, []string{key}), msg}
	}
	return nil
}

// subschemas yields the schemas that a keyword holds, with the paths to them.
func subschemas(key string, value any) iter.Seq2[[]string, any] {
	return func(yield func([]string, any) bool) {
		if slices.Contains(oneKeywords, key) && !yield([]string{key}, value) {
			return
		}
		if list, ok := value.([]any); ok && slices.Contains(listKeywords, key) {
			for i, sub := range list {
				if !yield([]string{key, strconv.Itoa(i)}, sub) {
					return
				}
			}
		}
		if named, ok := value.(map[string]any); ok && slices.Contains(nameKeywords, key) {
			for _, name := range slices.Sorted(maps.Keys(named)) {
				if !yield([]string{key, name}, named[name]) {
					return
				}
			}
		}
	}
}
