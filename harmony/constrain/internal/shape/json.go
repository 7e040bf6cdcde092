package shape

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// value is a JSON value in the order and the spelling of its text. It knows its
// place, so that every error can name it; places are compared by pointer.
type value struct {
	kind   kind
	text   string   // of a string or a number
	keys   []string // of an object
	items  []*value // of an array or an object
	parent *value
	key    string // in the parent
}

type kind uint8

const (
	kNull kind = iota
	kFalse
	kTrue
	kNumber
	kString
	kArray
	kObject
)

// maxNesting bounds the depth of a schema.
const maxNesting = 500

// get returns the member of that name, or nil.
func (v *value) get(name string) *value {
	if v.kind == kObject {
		for i, k := range v.keys {
			if k == name {
				return v.items[i]
			}
		}
	}
	return nil
}

// path returns the value's place as a JSON pointer in a fragment.
func (v *value) path() string {
	var parts []string
	for p := v; p.parent != nil; p = p.parent {
		parts = append(parts, strings.NewReplacer("~", "~0", "/", "~1").Replace(p.key))
	}
	var b strings.Builder
	b.WriteByte('#')
	for i := len(parts) - 1; i >= 0; i-- {
		b.WriteByte('/')
		b.WriteString(parts[i])
	}
	return b.String()
}

// canonical spells the value, so that values of one spelling can be compared.
func (v *value) canonical(b *strings.Builder) {
	switch v.kind {
	case kNull:
		b.WriteString("null")
	case kFalse:
		b.WriteString("false")
	case kTrue:
		b.WriteString("true")
	case kNumber:
		b.WriteString(v.text)
	case kString:
		b.WriteString(strconv.Quote(v.text))
	default:
		b.WriteByte('[')
		for i, item := range v.items {
			if v.kind == kObject {
				b.WriteString(strconv.Quote(v.keys[i]))
				b.WriteByte(':')
			}
			item.canonical(b)
			b.WriteByte(',')
		}
		b.WriteByte(']')
	}
}

// reader parses JSON.
type reader struct {
	s     string
	at    int
	depth int
}

func parseJSON(data []byte) (*value, error) {
	if !utf8.Valid(data) {
		return nil, fmt.Errorf("not valid UTF-8")
	}
	r := &reader{s: string(data)}
	v, err := r.value()
	if err != nil {
		return nil, fmt.Errorf("not valid JSON at byte %d: %w", r.at, err)
	}
	r.blank()
	if r.at < len(r.s) {
		return nil, fmt.Errorf("not valid JSON at byte %d: more behind the value", r.at)
	}
	return v, nil
}

func (r *reader) blank() {
	for r.at < len(r.s) && strings.IndexByte(" \t\n\r", r.s[r.at]) >= 0 {
		r.at++
	}
}

func (r *reader) take(c byte) bool {
	r.blank()
	if r.at < len(r.s) && r.s[r.at] == c {
		r.at++
		return true
	}
	return false
}

func (r *reader) value() (*value, error) {
	if r.depth++; r.depth > maxNesting {
		return nil, fmt.Errorf("nested more than %d deep", maxNesting)
	}
	defer func() { r.depth-- }()
	r.blank()
	if r.at >= len(r.s) {
		return nil, fmt.Errorf("the text ends")
	}
	switch c := r.s[r.at]; c {
	case '{':
		return r.object()
	case '[':
		return r.array()
	case '"':
		s, err := r.string()
		return &value{kind: kString, text: s}, err
	}
	for k, word := range map[kind]string{kNull: "null", kTrue: "true", kFalse: "false"} {
		if strings.HasPrefix(r.s[r.at:], word) {
			r.at += len(word)
			return &value{kind: k}, nil
		}
	}
	from := r.at
	for r.at < len(r.s) && strings.IndexByte("+-.0123456789eE", r.s[r.at]) >= 0 {
		r.at++
	}
	text := r.s[from:r.at]
	if text == "" || !json.Valid([]byte(text)) {
		r.at = from
		return nil, fmt.Errorf("no value")
	}
	return &value{kind: kNumber, text: text}, nil
}

func (r *reader) string() (string, error) {
	from := r.at
	r.at++
	plain := true
	for ; r.at < len(r.s); r.at++ {
		switch c := r.s[r.at]; {
		case c == '"':
			r.at++
			if plain {
				return r.s[from+1 : r.at-1], nil
			}
			var s string
			err := json.Unmarshal([]byte(r.s[from:r.at]), &s)
			return s, err
		case c == '\\':
			plain = false
			r.at++
		case c < 0x20:
			return "", fmt.Errorf("a control character in a string")
		}
	}
	return "", fmt.Errorf("a string has no end")
}

func (r *reader) array() (*value, error) {
	v := &value{kind: kArray}
	r.at++
	if r.take(']') {
		return v, nil
	}
	for {
		item, err := r.value()
		if err != nil {
			return nil, err
		}
		item.parent, item.key = v, strconv.Itoa(len(v.items))
		v.items = append(v.items, item)
		if r.take(']') {
			return v, nil
		}
		if !r.take(',') {
			return nil, fmt.Errorf("want , or ]")
		}
	}
}

func (r *reader) object() (*value, error) {
	v := &value{kind: kObject}
	r.at++
	if r.take('}') {
		return v, nil
	}
	for {
		if r.blank(); r.at >= len(r.s) || r.s[r.at] != '"' {
			return nil, fmt.Errorf("want a key")
		}
		key, err := r.string()
		if err != nil {
			return nil, err
		}
		if v.get(key) != nil && len(v.keys) < 1000 {
			return nil, fmt.Errorf("the key %q stands twice", key)
		}
		if !r.take(':') {
			return nil, fmt.Errorf("want :")
		}
		item, err := r.value()
		if err != nil {
			return nil, err
		}
		item.parent, item.key = v, key
		v.keys = append(v.keys, key)
		v.items = append(v.items, item)
		if r.take('}') {
			return v, nil
		}
		if !r.take(',') {
			return nil, fmt.Errorf("want , or }")
		}
	}
}
