package strictyaml

import (
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// decoder collects the complaints about one document.
type decoder struct {
	file string
	src  []byte
	errs Errors // the first maxErrors
	bad  int    // how many there were
}

var rawJSON = reflect.TypeFor[json.RawMessage]()

// into decodes the root of a document.
func (d *decoder) into(n *node, v any) { d.value(n, "", v) }

// value decodes n into the pointer v.
func (d *decoder) value(n *node, path string, v any) {
	p := reflect.ValueOf(v)
	if p.Kind() != reflect.Pointer || p.IsNil() {
		panic("strictyaml: decoding needs a pointer")
	}
	d.set(n, path, p.Elem())
}

// set decodes n into the settable value v.
func (d *decoder) set(n *node, path string, v reflect.Value) {
	if v.Type() == rawJSON {
		v.SetBytes(n.json())
		return
	}
	if v.Kind() == reflect.Interface && v.NumMethod() == 0 {
		var a any
		_ = json.Unmarshal(n.json(), &a) // what json writes, it reads
		if a != nil {
			v.Set(reflect.ValueOf(a))
		}
		return
	}
	if n.kind == Null {
		d.fail(n, path, "has no value; give one or remove the key")
		return
	}
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		d.set(n, path, v.Elem())
		return
	}
	if d.custom(n, path, v) {
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.setStruct(n, path, v)
	case reflect.Map:
		d.setMap(n, path, v)
	case reflect.Slice:
		d.setSlice(n, path, v)
	default:
		d.setScalar(n, path, v)
	}
}

// custom lets a type decode itself, and reports whether it did.
func (d *decoder) custom(n *node, path string, v reflect.Value) bool {
	var err error
	switch t := v.Addr().Interface().(type) {
	case NodeDecoder:
		err = t.DecodeNode(Node{d, n, path})
	case encoding.TextUnmarshaler:
		if n.kind != String && n.kind != Number {
			err = fmt.Errorf("must be a string, got %s", n.describe())
		} else {
			err = t.UnmarshalText([]byte(n.text))
		}
	default:
		return false
	}
	if err != nil && !errors.Is(err, errReported) {
		d.reject(n, path, err)
	}
	return true
}

func (d *decoder) setScalar(n *node, path string, v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		if n.kind != String {
			hint := ""
			if n.kind == Number || n.kind == Bool {
				hint = "; put it in quotes"
			}
			d.fail(n, path, "must be a string, got %s%s", n.describe(), hint)
			return
		}
		v.SetString(n.text)
	case reflect.Bool:
		if n.kind != Bool {
			d.fail(n, path, "must be true or false, got %s", n.describe())
			return
		}
		v.SetBool(strings.EqualFold(n.text, "true"))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		d.setInt(n, path, v)
	case reflect.Float32, reflect.Float64:
		f, err := strconv.ParseFloat(jsonNumber(n.text), 64)
		if n.kind != Number || err != nil {
			d.fail(n, path, "must be a number, got %s", n.describe())
			return
		}
		v.SetFloat(f)
	default:
		panic("strictyaml: no decoding into " + v.Type().String())
	}
}

func (d *decoder) setInt(n *node, path string, v reflect.Value) {
	if n.kind != Number {
		d.fail(n, path, "must be a whole number, got %s", n.describe())
		return
	}
	text, err := wholeNumber(n.text)
	if err != nil {
		d.fail(n, path, "%v", err)
		return
	}
	if v.CanInt() {
		var i int64
		if i, err = strconv.ParseInt(text, 10, v.Type().Bits()); err == nil {
			v.SetInt(i)
		}
	} else {
		var u uint64
		if u, err = strconv.ParseUint(text, 10, v.Type().Bits()); err == nil {
			v.SetUint(u)
		}
	}
	if err != nil {
		d.fail(n, path, "number %s is out of range", clip(n.text))
	}
}

func (d *decoder) setSlice(n *node, path string, v reflect.Value) {
	if n.kind != Sequence {
		d.fail(n, path, "must be a sequence ([a, b], or lines that begin with -), got %s", n.describe())
		return
	}
	out := reflect.MakeSlice(v.Type(), len(n.items), len(n.items))
	for i, item := range n.items {
		d.set(item, fmt.Sprintf("%s[%d]", path, i), out.Index(i))
	}
	v.Set(out)
}

func (d *decoder) setMap(n *node, path string, v reflect.Value) {
	if n.kind != Mapping {
		d.fail(n, path, "must be a mapping (key: value), got %s", n.describe())
		return
	}
	out := reflect.MakeMapWithSize(v.Type(), len(n.entries))
	for _, e := range n.entries {
		item := reflect.New(v.Type().Elem()).Elem()
		d.set(e.value, join(path, e.key.text), item)
		out.SetMapIndex(reflect.ValueOf(e.key.text).Convert(v.Type().Key()), item)
	}
	v.Set(out)
}

// field is one key of a struct.
type field struct {
	name     string
	required bool
	index    []int
}

// fields lists the keys of a struct type in the order of its fields.
func fields(t reflect.Type) []field {
	var out []field
	for _, f := range reflect.VisibleFields(t) {
		name, option, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if name == "" || name == "-" || !f.IsExported() {
			continue
		}
		out = append(out, field{name: name, required: option == "required", index: f.Index})
	}
	return out
}

func (d *decoder) setStruct(n *node, path string, v reflect.Value) {
	if n.kind != Mapping {
		d.fail(n, path, "must be a mapping (key: value), got %s", n.describe())
		return
	}
	before := d.bad
	known := fields(v.Type())
	names := make([]string, len(known))
	for i, f := range known {
		names[i] = f.name
	}
	for _, e := range n.entries {
		i := slices.Index(names, e.key.text)
		if i < 0 {
			d.fail(e.key, path, "%s", unknown(e.key.text, names))
			continue
		}
		d.set(e.value, join(path, e.key.text), v.FieldByIndex(known[i].index))
	}
	for _, f := range known {
		if f.required && n.find(f.name) == nil {
			d.fail(n, path, "missing key %q", f.name)
		}
	}
	if c, ok := v.Addr().Interface().(Checker); ok && d.bad == before {
		if err := c.Check(); err != nil {
			d.reject(n, path, err)
		}
	}
}

// reject reports a type's own complaint, at the place that At gave it.
func (d *decoder) reject(n *node, path string, err error) {
	for {
		k, ok := err.(*atKey)
		if !ok {
			break
		}
		if i, e := strconv.Atoi(k.key); e == nil && i < len(n.items) {
			n, path = n.items[i], fmt.Sprintf("%s[%d]", path, i)
		} else if value := n.find(k.key); value != nil {
			n, path = value, join(path, k.key)
		}
		err = k.err
	}
	var in *within
	if errors.As(err, &in) {
		line, column := d.locate(n, in.line, in.column)
		d.failAt(line, column, path, in.err.Error())
		return
	}
	d.fail(n, path, "%v", err)
}

// locate is where a line and column of a scalar's text stand in the document.
// Folded or escaped text has no such place; then it is where the scalar begins.
func (d *decoder) locate(n *node, line, column int) (int, int) {
	texts, src := strings.Split(n.text, "\n"), strings.Split(string(d.src), "\n")
	if line < 1 || line > len(texts) || texts[line-1] == "" {
		return n.line, n.column
	}
	for _, at := range []int{n.line + line - 1, n.line + line} { // plain or quoted; behind the | of a block
		if at < 1 || at > len(src) {
			continue
		}
		runes, from := []rune(src[at-1]), 0
		if at == n.line {
			from = min(max(n.column-1, 0), len(runes))
		}
		if i := strings.Index(string(runes[from:]), texts[line-1]); i >= 0 {
			return at, from + len([]rune(string(runes[from:])[:i])) + column
		}
	}
	return n.line, n.column
}
