// Package strictjson reads JSON that a model wrote. It refuses what two
// readers may understand in two ways, since a policy, a schema and a function
// read the same text one after the other: a repeated key, text after the
// value, a number that no float64 holds, invalid UTF-8, endless nesting.
package strictjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

const (
	maxDepth  = 64
	maxNumber = 64 // characters
)

// Parse reads one value: map[string]any, []any, string, json.Number, bool or
// nil. An error says what is wrong and, where it helps, after which character.
func Parse(text string) (any, error) {
	if !utf8.ValidString(text) {
		return nil, errors.New("not UTF-8 text")
	}
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	p := parser{dec}
	v, err := p.value(0)
	if err != nil {
		return nil, p.explain(err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("text after the value, from character %d", dec.InputOffset())
	}
	return v, nil
}

type parser struct{ dec *json.Decoder }

// explain puts the standard library's errors into words for the model.
func (p parser) explain(err error) error {
	var syntax *json.SyntaxError
	switch {
	case err == io.EOF && p.dec.InputOffset() == 0:
		return errors.New("empty")
	case err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("ends too early")
	case errors.As(err, &syntax):
		return fmt.Errorf("%w (after character %d)", err, p.dec.InputOffset())
	}
	return err
}

func (p parser) value(depth int) (any, error) {
	t, err := p.dec.Token()
	if err != nil {
		return nil, err
	}
	if depth > maxDepth {
		return nil, errors.New("nested too deeply")
	}
	switch t := t.(type) {
	case json.Delim:
		if t == '[' {
			return p.list(depth)
		}
		return p.object(depth)
	case json.Number:
		return t, checkNumber(t)
	}
	return t, nil
}

func (p parser) list(depth int) (any, error) {
	list := []any{}
	for p.dec.More() {
		v, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := p.dec.Token()
	return list, err
}

func (p parser) object(depth int) (any, error) {
	object := map[string]any{}
	for p.dec.More() {
		t, err := p.dec.Token()
		if err != nil {
			return nil, err
		}
		key := t.(string) // the decoder lets nothing else stand here
		if _, twice := object[key]; twice {
			return nil, fmt.Errorf("key %q is repeated", key)
		}
		if object[key], err = p.value(depth + 1); err != nil {
			return nil, err
		}
	}
	_, err := p.dec.Token()
	return object, err
}

// checkNumber refuses numbers that some readers round to zero or infinity, and
// others spend megabytes on.
func checkNumber(n json.Number) error {
	f, err := n.Float64()
	mantissa, _, _ := strings.Cut(strings.ToLower(n.String()), "e")
	if err != nil || len(n) > maxNumber || (f == 0 && strings.ContainsAny(mantissa, "123456789")) {
		return fmt.Errorf("number %.20s is out of range", n)
	}
	return nil
}
