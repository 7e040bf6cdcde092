// Package strictyaml decodes hand-written YAML files (tasks, policies,
// functions) into Go structs and refuses whatever it does not fully
// understand: an unknown or repeated key, a value of another type, a missing
// key, a null. Every complaint names file, line, column and path, shows the
// line, and suggests the nearest valid key.
//
// It reads a plain subset of YAML 1.2: one document, mappings with string
// keys, sequences, scalars of the core schema. Anchors, aliases, tags, merge
// keys and directives are refused, so a file means what it shows and cannot
// grow when it is read.
//
// Struct fields take part by their tag: `yaml:"name"` or
// `yaml:"name,required"`. Embedded structs are part of the outer one. A field
// of type json.RawMessage takes any value, as JSON with the file's key order.
package strictyaml

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// APIVersion is the one version of the files that this program reads.
const APIVersion = "agent/v1"

// MaxSize bounds a document in bytes.
const MaxSize = 1 << 20

// ReadFile reads a document of at most MaxSize bytes.
func ReadFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	src, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(src) > MaxSize {
		return nil, fmt.Errorf("read %s: larger than %d bytes", path, MaxSize)
	}
	return src, nil
}

// Decode decodes the document src into v, a pointer to a struct whose fields
// may hold defaults. File is the name that errors give. The error is an Errors.
func Decode(file string, src []byte, v any) error {
	return decode(file, src, "", v)
}

// DecodeKind is Decode for a document that must begin with
// `apiVersion: agent/v1` and `kind: <kind>`. The two keys are checked before
// all else and are not handed to v.
func DecodeKind(file string, src []byte, kind string, v any) error {
	return decode(file, src, kind, v)
}

func decode(file string, src []byte, kind string, v any) error {
	d := &decoder{file: file, src: src}
	root := d.parse()
	if root != nil && kind != "" {
		root = d.header(root, kind)
	}
	if root != nil {
		d.into(root, v)
	}
	if len(d.errs) > 0 {
		return d.errs
	}
	return nil
}

// header checks apiVersion and kind, and returns the mapping without them.
// Nothing more is said of a file of another version or kind.
func (d *decoder) header(root *node, kind string) *node {
	if root.kind != Mapping {
		d.fail(root, "", "must be a mapping that begins with apiVersion: %s and kind: %s", APIVersion, kind)
		return nil
	}
	rest := *root
	rest.entries = nil
	want := map[string]string{"apiVersion": APIVersion, "kind": kind}
	for _, e := range root.entries {
		w, ok := want[e.key.text]
		if !ok {
			rest.entries = append(rest.entries, e)
			continue
		}
		if e.value.kind != String || e.value.text != w {
			d.fail(e.value, e.key.text, "must be %s, got %s", w, e.value.describe())
		}
		delete(want, e.key.text)
	}
	for _, k := range []string{"apiVersion", "kind"} {
		if w, missing := want[k]; missing {
			d.fail(root, "", "missing key %q; write %s: %s", k, k, w)
		}
	}
	if len(d.errs) > 0 {
		return nil
	}
	return &rest
}

// Checker is met by structs with rules that span fields. Check runs once the
// struct is decoded without complaint; its error is reported at the struct, or
// at a value within it if it is made by At.
type Checker interface{ Check() error }

// At places err at the value of key in the struct being checked. A key may be
// an index of a sequence, and calls may be nested:
// At("rules", At("2", At("id", err))).
func At(key string, err error) error { return &atKey{key, err} }

type atKey struct {
	key string
	err error
}

func (e *atKey) Error() string { return e.key + ": " + e.err.Error() }
func (e *atKey) Unwrap() error { return e.err }

// Within places err at a line and a column of a scalar's text, both from 1: an
// expression that stands in a document is a little document itself.
func Within(line, column int, err error) error { return &within{line, column, err} }

type within struct {
	line, column int
	err          error
}

func (e *within) Error() string { return fmt.Sprintf("%d:%d: %v", e.line, e.column, e.err) }
func (e *within) Unwrap() error { return e.err }

// NodeDecoder is met by types that accept more than one kind of value. Its
// error is reported at the value, or within it if it is made by At.
type NodeDecoder interface{ DecodeNode(Node) error }

// Node is a value of the document, as a NodeDecoder sees it.
type Node struct {
	d    *decoder
	n    *node
	path string
}

// Kind is what the value is.
func (n Node) Kind() Kind { return n.n.kind }

// Line is where the value begins, from 1.
func (n Node) Line() int { return n.n.line }

// Text is a scalar's text, empty for sequences and mappings.
func (n Node) Text() string { return n.n.text }

// Describe names the value for an error: `number 5`, `a mapping`.
func (n Node) Describe() string { return n.n.describe() }

// Decode decodes the value into v, a pointer. Complaints are recorded with
// their positions; errReported says that there were some.
func (n Node) Decode(v any) error {
	before := n.d.bad
	n.d.value(n.n, n.path, v)
	if n.d.bad > before {
		return errReported
	}
	return nil
}

var errReported = errors.New("strictyaml: already reported")
