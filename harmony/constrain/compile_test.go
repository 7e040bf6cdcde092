package constrain

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"

	"chorale/harmony"
)

func TestRefusals(t *testing.T) {
	v := o200k()
	deep := strings.Repeat(`{"items":`, 600) + `{}` + strings.Repeat(`}`, 600)
	many := `{"allOf":[` + strings.Repeat(`{"anyOf":[{"minimum":1},{"maxLength":2},{"maxItems":3},{"maxProperties":4}]},`, 9) + `{}]}`
	for _, c := range []struct{ schema, want string }{
		{`{"type":`, "schema #: not valid JSON at byte 8: the text ends"},
		{`{"type":"strin"}`, `schema #: type: there is no type "strin"`},
		{`{"properties":{"a/b":{"minLength":-1}}}`, "schema #/properties/a~1b: minLength: wants a whole number, not -1"},
		{`{"properties":{"a":{"$ref":"#/$defs/x"}}}`, `schema #/properties/a: $ref: "#/$defs/x" leads nowhere`},
		{`{"$ref":"other.json"}`, `schema #: $ref: "other.json" is in another document`},
		{`{"$ref":"#"}`, "schema #: $ref: the schema leads back to itself without a value in between"},
		{`{"pattern":"(a)\\1"}`, `schema #: pattern: the pattern "(a)\\1": \1 is not supported`},
		{`{"pattern":"^(a|b)*a(a|b){30}$"}`, `schema #: pattern: the pattern "^(a|b)*a(a|b){30}$": needs too large an automaton`},
		{`{"items":{"format":"iri"}}`, `schema #/items: format: "iri" has no automaton`},
		{`{"not":{"uniqueItems":true}}`, "schema #/not: uniqueItems: its opposite, that some items are equal, cannot be held"},
		{`{"type":"string","enum":[]}`, "schema #: no document satisfies the schema"},
		{`{"$ref":"#/$defs/p","$defs":{"p":{"type":"object","required":["p"],"properties":{"p":{"$ref":"#/$defs/p"}}}}}`, "schema #: no document satisfies the schema"},
		{`{"multipleOf":0}`, "schema #: multipleOf: wants a number above 0"},
		{`{"minimum":1e999}`, "schema #: minimum: the number 1e999 has too large an exponent"},
		{deep, "schema #: not valid JSON at byte 4500: nested more than 500 deep"},
		{many, "schema #: allOf: more than 400 alternatives at one place"},
	} {
		_, err := v.Compile([]byte(c.schema), Options{})
		if err == nil || err.Error() != c.want {
			t.Errorf("%.80s:\n got %v\nwant %s", c.schema, err, c.want)
		}
	}
}

func TestLenient(t *testing.T) {
	v := o200k()
	s, err := v.Compile([]byte(`{"type":"array","items":{"type":"string","format":"iri"},"not":{"uniqueItems":true}}`), Options{Lenient: true, End: []harmony.Token{v.enc.Control().Call}})
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, err := range s.Unenforced() {
		var u *UnsupportedError
		if !errors.As(err, &u) {
			t.Errorf("%v is no UnsupportedError", err)
			continue
		}
		left = append(left, u.Path+" "+u.Keyword)
	}
	if got := strings.Join(left, ", "); !strings.Contains(got, "#/items format") || !strings.Contains(got, "uniqueItems") {
		t.Errorf("left out: %s", got)
	}
	if ok, why := accepts(t, s, `["a","b"]`, v.enc.Control().Call); !ok {
		t.Error(why)
	}
}

// TestForced holds the forced tokens against every valid document: they are the
// tokens that come next in it.
func TestForced(t *testing.T) {
	v := o200k()
	end := v.enc.Control().Call
	tokens, forced := 0, 0
	for _, c := range readCases(t, "testdata/schemas/schemas.jsonl") {
		s, err := v.Compile(c.Schema, Options{End: []harmony.Token{end}})
		if err != nil {
			continue
		}
		for _, doc := range c.Valid[:1] {
			text := compact(t, doc)
			ids := append(v.enc.Encode(text), end)
			m := s.Start()
			for i := 0; i < len(ids); {
				next := m.Forced(nil)
				for k, id := range next {
					if i+k >= len(ids) || ids[i+k] != id {
						t.Fatalf("%s: after %s, %q is forced; the document is %s", c.Name, m.text, v.enc.TokenText(id), text)
					}
				}
				if len(next) == 0 {
					next = ids[i : i+1]
				} else {
					forced += len(next)
				}
				for _, id := range next {
					if !m.Mask().Has(id) {
						t.Fatalf("%s: after %s, the mask lacks %q", c.Name, m.text, v.enc.TokenText(id))
					}
					if err := m.Accept(id); err != nil {
						t.Fatal(err)
					}
					i++
				}
			}
			if !m.Ended() {
				t.Errorf("%s: %s has not ended", c.Name, text)
			}
			tokens += len(ids)
		}
	}
	t.Logf("%d of %d tokens are forced", forced, tokens)
	if forced == 0 {
		t.Error("nothing is forced")
	}
}

// TestSmallVocabulary uses a checkpoint's own tokenizer.json.
func TestSmallVocabulary(t *testing.T) {
	data, err := os.ReadFile("../../inference/pocket/tokenizer.json")
	if err != nil {
		t.Fatal(err)
	}
	enc, err := harmony.FromTokenizerJSON(data)
	if err != nil {
		t.Fatal(err)
	}
	v, err := NewVocabulary(enc)
	if err != nil {
		t.Fatal(err)
	}
	end := enc.Control().Return
	walks := 0
	for i, c := range readCases(t, "testdata/schemas/schemas.jsonl") {
		if i%6 != 0 {
			continue
		}
		s, err := v.Compile(c.Schema, Options{End: []harmony.Token{end}})
		if err != nil {
			continue
		}
		for _, doc := range c.Valid {
			if ok, why := accepts(t, s, compact(t, doc), end); !ok {
				t.Errorf("%s: %s: %s", c.Name, doc, why)
			}
		}
		if text, ok := randomWalk(t, rand.New(rand.NewPCG(uint64(i), 3)), s, end, 400); ok {
			walks++
			if !json.Valid([]byte(text)) {
				t.Errorf("%s: %s is no JSON", c.Name, text)
			}
		}
		m := s.Start()
		checkMask(t, m)
	}
	if walks == 0 {
		t.Error("no walk came to an end")
	}
}

// TestConcurrent uses one schema from many goroutines.
func TestConcurrent(t *testing.T) {
	v := o200k()
	end := v.enc.Control().Call
	s, err := v.Compile([]byte(`{"type":"object","properties":{"a":{"type":"string","maxLength":9},"b":{"type":"array","items":{"type":"integer"},"uniqueItems":true}},"required":["a","b"]}`), Options{End: []harmony.Token{end}})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			text := fmt.Sprintf(`{"a":"x%d","b":[1,%d],"c":null}`, g, g+2)
			m := s.Start()
			for _, id := range v.enc.Encode(text) {
				if !m.Mask().Has(id) || m.Accept(id) != nil {
					t.Errorf("%s: %q is refused", text, v.enc.TokenText(id))
					return
				}
				m.Clone().Forced(nil)
			}
			if !m.Done() {
				t.Errorf("%s is not done", text)
			}
		})
	}
	wg.Wait()
}

func BenchmarkCompile(b *testing.B) {
	v := o200k()
	cases := readCases(b, "testdata/schemas/schemas.jsonl")
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := v.Compile(cases[i%len(cases)].Schema, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMaskWarm(b *testing.B) {
	v := o200k()
	s, err := v.Compile([]byte(`{"type":"string","maxLength":2000}`), Options{})
	if err != nil {
		b.Fatal(err)
	}
	m := s.Start()
	quote, word := v.enc.Encode(`"`)[0], v.enc.Encode(`hello`)[0]
	if err := m.Accept(quote); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%300 == 0 {
			m = s.Start()
			if err := m.Accept(quote); err != nil {
				b.Fatal(err)
			}
		}
		m.Mask()
		if err := m.Accept(word); err != nil {
			b.Fatal(err)
		}
	}
}
