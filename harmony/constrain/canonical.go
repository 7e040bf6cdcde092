package constrain

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"chorale/harmony/constrain/internal/automaton"
)

// canonical returns a text that is the same for JSON values that are equal.
func canonical(raw string) string {
	if raw == "" || raw[0] != '"' && raw[0] != '[' && raw[0] != '{' {
		return canonicalNumber(strings.TrimSpace(raw))
	}
	if raw[0] == '"' && !strings.Contains(raw, `\`) {
		return raw
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
