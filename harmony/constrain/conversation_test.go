package constrain

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"chorale/harmony"
)

// pocket is a small vocabulary, of 2,048 ids.
func pocket(t testing.TB) *Vocabulary {
	t.Helper()
	src, err := os.ReadFile("../testdata/tokenizerjson/pocket.json")
	if err != nil {
		t.Fatal(err)
	}
	e, err := harmony.FromTokenizerJSON(src)
	if err != nil {
		t.Fatal(err)
	}
	return prepare(t, e)
}

func prepare(t testing.TB, e *harmony.Encoding) *Vocabulary {
	t.Helper()
	v, err := NewVocabulary(e)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func grammarOf(t testing.TB, v *Vocabulary, c Conversation) *Grammar {
	t.Helper()
	g, err := v.Harmony(c)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

var shop = []harmony.Namespace{
	harmony.Python(),
	harmony.Browser(),
	{Name: "functions", Functions: []harmony.Function{
		{Name: "get", Parameters: json.RawMessage(`{"type":"object","properties":{"item":{"type":"string","maxLength":8},"count":{"type":"integer","minimum":1,"maximum":99}},"required":["item"],"additionalProperties":false}`)},
		{Name: "get_price", Parameters: json.RawMessage(`{"type":"object","properties":{"currency":{"enum":["EUR","USD"]}},"required":["currency"],"additionalProperties":false}`)},
		{Name: "now"},
	}},
	{Name: "files", Functions: []harmony.Function{
		{Name: "read", Parameters: json.RawMessage(`{"type":"object","properties":{"path":{"type":"string","maxLength":10}},"required":["path"],"additionalProperties":false}`)},
	}},
}

// follow accepts what the text spells, control tokens by name, and checks each
// token against the mask.
func follow(s *Speech, e *harmony.Encoding, text string) error {
	for _, id := range e.EncodeWithSpecial(text) {
		allowed := Mask(s.Mask()).Has(id)
		err := s.Accept(id)
		if allowed != (err == nil) {
			return fmt.Errorf("token %q: in the mask: %v, accepted: %v", e.TokenText(id), allowed, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// TestForms: the forms that the models write and that the renderer renders are
// legal, and what is near them is not. The whole text is cut into tokens as the
// vocabularies do it, and into single bytes.
func TestForms(t *testing.T) {
	legal := []string{
		"<|channel|>analysis<|message|>I think.<|end|>",
		"<|channel|>analysis<|message|><|end|>",
		"<|channel|>commentary<|message|>Let me look.<|end|>",
		"<|channel|>final<|message|>Done.<|return|>",
		"<|channel|>final<|message|> \n x<|return|>",
		"<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b<|return|>",
		"<|channel|>analysis to=python code<|message|>print(1)<|call|>",
		"<|channel|>analysis to=python<|message|>print('<', '|call|>')\n<|call|>",
		" to=python<|channel|>analysis code<|message|>print(1)<|call|>",
		" to=python<|channel|>commentary <|constrain|>code<|message|>1<|call|>",
		`<|channel|>analysis to=browser.open code<|message|>{"id": 0}<|call|>`,
		`<|channel|>commentary to=functions.get <|constrain|>json<|message|>{"item": "a"}<|call|>`,
		`<|channel|>commentary to=functions.get json<|message|>{"item":"a","count":12}<|call|>`,
		`<|channel|>commentary to=functions.get<|message|>{"item":"a"}<|call|>`,
		`<|channel|>commentary to=functions.get_price<|message|>{"currency":"EUR"}<|call|>`,
		` to=functions.get_price<|channel|>commentary <|constrain|>json<|message|>{"currency":"EUR"}<|call|>`,
		` to=functions.now<|channel|>commentary json<|message|>{}<|call|>`,
		`<|channel|>analysis to=files.read <|constrain|>json<|message|>{"path":"/a"}<|call|>`,
	}
	illegal := []string{
		"analysis", "<|message|>", "<|start|>", "<|end|>", "<|return|>", "<|channel|><|channel|>", "<|channel|>analysis<|end|>",
		"<|channel|>comment<|message|>", "<|channel|>finale", "<|channel|>final to=", "<|channel|>final <|constrain|>json",
		"<|channel|>analysis <|message|>", "<|channel|>analysis to=functions.get", "<|channel|>commentary to=assistant",
		"<|channel|>commentary to=functions.ge<|message|>", "<|channel|>commentary to=functions.get_pric<|message|>",
		"<|channel|>commentary to=functions.get code", "<|channel|>commentary to=functions.get  ",
		"<|channel|>commentary to=functions.get json json", "<|channel|>commentary to=functions.get<|constrain|>",
		" to=python<|message|>", " to=functions.get<|channel|>analysis", " to=python to=python", "  to=python",
		"<|channel|>analysis to=python json", "<|channel|>analysis to=python<|message|><|call|>", "<|channel|>analysis to=python<|message|>1<|end|>",
		"<|channel|>analysis<|message|>a<|return|>", "<|channel|>analysis<|message|>a<|call|>", "<|channel|>analysis<|message|>a<|start|>",
		"<|channel|>analysis<|message|>a<|channel|>", "<|channel|>commentary<|message|>a<|call|>",
		"<|channel|>final<|message|><|return|>", "<|channel|>final<|message|> \n\u3000<|return|>", "<|channel|>final<|message|>a<|end|>",
		"<|channel|>final<|message|>a<|call|>", "<|channel|>final<|message|>a<|return|>b",
		`<|channel|>commentary to=functions.get<|message|>{"item":1`, `<|channel|>commentary to=functions.get<|message|>{}<|call|>`,
		`<|channel|>commentary to=functions.get<|message|>{"item":"a"}<|end|>`, `<|channel|>commentary to=functions.get<|message|><|call|>`,
		"<|channel|>analysis<|message|>a<|end|><|start|>user", "<|channel|>analysis<|message|>a<|end|><|channel|>",
	}
	for name, v := range map[string]*Vocabulary{"o200k": o200k(), "pocket": pocket(t)} {
		g := grammarOf(t, v, Conversation{Tools: shop})
		for _, text := range legal {
			if err := follow(g.Start(), v.enc, text); err != nil {
				t.Errorf("%s: %s: %v", name, text, err)
			}
			if err := followBytes(g.Start(), v.enc, text); err != nil {
				t.Errorf("%s, byte by byte: %s: %v", name, text, err)
			}
		}
		for _, text := range illegal {
			var refused *RefusedError
			if err := follow(g.Start(), v.enc, text); !errors.As(err, &refused) && !errors.Is(err, ErrEnded) {
				t.Errorf("%s: %s: %v, want a refusal", name, text, err)
			}
		}
	}
	t.Logf("%d legal and %d illegal texts on two vocabularies", len(legal), len(illegal))
}

// followBytes follows a text whose headers are cut into single bytes.
func followBytes(s *Speech, e *harmony.Encoding, text string) error {
	for _, id := range e.EncodeWithSpecial(text) {
		if e.IsSpecial(id) || s.place != inHeader {
			if err := s.Accept(id); err != nil {
				return err
			}
			continue
		}
		for _, b := range []byte(e.TokenText(id)) {
			single := e.Encode(string(rune(b)))
			if !Mask(s.Mask()).Has(single[0]) {
				return fmt.Errorf("%q is not in the mask", b)
			}
			if err := s.Accept(single[0]); err != nil {
				return err
			}
		}
	}
	return nil
}

// TestMarkersAreNotText: a marker that ordinary tokens spell is no marker, and in
// text no control or reserved token can come.
func TestMarkersAreNotText(t *testing.T) {
	v := o200k()
	g := grammarOf(t, v, Conversation{Tools: shop})
	e := v.enc
	for _, text := range []string{"<|channel|>final<|message|>", "<|start|>"} {
		s := g.Start()
		for _, id := range e.Encode(text) {
			if s.Accept(id) == nil {
				t.Errorf("%s, spelled out: %q was accepted", text, e.TokenText(id))
			}
		}
	}
	for header, end := range map[string]harmony.Token{
		"<|channel|>analysis<|message|>a":                                  e.Control().End,
		"<|channel|>final<|message|>a":                                     e.Control().Return,
		"<|channel|>analysis to=python<|message|>a":                        e.Control().Call,
		`<|channel|>commentary to=functions.get<|message|>{"item":"`:       0,
		`<|channel|>commentary to=functions.get<|message|>{"item":"a"}`:    e.Control().Call,
		`<|channel|>commentary to=functions.get_price<|message|>{"curr`:    0,
		`<|channel|>commentary to=functions.now<|message|>{`:               0,
		`<|channel|>analysis to=files.read <|constrain|>json<|message|>{"`: 0,
	} {
		s := g.Start()
		if err := follow(s, e, header); err != nil {
			t.Fatal(err)
		}
		mask := Mask(s.Mask())
		for id := range harmony.Token(e.VocabSize()) {
			if mask.Has(id) && !v.Text().Has(id) && id != end {
				t.Errorf("%s: special token %d %s may come", header, id, e.TokenText(id))
			}
		}
		if end != 0 && !mask.Has(end) {
			t.Errorf("%s: cannot end", header)
		}
	}
}

// TestChoice: what the conversation's choice leaves of the headers.
func TestChoice(t *testing.T) {
	v := pocket(t)
	const call, python, final = "<|channel|>commentary to=functions.now<|message|>{}<|call|>", "<|channel|>analysis to=python<|message|>1<|call|>", "<|channel|>final<|message|>a<|return|>"
	const thought = "<|channel|>analysis<|message|>a<|end|><|start|>assistant"
	for _, tc := range []struct {
		c                   Conversation
		call, python, final bool
	}{
		{Conversation{}, false, false, true},
		{Conversation{Tools: shop}, true, true, true},
		{Conversation{Tools: shop, Choice: MustAnswer}, false, false, true},
		{Conversation{Tools: shop, Choice: MustCall}, true, true, false},
		{Conversation{Tools: shop, Choice: MustCall, Only: "functions.now"}, true, false, false},
		{Conversation{Tools: shop, Only: "python"}, false, true, true},
	} {
		g := grammarOf(t, v, tc.c)
		for text, want := range map[string]bool{call: tc.call, python: tc.python, final: tc.final} {
			if err := follow(g.Start(), v.enc, thought+text); (err == nil) != want {
				t.Errorf("%+v: %s: %v", tc.c, text, err)
			}
		}
	}
	for want, c := range map[string]Conversation{
		"not among":           {Tools: shop, Only: "functions.never"},
		"no tools":            {Choice: MustCall},
		"a name must":         {Tools: []harmony.Namespace{{Name: "a b"}}},
		"there but once":      {Tools: []harmony.Namespace{harmony.Python(), harmony.Python()}},
		"the answer's schema": {Answer: json.RawMessage(`{"type":7}`)},
	} {
		if _, err := v.Harmony(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want an error that says %q", c, err, want)
		}
	}
}

// TestAnswer: an answer with a schema can have that form alone.
func TestAnswer(t *testing.T) {
	v := pocket(t)
	schema := json.RawMessage(`{"type":"object","properties":{"answer":{"type":"string"}},"required":["answer"],"additionalProperties":false}`)
	g := grammarOf(t, v, Conversation{Tools: shop, Answer: schema})
	if err := follow(g.Start(), v.enc, `<|channel|>final<|message|>{"answer": "\"yes\""}<|return|>`); err != nil {
		t.Error(err)
	}
	for _, text := range []string{"<|channel|>final<|message|>Yes", `<|channel|>final<|message|>{"answer": 1`, `<|channel|>final<|message|>{"answer": "a"<|return|>`} {
		if follow(g.Start(), v.enc, text) == nil {
			t.Errorf("%s was accepted", text)
		}
	}
	twice := json.RawMessage(`{"type":"array","not":{"uniqueItems":true}}`)
	var unsupported *UnsupportedError
	if _, err := v.Harmony(Conversation{Answer: twice}); !errors.As(err, &unsupported) {
		t.Errorf("a schema that no mask holds: %v", err)
	}
	g = grammarOf(t, v, Conversation{Answer: twice, LenientAnswer: true})
	if len(g.Unenforced()) != 1 || g.Unenforced()[0].Tool != "" {
		t.Errorf("left to be checked: %v", g.Unenforced())
	}
}

// TestLenientArguments: what a mask cannot hold of a function's schema is listed
// and left out, the rest is held.
func TestLenientArguments(t *testing.T) {
	v := pocket(t)
	g := grammarOf(t, v, Conversation{Tools: []harmony.Namespace{{Name: "functions", Functions: []harmony.Function{
		{Name: "half", Parameters: json.RawMessage(`{"type":"object","properties":{"a":{"type":"array","items":{"type":"integer"},"not":{"uniqueItems":true}}},"required":["a"],"additionalProperties":false}`)},
		{Name: "none", Parameters: json.RawMessage(`{"type":"objekt"}`)},
	}}}})
	var tools []string
	for _, u := range g.Unenforced() {
		tools = append(tools, u.Tool)
	}
	if !slices.Equal(tools, []string{"functions.half", "functions.none"}) {
		t.Errorf("left to be checked: %v", g.Unenforced())
	}
	const call = "<|channel|>commentary to=functions."
	for text, ok := range map[string]bool{
		`half<|message|>{"a": [1, 2]}<|call|>`: true, `half<|message|>{"a": "b"`: false, `half<|message|>{}`: false,
		`none<|message|>{"b": [null]}<|call|>`: true, `none<|message|>[`: false,
	} {
		if err := follow(g.Start(), v.enc, call+text); (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestMasks holds masks against Accept over the whole vocabulary, at random
// places of random speeches.
func TestMasks(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for _, v := range []*Vocabulary{pocket(t), o200k()} {
		g := grammarOf(t, v, Conversation{Tools: shop})
		places := 30 + 400_000/v.enc.VocabSize()
		for range places {
			s := g.Begin()
			for range r.IntN(40) {
				if s.Ended() {
					break
				}
				if err := s.Accept(draw(r, s, 0.05)); err != nil {
					t.Fatal(err)
				}
			}
			mask := Mask(s.Mask())
			for id := range harmony.Token(v.enc.VocabSize() + 70) {
				c := s.Clone()
				if err := c.Accept(id); (err == nil) != mask.Has(id) {
					t.Fatalf("token %d %q: in the mask %v, accepted %v", id, v.enc.TokenText(id), mask.Has(id), err)
				}
			}
		}
		t.Logf("%d places on %d ids", places, v.enc.VocabSize())
	}
}

// TestFreeTextAllocatesNothing: reasoning, preambles and free answers cost no
// memory.
func TestFreeTextAllocatesNothing(t *testing.T) {
	v := pocket(t)
	g := grammarOf(t, v, Conversation{Tools: shop})
	tokens := v.enc.Encode("I need to find out: naïve, 日本語 and 🙂. ")
	for _, header := range []string{"<|channel|>analysis<|message|>", "<|channel|>commentary<|message|>", "<|channel|>final<|message|>a", "<|channel|>analysis to=python<|message|>a"} {
		s := g.Start()
		if err := follow(s, v.enc, header); err != nil {
			t.Fatal(err)
		}
		allocs := testing.AllocsPerRun(10, func() {
			for _, id := range tokens {
				if !Mask(s.Mask()).Has(id) || len(s.Forced()) > 0 || s.Accept(id) != nil {
					t.Fatalf("%s: token %q", header, v.enc.TokenText(id))
				}
			}
		})
		if allocs > 0 {
			t.Errorf("%s: %v allocations", header, allocs)
		}
	}
}

// TestHalfCharacters: text can be cut anywhere between tokens, but ends between
// characters only, and is UTF-8.
func TestHalfCharacters(t *testing.T) {
	v := pocket(t)
	g := grammarOf(t, v, Conversation{})
	byteToken := func(b byte) harmony.Token { return v.enc.Encode(string([]byte{b}))[0] }
	for _, tc := range []struct {
		bytes string
		ok    bool // it is UTF-8 so far
		end   bool // and whole
	}{
		{"a", true, true}, {"\xc3", true, false}, {"\xc3\xa9", true, true}, {"\xe3\x80", true, false}, {"\xe3\x80\x80", true, true},
		{"\xf0\x9f\x99", true, false}, {"\xf0\x9f\x99\x82", true, true}, {"\xf4\x8f\xbf\xbf", true, true},
		{"\x80", false, false}, {"\xc0\x80", false, false}, {"\xc1", false, false}, {"\xe0\x9f", false, false}, {"\xed\xa0", false, false},
		{"\xf0\x8f", false, false}, {"\xf4\x90", false, false}, {"\xf5", false, false}, {"\xff", false, false}, {"\xc3a", false, false}, {"\xe3\x80a", false, false},
	} {
		s := g.Start()
		if err := follow(s, v.enc, "<|channel|>analysis<|message|>"); err != nil {
			t.Fatal(err)
		}
		var err error
		for i := 0; i < len(tc.bytes) && err == nil; i++ {
			id := byteToken(tc.bytes[i])
			allowed := Mask(s.Mask()).Has(id)
			if err = s.Accept(id); allowed != (err == nil) {
				t.Errorf("%q: byte %d in the mask: %v, accepted: %v", tc.bytes, i, allowed, err)
			}
		}
		if (err == nil) != tc.ok {
			t.Errorf("%q: %v", tc.bytes, err)
		}
		if end := err == nil && Mask(s.Mask()).Has(v.enc.Control().End); end != tc.end {
			t.Errorf("%q: may end here: %v", tc.bytes, end)
		}
	}
}

// TestTogether has many speeches use one grammar, which fills in its masks as
// they are asked for.
func TestTogether(t *testing.T) {
	g := grammarOf(t, pocket(t), Conversation{Tools: shop})
	var wg sync.WaitGroup
	for i := range 4 {
		r := rand.New(rand.NewPCG(uint64(i), 3))
		wg.Go(func() {
			for range 30 {
				walk(t, r, g)
			}
		})
	}
	wg.Wait()
}

// draw picks a token that the mask permits: the message's end with a chance, else
// any.
func draw(r *rand.Rand, s *Speech, end float64) harmony.Token {
	mask := Mask(s.Mask())
	if s.body != nil && mask.Has(s.body.end) && r.Float64() < end {
		return s.body.end
	}
	n := mask.Count()
	if n == 0 {
		panic("an empty mask")
	}
	for k, w := r.IntN(n), 0; ; w++ {
		word := mask[w]
		if c := bits.OnesCount64(word); k >= c {
			k -= c
			continue
		}
		for ; k > 0; k-- {
			word &= word - 1
		}
		return harmony.Token(64*w + bits.TrailingZeros64(word))
	}
}

// TestWalks: whatever is drawn from the masks parses strictly, into messages
// whose channels and recipients are declared and whose arguments and answers
// their schemas accept.
func TestWalks(t *testing.T) {
	answer := json.RawMessage(`{"type":"object","properties":{"total":{"type":"integer"},"why":{"type":"string","maxLength":5}},"required":["total"],"additionalProperties":false}`)
	r := rand.New(rand.NewPCG(2, 2))
	walks, kinds := 0, map[string]int{}
	for _, v := range []*Vocabulary{pocket(t), o200k()} {
		for _, c := range []Conversation{
			{}, {Tools: shop}, {Tools: shop, Answer: answer}, {Tools: shop, Choice: MustCall}, {Tools: shop[2:]},
		} {
			g := grammarOf(t, v, c)
			judge := newJudge(t, c)
			for range 1100 {
				if said := walk(t, r, g); said != nil {
					kinds[judge.check(t, v.enc, said)]++
					walks++
				}
			}
		}
	}
	t.Logf("%d walks: %v", walks, kinds)
	if walks < 10_000 {
		t.Errorf("%d walks", walks)
	}
	for _, kind := range []string{"final", "python", "browser.open", "functions.get", "functions.get_price", "functions.now", "files.read"} {
		if kinds[kind] == 0 {
			t.Errorf("no walk ended in %s", kind)
		}
	}
}

// walk draws until the model hands over, nil if that takes too long.
func walk(t *testing.T, r *rand.Rand, g *Grammar) (said []harmony.Token) {
	s := g.Start()
	for !s.Ended() {
		if len(said) > 600 {
			return nil
		}
		ids := []harmony.Token{}
		if r.IntN(2) == 0 {
			ids = s.Forced()
		}
		if len(ids) == 0 {
			ids = append(ids, hasten(r, s))
		}
		for _, id := range ids {
			if err := s.Accept(id); err != nil {
				t.Errorf("after %q: %v", spelled(g.vocabulary.enc, said), err)
				return nil
			}
			said = append(said, id)
		}
	}
	return said
}

// hasten draws a token, in documents mostly one that may bring the end nearer.
func hasten(r *rand.Rand, s *Speech) harmony.Token {
	if s.place == inDocument && r.IntN(4) > 0 {
		closers := []string{`"}`, `"`, `}`, `]`}
		ids := s.g.vocabulary.enc.Encode(closers[r.IntN(len(closers))])
		if len(ids) == 1 && Mask(s.Mask()).Has(ids[0]) {
			return ids[0]
		}
	}
	return draw(r, s, 0.3)
}

func spelled(e *harmony.Encoding, ids []harmony.Token) string {
	text, _ := e.Decode(ids)
	return text
}

// judge checks messages against the conversation that they belong to.
type judge struct {
	c       Conversation
	schemas map[string]*jsonschema.Schema // by recipient; the answer's is ""
}

func newJudge(t *testing.T, c Conversation) *judge {
	j := &judge{c: c, schemas: map[string]*jsonschema.Schema{}}
	add := func(name string, schema json.RawMessage) {
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(schema)))
		if err != nil {
			t.Fatal(err)
		}
		compiler := jsonschema.NewCompiler()
		if err := compiler.AddResource("s:"+name, doc); err != nil {
			t.Fatal(err)
		}
		if j.schemas[name], err = compiler.Compile("s:" + name); err != nil {
			t.Fatal(err)
		}
	}
	for _, ns := range c.Tools {
		for _, f := range ns.Functions {
			if f.Parameters == nil {
				f.Parameters = noArguments
			}
			add(ns.Name+"."+f.Name, f.Parameters)
		}
	}
	if c.Answer != nil {
		add("", c.Answer)
	}
	return j
}

// check parses what was said and returns what it ended in.
func (j *judge) check(t *testing.T, e *harmony.Encoding, said []harmony.Token) string {
	t.Helper()
	var kind string
	for _, d := range []harmony.Dialect{harmony.GptOss, harmony.Compat} {
		p := harmony.NewParser(e, harmony.ParseOptions{Dialect: d, Role: harmony.Assistant})
		for _, id := range said {
			if _, err := p.Push(id); err != nil {
				t.Fatalf("%q: %v", spelled(e, said), err)
			}
		}
		messages := p.Messages()
		for i, m := range messages {
			last := i == len(messages)-1
			if kind = j.message(t, &m); (kind == "") == last {
				t.Fatalf("%q: message %d is %+v", spelled(e, said), i, m)
			}
		}
	}
	lenient := harmony.NewParser(e, harmony.ParseOptions{Strictness: harmony.Lenient, Role: harmony.Assistant})
	for _, id := range said {
		_, _ = lenient.Push(id)
	}
	for _, m := range lenient.Messages() {
		if len(m.Repairs) > 0 {
			t.Fatalf("%q: mended: %v", spelled(e, said), m.Repairs)
		}
	}
	return kind
}

// message checks one, and returns its recipient, "final", or "" for a thought.
func (j *judge) message(t *testing.T, m *harmony.Parsed) string {
	t.Helper()
	switch {
	case m.Role != harmony.Assistant:
		t.Fatalf("role %v", m.Role)
	case m.Recipient == "" && m.Channel == harmony.Final && m.Stop == harmony.StopReturn && j.c.Choice != MustCall:
		if j.c.Answer != nil {
			j.document(t, "", m.Text())
		}
		return "final"
	case m.Recipient == "" && m.Stop == harmony.StopEnd && slices.Contains([]string{harmony.Analysis, harmony.Commentary}, m.Channel):
		return ""
	case m.Recipient == "python" && m.Stop == harmony.StopCall && m.Channel != harmony.Final:
		return "python"
	case j.schemas[m.Recipient] != nil && m.Recipient != "" && m.Stop == harmony.StopCall && m.Channel != harmony.Final:
		j.document(t, m.Recipient, m.Text())
		return m.Recipient
	}
	t.Fatalf("%+v", m)
	return ""
}

func (j *judge) document(t *testing.T, of, text string) {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err == nil {
		err = j.schemas[of].Validate(doc)
	}
	if err != nil {
		t.Fatalf("%s: %q: %v", of, text, err)
	}
}
