package constrain

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"chorale/harmony/constrain/internal/automaton"
)

// canonical returns a text that is the same for JSON values that are equal.
func canonical(raw string) string {
	if raw == "" || raw[0] != '"' && raw[0] != '[' && raw[0] != '{' {
		return canonicalNumber(strings.TrimSpace(raw))
	}
	if raw[0] == '"' {
		return unescape(raw)
	}
	d := json.NewDecoder(strings.NewReader(raw))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return raw
	}
	var b bytes.Buffer
	writeCanonical(&b, v)
	return b.String()
}

// unescape writes the characters of a string for its escapes. Many texts that
// might have been a key come by here.
func unescape(raw string) string {
	i := strings.IndexByte(raw, '\\')
	if i < 0 {
		return raw
	}
	out := append(make([]byte, 0, len(raw)), raw[:i]...)
	for ; i < len(raw); i++ {
		if raw[i] != '\\' || i+1 == len(raw) {
			out = append(out, raw[i])
			continue
		}
		i++
		if at := strings.IndexByte("bfnrt", raw[i]); at >= 0 {
			out = append(out, "\b\f\n\r\t"[at])
			continue
		}
		if raw[i] != 'u' || i+4 >= len(raw) {
			out = append(out, raw[i])
			continue
		}
		r := hexRune(raw[i+1 : i+5])
		i += 4
		if utf16.IsSurrogate(r) && i+6 < len(raw) {
			r = utf16.DecodeRune(r, hexRune(raw[i+3:i+7]))
			i += 6
		}
		out = utf8.AppendRune(out, r)
	}
	return string(out)
}

func hexRune(digits string) rune {
	r := rune(0)
	for i := range len(digits) {
		d, _ := hexDigit(digits[i])
		r = r<<4 | rune(d)
	}
	return r
}

// canonicalNumber spells a number, or a literal, in one way.
func canonicalNumber(s string) string {
	if s == "" || s[0] != '-' && (s[0] < '0' || s[0] > '9') {
		return s
	}
	d, err := automaton.ParseDecimal(s)
	if err != nil {
		return s
	}
	return d.String()
}

func writeCanonical(b *bytes.Buffer, v any) {
	switch v := v.(type) {
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		b.WriteByte('{')
		for _, k := range keys {
			writeCanonical(b, k)
			b.WriteByte(':')
			writeCanonical(b, v[k])
			b.WriteByte(',')
		}
		b.WriteByte('}')
	case []any:
		b.WriteByte('[')
		for _, item := range v {
			writeCanonical(b, item)
			b.WriteByte(',')
		}
		b.WriteByte(']')
	case json.Number:
		b.WriteString(canonicalNumber(string(v)))
	case string:
		b.WriteByte('"')
		b.WriteString(strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(v))
		b.WriteByte('"')
	case nil:
		b.WriteString("null")
	case bool:
		if v {
			b.WriteString("true")
		} else {
			b.WriteString("false")
		}
	}
}
