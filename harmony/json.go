package harmony

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// jsonKind is the type of a JSON value.
type jsonKind uint8

const (
	jsonNull jsonKind = iota
	jsonBool
	jsonNumber
	jsonString
	jsonArray
	jsonObject
)

// jsonValue is a JSON value that keeps the order of keys, which encoding/json
// does not, and which a tool's declaration shows to the model.
type jsonValue struct {
	kind    jsonKind
	text    string // of a string, a number or a bool
	raw     []byte // as it stood in the document
	items   []jsonValue
	members []jsonMember
}

type jsonMember struct {
	key   string
	value jsonValue
}

// maxJSONDepth is serde_json's limit.
const maxJSONDepth = 127

var errJSONDepth = errors.New("JSON nested too deeply")

// readJSON reads one JSON document.
func readJSON(data []byte) (jsonValue, error) {
	if !utf8.Valid(data) {
		return jsonValue{}, errors.New("JSON that is no UTF-8")
	}
	if !json.Valid(data) { // its error names the place
		var v any
		return jsonValue{}, json.Unmarshal(data, &v)
	}
	r := jsonReader{data: data}
	return r.value(0)
}

// jsonReader walks JSON that is known to be valid.
type jsonReader struct {
	data []byte
	i    int
}

// next skips white space and returns the byte there.
func (r *jsonReader) next() byte {
	for {
		switch c := r.data[r.i]; c {
		case ' ', '\t', '\n', '\r', ',', ':': // the syntax is known to be right
			r.i++
		default:
			return c
		}
	}
}

func (r *jsonReader) value(depth int) (jsonValue, error) {
	r.next()
	start := r.i
	v, err := r.bare(depth)
	v.raw = r.data[start:r.i]
	return v, err
}

func (r *jsonReader) bare(depth int) (jsonValue, error) {
	switch c := r.data[r.i]; c {
	case '{', '[':
		if depth >= maxJSONDepth {
			return jsonValue{}, errJSONDepth
		}
		r.i++
		if c == '{' {
			return r.object(depth + 1)
		}
		return r.array(depth + 1)
	case '"':
		s, err := r.string()
		return jsonValue{kind: jsonString, text: s}, err
	case 'n':
		r.i += len("null")
		return jsonValue{}, nil
	case 't':
		r.i += len("true")
		return jsonValue{kind: jsonBool, text: "true"}, nil
	case 'f':
		r.i += len("false")
		return jsonValue{kind: jsonBool, text: "false"}, nil
	}
	start := r.i
	for r.i < len(r.data) && bytes.IndexByte([]byte("+-.0123456789eE"), r.data[r.i]) >= 0 {
		r.i++
	}
	text := string(r.data[start:r.i])
	if _, ok := serdeFloat(text); !ok {
		return jsonValue{}, fmt.Errorf("number %s is out of range", text)
	}
	return jsonValue{kind: jsonNumber, text: text}, nil
}

func (r *jsonReader) array(depth int) (jsonValue, error) {
	v := jsonValue{kind: jsonArray}
	for r.next() != ']' {
		item, err := r.value(depth)
		if err != nil {
			return v, err
		}
		v.items = append(v.items, item)
	}
	r.i++
	return v, nil
}

func (r *jsonReader) object(depth int) (jsonValue, error) {
	v := jsonValue{kind: jsonObject}
	for r.next() != '}' {
		key, err := r.string()
		if err != nil {
			return v, err
		}
		value, err := r.value(depth)
		if err != nil {
			return v, err
		}
		v.members = append(v.members, jsonMember{key, value})
	}
	r.i++
	return v, nil
}

func (r *jsonReader) string() (string, error) {
	start := r.i
	r.i++
	for r.data[r.i] != '"' {
		if r.data[r.i] == '\\' {
			r.i++
		}
		r.i++
	}
	r.i++
	quoted := r.data[start:r.i]
	if bytes.IndexByte(quoted, '\\') < 0 {
		return string(quoted[1 : len(quoted)-1]), nil
	}
	if err := checkSurrogates(quoted); err != nil {
		return "", err
	}
	var s string
	err := json.Unmarshal(quoted, &s)
	return s, err
}

// checkSurrogates refuses \u escapes of half a character, which encoding/json
// would replace.
func checkSurrogates(quoted []byte) error {
	unit := func(i int) rune {
		if i+6 > len(quoted) || quoted[i] != '\\' || quoted[i+1] != 'u' {
			return 0
		}
		n, _ := strconv.ParseUint(string(quoted[i+2:i+6]), 16, 16)
		return rune(n)
	}
	for i := 0; i < len(quoted); i++ {
		if quoted[i] != '\\' {
			continue
		}
		u := unit(i)
		if utf16.IsSurrogate(u) {
			if utf16.DecodeRune(u, unit(i+6)) == utf8.RuneError {
				return fmt.Errorf("lone surrogate %s in a JSON string", quoted[i:i+6])
			}
			i += 6
		}
		i++ // the escaped byte, which may be another backslash
	}
	return nil
}

// get returns the value of a key. If a key stands more than once the last one
// counts, as in serde_json.
func (v *jsonValue) get(key string) *jsonValue {
	if v == nil {
		return nil
	}
	for i := range slices.Backward(v.members) {
		if v.members[i].key == key {
			return &v.members[i].value
		}
	}
	return nil
}

// is reports whether the value is there and of the kind.
func (v *jsonValue) is(k jsonKind) bool { return v != nil && v.kind == k }

// unique returns the members with each key once: at its first place, with its
// last value.
func (v *jsonValue) unique() []jsonMember {
	seen := make(map[string]int, len(v.members))
	for i, m := range v.members {
		if _, ok := seen[m.key]; ok {
			return v.dedupe()
		}
		seen[m.key] = i
	}
	return v.members
}

func (v *jsonValue) dedupe() []jsonMember {
	at := make(map[string]int, len(v.members))
	var out []jsonMember
	for _, m := range v.members {
		if i, ok := at[m.key]; ok {
			out[i].value = m.value
			continue
		}
		at[m.key] = len(out)
		out = append(out, m)
	}
	return out
}

// compact appends the value as the dialect's serde_json prints it.
func (v *jsonValue) compact(b *strings.Builder, d Dialect) {
	switch v.kind {
	case jsonNull:
		b.WriteString("null")
	case jsonBool:
		b.WriteString(v.text)
	case jsonNumber:
		b.WriteString(printNumber(v.text, d))
	case jsonString:
		quoteJSON(b, v.text)
	case jsonArray:
		b.WriteByte('[')
		for i := range v.items {
			if i > 0 {
				b.WriteByte(',')
			}
			v.items[i].compact(b, d)
		}
		b.WriteByte(']')
	case jsonObject:
		b.WriteByte('{')
		for i, m := range v.unique() {
			if i > 0 {
				b.WriteByte(',')
			}
			quoteJSON(b, m.key)
			b.WriteByte(':')
			m.value.compact(b, d)
		}
		b.WriteByte('}')
	}
}

// quoteJSON writes a JSON string with the fewest escapes that JSON allows.
func quoteJSON(b *strings.Builder, s string) {
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; c {
		case '"', '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case '\b':
			b.WriteString(`\b`)
		case '\f':
			b.WriteString(`\f`)
		case '\n':
			b.WriteString(`\n`)
		case '\r':
			b.WriteString(`\r`)
		case '\t':
			b.WriteString(`\t`)
		default:
			if c < 0x20 {
				fmt.Fprintf(b, `\u%04x`, c)
			} else {
				b.WriteByte(c)
			}
		}
	}
	b.WriteByte('"')
}

// printNumber returns a JSON number as serde_json prints it after reading it: a
// whole number that fits 64 bits as it is, all else as a float.
func printNumber(s string, d Dialect) string {
	if !strings.ContainsAny(s, ".eE") && s != "-0" {
		if _, err := strconv.ParseInt(s, 10, 64); err == nil {
			return s
		}
		if _, err := strconv.ParseUint(s, 10, 64); err == nil {
			return s
		}
	}
	f, _ := serdeFloat(s)
	return printFloat(f, d)
}

// serdeFloat reads a float the way serde_json does without its float_roundtrip
// feature: up to 64 bits of digits, then a power of ten, which for long numbers
// is not the nearest float.
func serdeFloat(s string) (float64, bool) {
	s, negative := strings.CutPrefix(s, "-")
	mantissa, power, _ := strings.Cut(strings.ToLower(s), "e")
	whole, fraction, _ := strings.Cut(mantissa, ".")
	var digits uint64
	exp := 0
	full := false // the digits behind the first that overflows are dropped
	for i := range len(whole) + len(fraction) {
		inFraction := i >= len(whole)
		if i == len(whole) {
			full = false
		}
		d := uint64((whole + fraction)[i] - '0')
		if full || digits > (math.MaxUint64-d)/10 {
			full = true
			if !inFraction {
				exp++
			}
			continue
		}
		digits = digits*10 + d
		if inFraction {
			exp--
		}
	}
	if power != "" {
		n, err := strconv.Atoi(power)
		if err != nil { // beyond any float
			return 0, digits == 0 || power[0] == '-'
		}
		exp += n
	}
	f := float64(digits)
	for ; exp < -308 && f != 0; exp += 308 {
		f /= 1e308
	}
	switch {
	case f == 0:
	case exp > 308:
		return 0, false
	case exp >= 0:
		f *= pow10(exp)
	default:
		f /= pow10(-exp)
	}
	if math.IsInf(f, 0) {
		return 0, false
	}
	if negative {
		f = -f
	}
	return f, true
}

func pow10(n int) float64 {
	f, _ := strconv.ParseFloat("1e"+strconv.Itoa(n), 64)
	return f
}

// printFloat prints the shortest digits the way Rust lays them out: plain from
// 0.00001 up to 16 digits before the point, else with an exponent, which has a
// plus sign in the newer serde_json of the fork.
func printFloat(f float64, d Dialect) string {
	s := strconv.FormatFloat(f, 'e', -1, 64)
	mantissa, power, _ := strings.Cut(s, "e")
	exp, _ := strconv.Atoi(power)
	switch {
	case -5 <= exp && exp <= 15:
		s = strconv.FormatFloat(f, 'f', -1, 64)
		if !strings.Contains(s, ".") {
			s += ".0"
		}
		return s
	case exp > 0 && d == GptOss:
		return mantissa + "e+" + strconv.Itoa(exp)
	}
	return mantissa + "e" + strconv.Itoa(exp)
}
