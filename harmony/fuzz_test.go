package harmony

import (
	"encoding/binary"
	"encoding/json"
	"slices"
	"testing"
	"unicode/utf8"
)

// fuzzTokens makes a token stream of fuzz bytes: control tokens and words of
// headers are as likely as the rest of the vocabulary together.
func fuzzTokens(e *Encoding, data []byte) []Token {
	c := e.Control()
	common := []Token{c.Start, c.Message, c.End, c.Return, c.Call, c.Channel, c.Constrain}
	for _, word := range []string{"assistant", "analysis", "final", "commentary", " to=functions.f", " json", "\n", " code", "é"} {
		common = append(common, e.Encode(word)...)
	}
	var tokens []Token
	for len(data) > 0 {
		n := data[0]
		data = data[1:]
		switch {
		case n < 160:
			tokens = append(tokens, common[int(n)%len(common)])
		case n < 200 && len(data) >= 1: // single bytes, mostly no UTF-8
			tokens = append(tokens, e.bytes[data[0]])
			data = data[1:]
		case len(data) >= 4:
			tokens = append(tokens, binary.LittleEndian.Uint32(data)%uint32(e.VocabSize()+100))
			data = data[4:]
		}
	}
	return tokens
}

// No stream makes a parser panic, and a lenient one neither fails nor loses
// text.
func FuzzParser(f *testing.F) {
	for seed := range byte(40) {
		var b []byte
		for i := range byte(60) {
			b = append(b, (seed+1)*i*i+seed*7)
		}
		f.Add(b, seed)
	}
	e := O200kHarmony()
	f.Fuzz(func(t *testing.T, data []byte, mode byte) {
		tokens := fuzzTokens(e, data)
		o := ParseOptions{Dialect: Dialect(mode & 1), Role: Role(mode>>1) % (Tool + 1)}
		for _, o.Strictness = range []Strictness{Strict, Relaxed} {
			p := NewParser(e, o)
			for _, token := range tokens {
				_, _ = p.Push(token) // an error is fine, and so is going on
			}
			_, _ = p.Close()
		}
		o.Strictness = Lenient
		readLeniently(t, e, tokens, o)
	})
}

// Text comes back from its tokens, and each piece is what the definition of BPE
// makes of it.
func FuzzEncode(f *testing.F) {
	for _, s := range []string{"", "Hello, world", "don't  \n\n x", "日本語 ½ ǅ ª'll", "<|end|>", "\xff\xc3", "a\u0301B\u0301c's"} {
		f.Add(s)
	}
	e := O200kHarmony()
	f.Fuzz(func(t *testing.T, s string) {
		tokens := e.Encode(s)
		if got, err := e.Decode(tokens); err != nil || got != s {
			t.Fatalf("%q comes back as %q, %v", s, got, err)
		}
		if slices.ContainsFunc(tokens, e.IsSpecial) {
			t.Fatalf("%q has special tokens: %v", s, tokens)
		}
		var want []Token
		c := classes()
		for i := 0; i < len(s); {
			j := c.piece(s, i)
			if j <= i || j > len(s) {
				t.Fatalf("%q: the piece at %d ends at %d", s, i, j)
			}
			want = append(want, naiveMerge(e, s[i:j])...)
			i = j
		}
		if !slices.Equal(tokens, want) {
			t.Fatalf("%q becomes %v, want %v", s, tokens, want)
		}
	})
}

// What is rendered parses to what was rendered, in either dialect.
func FuzzRenderParse(f *testing.F) {
	f.Add("user", "", "hi", uint8(0))
	f.Add("think", "functions.f", "{}", uint8(7))
	f.Add("a<|end|>b", "python", "x\ny", uint8(30))
	e := O200kHarmony()
	f.Fuzz(func(t *testing.T, text, name, more string, mode uint8) {
		if !utf8.ValidString(text) || !utf8.ValidString(more) {
			return // comes back with U+FFFD
		}
		m := NewMessage(Role(mode)%Tool+1, text)
		m.Channel = []string{"", Analysis, Commentary, Final}[mode>>3&3]
		if m.Role == Tool || m.Role == Assistant && mode&32 != 0 {
			if !isToolName(name) || slices.Contains(roleNames[:], name) {
				return
			}
			if m.Role == Tool {
				m.Name, m.Recipient = name, "assistant"
			} else {
				m.Recipient, m.ContentType = name, "<|constrain|>json"
			}
		}
		after := NewMessage(User, more)
		for _, d := range []Dialect{GptOss, Compat} {
			tokens, err := e.Render([]Message{m, after}, RenderOptions{Dialect: d})
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range []Strictness{Strict, Relaxed, Lenient} {
				got, err := e.Parse(tokens, ParseOptions{Dialect: d, Strictness: s})
				if err != nil || len(got) != 2 || len(got[0].Repairs) > 0 {
					t.Fatalf("%v, %v: %+v, %v", d, s, got, err)
				}
				a, _ := json.Marshal([]Message{m, after})
				b, _ := json.Marshal([]Message{got[0].Message, got[1].Message})
				if string(a) != string(b) {
					t.Fatalf("%v, %v:\n got %s\nwant %s", d, s, b, a)
				}
			}
		}
	})
}
