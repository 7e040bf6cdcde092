package constrain

import (
	"bytes"
	"encoding/json"
	"math/bits"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"chorale/harmony"
)

// pick returns one of the mask's tokens, or false if it is empty.
func pick(r *rand.Rand, mask Mask) (harmony.Token, bool) {
	at := r.IntN(len(mask))
	for range len(mask) + 1 {
		if w := mask[at]; w != 0 {
			for range r.IntN(bits.OnesCount64(w)) {
				w &= w - 1
			}
			return harmony.Token(64*at + bits.TrailingZeros64(w)), true
		}
		at = (at + 1) % len(mask)
	}
	return 0, false
}

// closers are what brings a document to its end.
var closers = []string{`"`, `",`, `"}`, `"]`, `}`, `]`, `}}`, `]}`, `":"`, `",`, `,`, `null`, `1`, `0`, `":`, `.`, `5`, `-`, `a`}

// randomWalk says random tokens that the masks allow, until the document ends. It
// returns false if that takes too long.
func randomWalk(t testing.TB, r *rand.Rand, s *Schema, end harmony.Token, steps int) (string, bool) {
	enc := s.vocabulary.enc
	m := s.Start()
	for n := range steps {
		mask := m.Mask()
		if mask.Has(end) && (n > steps/2 || r.IntN(3) == 0) {
			if err := m.Accept(end); err != nil {
				t.Fatalf("%s: %v", m.text, err)
			}
			return string(m.text), true
		}
		id, ok := pick(r, mask)
		if !ok {
			t.Fatalf("after %s no token is allowed", m.text)
		}
		if n > steps/2 || r.IntN(2) == 0 {
			from := r.IntN(len(closers))
			if n > steps/2 {
				from = 0
			}
			for i := range closers {
				ids := enc.Encode(closers[(from+i)%len(closers)])
				if len(ids) == 1 && mask.Has(ids[0]) {
					id = ids[0]
					break
				}
			}
		}
		if id == end {
			return string(m.text), true
		}
		if err := m.Accept(id); err != nil {
			t.Fatalf("after %s the mask allows token %d (%q): %v", m.text, id, enc.TokenText(id), err)
		}
	}
	return "", false
}

// validator judges documents independently of this package.
func validator(t testing.TB, schema json.RawMessage) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("mem:///schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("mem:///schema.json")
	if err != nil {
		t.Logf("the validator refuses the schema: %v", err)
		return nil
	}
	return s
}

func TestRandomWalks(t *testing.T) {
	v := o200k()
	end := v.enc.Control().Call
	perSchema := 60
	if raceEnabled {
		perSchema = 2
	}
	for file, cases := range schemaTrees(t) {
		total, unfinished := 0, 0
		for i, c := range cases {
			s, err := v.Compile(c.Schema, Options{End: []harmony.Token{end}, Blanks: i%2 == 1})
			if err != nil {
				continue
			}
			judge := validator(t, c.Schema)
			if judge == nil {
				continue
			}
			r := rand.New(rand.NewPCG(uint64(i), 1))
			for range perSchema {
				text, ok := randomWalk(t, r, s, end, 150)
				if !ok {
					unfinished++
					continue
				}
				total++
				doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
				if err != nil {
					t.Errorf("%s: %q is no JSON: %v", c.Name, text, err)
					continue
				}
				if err := judge.Validate(doc); err != nil {
					t.Errorf("%s: %s: %v", c.Name, text, err)
				}
			}
		}
		t.Logf("%s: %d walks validated, %d given up as too long", file, total, unfinished)
		if want := len(cases) * perSchema * 9 / 10; total < want {
			t.Errorf("%s: %d walks came to an end, want %d", file, total, want)
		}
	}
}

// TestNoDeadEnds walks through schemas that leave little choice: wherever a mask
// leads to, another token follows.
func TestNoDeadEnds(t *testing.T) {
	v := o200k()
	end := v.enc.Control().Call
	for _, schema := range []string{
		`{"type":"array","prefixItems":[{"type":"string"},{"type":"string"}],"items":{"type":"number"},"contains":{"const":"a"}}`,
		`{"type":"array","prefixItems":[{"type":["string","null"]},{"type":"boolean"}],"items":false,"contains":{"const":"a"}}`,
		`{"type":"array","prefixItems":[{"type":["integer","string"]},{"type":["integer","string"]}],"items":{"type":"null"},"contains":{"type":"integer"},"minContains":2}`,
		`{"type":"array","items":{"enum":[2,{"a":1}]},"uniqueItems":true}`,
		`{"type":"array","items":{"enum":[[1,2],[1,3]]},"uniqueItems":true}`,
		`{"type":"array","items":{"enum":["a b",["a b","a"]]},"uniqueItems":true}`,
	} {
		t.Run(schema, func(t *testing.T) {
			for _, blanks := range []bool{false, true} {
				s, err := v.Compile([]byte(schema), Options{End: []harmony.Token{end}, Blanks: blanks})
				if err != nil {
					t.Fatal(err)
				}
				r := rand.New(rand.NewPCG(1, 4))
				for range 100 {
					randomWalk(t, r, s, end, 60)
				}
			}
		})
	}
}

// spells reports whether the threads can read the text, byte by byte, without
// the trie, the masks that are kept and the sorting of the vocabulary.
func spells(m *Matcher, text string) bool {
	s := m.schema
	now := append([]thread(nil), m.threads...)
	doc := append([]byte(nil), m.text...)
	for i := range len(text) {
		doc = append(doc, text[i])
		var next []thread
		for _, t := range now {
			next = s.machine.step(next, t, doc)
		}
		if now = distinct(next, 0); len(now) == 0 || len(now) > maxThreads {
			return false
		}
	}
	w := s.walk()
	w.budget = maxBudget
	return w.anyAlive(now, doc)
}

// checkMask compares a mask with what each token alone does.
func checkMask(t testing.TB, m *Matcher) {
	t.Helper()
	mask := m.Mask()
	enc := m.schema.vocabulary.enc
	for id := range harmony.Token(enc.VocabSize()) {
		want := false
		if m.schema.vocabulary.text.Has(id) {
			want = spells(m, enc.TokenText(id))
		} else {
			for _, end := range m.schema.end {
				want = want || id == end && m.Done()
			}
		}
		if mask.Has(id) != want {
			t.Errorf("after %s: token %d (%q): in the mask: %v, want %v", m.text, id, enc.TokenText(id), mask.Has(id), want)
			return
		}
	}
}

// checkState compares the mask at a random place of a random schema's document.
func checkState(t testing.TB, cases []schemaCase, seed uint64) {
	v := o200k()
	end := v.enc.Control().Return
	r := rand.New(rand.NewPCG(seed, 2))
	c := cases[r.IntN(len(cases))]
	s, err := v.Compile(c.Schema, Options{End: []harmony.Token{end}, Blanks: r.IntN(2) == 0})
	if err != nil {
		return
	}
	m := s.Start()
	for range r.IntN(30) {
		id, ok := pick(r, m.Mask())
		if !ok {
			t.Fatalf("%s: after %s no token is allowed", c.Name, m.text)
		}
		if short := v.enc.Encode(closers[r.IntN(len(closers))]); len(short) == 1 && m.Mask().Has(short[0]) {
			id = short[0]
		}
		if id == end {
			break
		}
		if err := m.Accept(id); err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
	}
	checkMask(t, m)
}

func TestSchemaMasks(t *testing.T) {
	cases := readCases(t, "testdata/schemas/schemas.jsonl")
	states := 100
	if raceEnabled {
		states = 2
	}
	for seed := range uint64(states) {
		checkState(t, cases, seed)
	}
	t.Logf("%d masks of %d tokens each", states, harmony.O200kHarmony().VocabSize())
}

func FuzzSchemaMask(f *testing.F) {
	cases := readCases(f, "testdata/schemas/schemas.jsonl")
	for seed := range uint64(8) {
		f.Add(seed + 1000)
	}
	f.Fuzz(func(t *testing.T, seed uint64) { checkState(t, cases, seed) })
}
