package functions

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// infer is the JSON Schema of a struct that takes a function's arguments, with
// its keys in the order of the fields.
func infer(t reflect.Type) (json.RawMessage, error) {
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("arguments come in a struct, not in %s", t)
	}
	text, err := inferType(t, "", nil)
	return json.RawMessage(text), err
}

// inferType writes the schema of a type; extra are further keywords of it, and
// outer are the structs that it stands in.
func inferType(t reflect.Type, extra string, outer []reflect.Type) (string, error) {
	switch t.Kind() {
	case reflect.Pointer:
		return inferType(t.Elem(), extra, outer)
	case reflect.String:
		return `{"type":"string"` + extra + `}`, nil
	case reflect.Bool:
		return `{"type":"boolean"` + extra + `}`, nil
	case reflect.Float32, reflect.Float64:
		return `{"type":"number"` + extra + `}`, nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return `{"type":"integer"` + bounds(t) + extra + `}`, nil
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return "", fmt.Errorf("%s cannot be an argument; use string", t)
		}
		item, err := inferType(t.Elem(), "", outer)
		return `{"type":"array","items":` + item + extra + `}`, err
	case reflect.Map:
		if t.Key().Kind() != reflect.String {
			return "", fmt.Errorf("%s: a map needs string keys", t)
		}
		item, err := inferType(t.Elem(), "", outer)
		return `{"type":"object","additionalProperties":` + item + extra + `}`, err
	case reflect.Struct:
		if slices.Contains(outer, t) {
			return "", fmt.Errorf("%s contains itself", t)
		}
		return inferStruct(t, extra, append(outer, t))
	}
	return "", fmt.Errorf("%s cannot be an argument", t)
}

// bounds are the limits of a sized integer, so that what meets the schema fits
// the type. Those of 64 bits are beyond what JSON numbers hold exactly.
func bounds(t reflect.Type) string {
	bits := t.Bits()
	switch {
	case t.Kind() >= reflect.Uint && t.Kind() <= reflect.Uint64 && bits == 64:
		return `,"minimum":0`
	case t.Kind() >= reflect.Uint && t.Kind() <= reflect.Uint64:
		return `,"minimum":0,"maximum":` + strconv.FormatUint(1<<bits-1, 10)
	case bits == 64:
		return ""
	}
	return fmt.Sprintf(`,"minimum":%d,"maximum":%d`, -int64(1)<<(bits-1), int64(1)<<(bits-1)-1)
}

func inferStruct(t reflect.Type, extra string, outer []reflect.Type) (string, error) {
	var properties, required []string
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous {
			return "", fmt.Errorf("%s: embedded fields cannot be arguments", t)
		}
		if name == "-" || !f.IsExported() {
			continue
		}
		if name == "" {
			name = f.Name
		}
		keywords, err := fieldKeywords(f)
		if err != nil {
			return "", fmt.Errorf("%s.%s: %w", t, f.Name, err)
		}
		text, err := inferType(f.Type, keywords, outer)
		if err != nil {
			return "", fmt.Errorf("%s.%s: %w", t, f.Name, err)
		}
		properties = append(properties, string(marshal(name))+":"+text)
		optional := f.Type.Kind() == reflect.Pointer || strings.Contains(options, "omitempty") || strings.Contains(options, "omitzero")
		if !optional {
			required = append(required, string(marshal(name)))
		}
	}
	text := `{"type":"object","properties":{` + strings.Join(properties, ",") + `}`
	if len(required) > 0 {
		text += `,"required":[` + strings.Join(required, ",") + `]`
	}
	return text + `,"additionalProperties":false` + extra + `}`, nil
}

// fieldKeywords are what the tags doc and enum say of a field.
func fieldKeywords(f reflect.StructField) (string, error) {
	text := ""
	if doc := f.Tag.Get("doc"); doc != "" {
		text += `,"description":` + string(marshal(doc))
	}
	if enum := f.Tag.Get("enum"); enum != "" {
		if f.Type.Kind() != reflect.String {
			return "", fmt.Errorf("enum is for strings, not for %s", f.Type)
		}
		text += `,"enum":` + string(marshal(strings.Split(enum, ",")))
	}
	return text, nil
}
