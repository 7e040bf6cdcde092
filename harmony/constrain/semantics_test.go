package constrain

import (
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"chorale/harmony"
)

// TestSemantics holds keywords in odd company against an independent validator.
func TestSemantics(t *testing.T) {
	v := o200k()
	end := v.enc.Control().Call
	for _, c := range []struct{ schema, docs string }{
		{`{"prefixItems":[{"type":"integer"}],"unevaluatedItems":{"type":"string"}}`, `[1] [1,"a"] [1,2] ["a"] [] 5`},
		{`{"contains":{"type":"string"},"minContains":0,"maxContains":1}`, `[] ["a"] ["a","b"] ["a",1,2] [1]`},
		{`{"type":"array","prefixItems":[{"type":"string"},{"type":"boolean"}],"items":{"type":"number"},"contains":{"const":"a"}}`, `["a"] ["b"] ["b",true,1] ["a",true,1] []`},
		{`{"type":"array","prefixItems":[{"type":"object"},{"type":["integer","string"]}],"maxItems":2,"contains":{"type":"integer"}}`, `[{},1] [{},"a"] [{}] [1]`},
		{`{"type":"array","prefixItems":[{"type":"string"}],"contains":{"type":"boolean"},"minContains":2}`, `["a",true,false] ["a",true] ["a"] [true,true]`},
		{`{"not":{"contains":{"const":1}},"type":"array","items":{"type":"integer"}}`, `[] [1] [2,1] [2,3]`},
		{`{"patternProperties":{"^a":{"type":"integer"},"b$":{"minimum":5}},"type":"object"}`, `{"ab":6} {"ab":3} {"a":3} {"xb":4} {"xb":"s"} {"z":null} {}`},
		{`{"properties":{"ab":{"maximum":9}},"patternProperties":{"^a":{"type":"integer"}},"additionalProperties":false}`, `{"ab":6} {"ab":10} {"ab":1.5} {"ac":100} {"b":1} 7`},
		{`{"type":"object","properties":{"k":{"enum":["a","b"]}},"if":{"properties":{"k":{"const":"a"}},"required":["k"]},"then":{"required":["x"]}}`, `{"k":"a","x":1} {"k":"a"} {"k":"b"} {} {"k":"b","x":2}`},
		{`{"$ref":"#i","$defs":{"n":{"$anchor":"i","type":"integer","minimum":3}}}`, `2 3 "a"`},
		{`{"type":"string","pattern":"^(ab)*$","minLength":3,"maxLength":5}`, `"ab" "abab" "ababab" "aba" ""`},
		{`{"type":"string","pattern":"^(a|bcd)$","minLength":1}`, `"a" "bcd" "b" ""`},
		{`{"type":"string","pattern":"^(a|bcd)$","minLength":2}`, `"a" "bcd" "abcd"`},
		{`{"type":"string","pattern":"^(abc)+$","minLength":4}`, `"abc" "abcabc" "abcabcabc" "abca"`},
		{`{"type":"string","format":"date","minLength":1}`, `"2024-01-31" "2024" ""`},
		{`{"type":"string","format":"email","minLength":12}`, `"kim@friends.example" "a@b.example"`},
		{`{"type":"object","properties":{"code":{"type":"string","pattern":"^[A-Z]{3}$","minLength":1}}}`, `{"code":"EUR"} {"code":""} {}`},
		{`{"oneOf":[{"type":"string","minLength":2},{"type":"string","maxLength":3}]}`, `"a" "ab" "abc" "abcd" 1`},
		{`{"oneOf":[{"properties":{"a":{"type":"integer"}},"required":["a"]},{"properties":{"b":{"type":"integer"}},"required":["b"]}]}`, `{"a":1} {"b":1} {"a":1,"b":1} {"a":1,"b":"x"} {} {"b":1,"a":"x"}`},
		{`{"not":{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]}}`, `{"a":1} {"a":"x"} {} 1 {"b":1}`},
		{`{"type":"object","not":{"properties":{"a":{"type":"number"}},"additionalProperties":false}}`, `{} {"a":1} {"a":"x"} {"b":1} {"a":1,"b":2} {"b":1,"a":1}`},
		{`{"oneOf":[{"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":false},{"type":"object"}]}`, `{} {"a":"x"} {"a":1} {"b":1} {"a":"x","b":1}`},
		{`{"type":"object","minProperties":2,"maxProperties":3,"properties":{"a":{},"b":{}}}`, `{"a":1} {"a":1,"b":2} {"a":1,"c":3} {"a":1,"b":1,"c":1,"d":1} {"x":1,"y":2}`},
		{`{"anyOf":[{"properties":{"a":true},"required":["a"]},{"properties":{"b":true},"required":["b"]}],"type":"object","unevaluatedProperties":false}`, `{"a":1} {"b":1} {"a":1,"b":2} {"a":1,"c":2} {}`},
		{`{"type":"array","prefixItems":[{"type":"string"},{"type":"integer"}],"items":false,"minItems":1}`, `["a"] ["a",1] ["a",1,2] [] [1]`},
		{`{"type":"number","multipleOf":0.01,"exclusiveMinimum":0}`, `0.01 0.015 0 12.34 -1 5`},
		{`{"type":"integer","not":{"multipleOf":3},"minimum":1,"maximum":7}`, `1 2 3 4 6 7 8`},
		{`{"type":"object","propertyNames":{"pattern":"^[a-z]+$","maxLength":3},"minProperties":1}`, `{"ab":1} {"abcd":1} {"A":1} {}`},
		{`{"enum":[{"a":[1,2]},[],[1],null,"x"]}`, `{"a":[1,2]} {"a":[1]} [] [1] [2] null "x" "y"`},
		{`{"const":{"a":{"b":1}}}`, `{"a":{"b":1}} {"a":{"b":2}} {"a":{}}`},
		{`{"type":"object","not":{"required":["a"]}}`, `{} {"a":1} {"b":1}`},
		{`{"type":"array","items":{"type":["integer","object"]},"uniqueItems":true}`, `[1,2] [1,1] [{},{}] [{"a":1},{"a":2}] [1,12,2] []`},
		{`{"properties":{"foo":{"type":"integer"}},"dependentSchemas":{"foo":{"required":["bar"]}},"type":"object"}`, `{"foo":1,"bar":2} {"foo":1} {"bar":1} {}`},
	} {
		s, err := v.Compile([]byte(c.schema), Options{End: []harmony.Token{end}})
		if err != nil {
			t.Errorf("%s: %v", c.schema, err)
			continue
		}
		judge := validator(t, []byte(c.schema))
		for _, doc := range strings.Fields(c.docs) {
			value, err := jsonschema.UnmarshalJSON(strings.NewReader(doc))
			if err != nil {
				t.Fatal(err)
			}
			want := judge.Validate(value) == nil
			if got, why := accepts(t, s, doc, end); got != want {
				t.Errorf("%s: %s: accepted: %v (%s), want %v", c.schema, doc, got, why, want)
			}
		}
	}
}
