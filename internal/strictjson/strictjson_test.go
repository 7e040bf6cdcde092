package strictjson

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	got, err := Parse(` {"a": [1, 2.50, {"b": null}], "c": "é\u00e9", "d": true} `)
	want := map[string]any{"a": []any{json.Number("1"), json.Number("2.50"), map[string]any{"b": nil}}, "c": "éé", "d": true}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}

func TestRefusals(t *testing.T) {
	for text, want := range map[string]string{
		"":                           "empty",
		" \n":                        "empty",
		"{":                          "ends too early",
		`{"a"`:                       "ends too early",
		`{"a":}`:                     "invalid character '}'",
		`{"a":1,}`:                   "invalid character '}'",
		`{a:1}`:                      "invalid character 'a'",
		`{'a':1}`:                    `invalid character '\''`,
		`[1}`:                        "invalid character '}'",
		`]`:                          "invalid character ']'",
		`{"a":1} x`:                  "text after the value",
		`{"a":1}{"a":2}`:             "text after the value",
		`{"a":1,"a":2}`:              `key "a" is repeated`,
		`{"x":{"a":1,"\u0061":2}}`:   `key "a" is repeated`,
		`1e999`:                      "number 1e999 is out of range",
		`[1e-999999]`:                "number 1e-999999 is out of range",
		strings.Repeat("9", 70):      "number 99999999999999999999 is out of range",
		strings.Repeat("[", 100_000): "nested too deeply",
		"\"\xff\"":                   "not UTF-8 text",
		"NaN":                        "invalid character 'N'",
	} {
		v, err := Parse(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: got %v, %v; want %q", text, v, err, want)
		}
	}
}

// What Parse accepts, encoding/json accepts and reads alike.
func FuzzParse(f *testing.F) {
	for _, s := range []string{`{"a":[1,2e3,"x"]}`, `0`, `-0.0`, `"\ud800"`, `{"":{}}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := Parse(text)
		if err != nil {
			return
		}
		dec := json.NewDecoder(strings.NewReader(text))
		dec.UseNumber()
		var want any
		if err := dec.Decode(&want); err != nil {
			t.Fatalf("%q is accepted, but %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q\n%s", text, diff)
		}
	})
}
