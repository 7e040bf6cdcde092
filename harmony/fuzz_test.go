package harmony

import (
	"encoding/binary"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode"
	"unicode/utf8"
)

// Text comes back from its tokens, and they are what the definitions make of it:
// the pattern for the pieces, the lowest pair first for each piece.
func FuzzEncode(f *testing.F) {
	for _, s := range []string{
		"", "Hello, world", "don't  \n\n x", "日本語 ½ ǅ ª'll", "<|end|>", "\xff\xc3", "a\u0301B\u0301c's",
		"\u00a0\u2003 \r\n /\n", "x\u1C89\U00010D4A'VE 1234 ٣٤", "HTTPServer's  'S \t", strings.Repeat("ab ", 40),
	} {
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
		if want := naiveEncode(s); !slices.Equal(tokens, want) {
			t.Fatalf("%q becomes %v, want %v", s, tokens, want)
		}
	})
}

// naiveEncode is the encoding by its definition, with nothing of the encoder in
// it but the table of tokens.
func naiveEncode(s string) []Token {
	ranks, pattern := naiveTables()
	var out []Token
	for s != "" {
		n := naivePiece(pattern, s)
		var parts []string
		for i := range n {
			parts = append(parts, s[i:i+1])
		}
		for {
			best, at := noRank, -1
			for i := range len(parts) - 1 {
				if rank, ok := ranks[parts[i]+parts[i+1]]; ok && rank < best {
					best, at = rank, i
				}
			}
			if at < 0 {
				break
			}
			parts = slices.Replace(parts, at, at+2, parts[at]+parts[at+1])
		}
		for _, p := range parts {
			out = append(out, ranks[p])
		}
		s = s[n:]
	}
	return out
}

// naivePiece returns the length of the first piece of s. Go's regexp has no
// lookahead, so \s+(?!\S) is done here: white space leaves its last character to
// what follows.
func naivePiece(pattern *regexp.Regexp, s string) int {
	n := pattern.FindStringIndex(s)[1]
	if n < len(s) && strings.TrimFunc(s[:n], unicode.IsSpace) == "" && !strings.HasSuffix(s[:n], "\r") && !strings.HasSuffix(s[:n], "\n") {
		if _, last := utf8.DecodeLastRuneInString(s[:n]); last < n {
			n -= last
		}
	}
	return n
}

var naiveTables = sync.OnceValues(func() (map[string]Token, *regexp.Regexp) {
	e := O200kHarmony()
	ranks := make(map[string]Token, o200kRanks)
	for t := range Token(o200kRanks) {
		ranks[e.TokenText(t)] = t
	}
	// The classes of the pattern are those of Unicode 16, and \s is White_Space.
	var upper16, lower16, letter16, number16 string
	for _, d := range unicode16 {
		r := fmt.Sprintf(`\x{%X}-\x{%X}`, d.first, d.last)
		if d.class&upper != 0 {
			upper16 += r
		}
		if d.class&lower != 0 {
			lower16 += r
		}
		if d.class&letter != 0 {
			letter16 += r
		}
		if d.class&number != 0 {
			number16 += r
		}
	}
	pattern, lookahead := strings.Replace(o200kPattern, `|\s+(?!\S)`, "", 1), strings.Contains(o200kPattern, `|\s+(?!\S)`)
	if !lookahead {
		panic("the pattern has changed")
	}
	pattern = strings.NewReplacer(
		`\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}`, `\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}`+upper16,
		`\p{Ll}\p{Lm}\p{Lo}\p{M}`, `\p{Ll}\p{Lm}\p{Lo}\p{M}`+lower16,
		`\p{L}`, `\p{L}`+letter16,
		`\p{N}{1,3}`, `[\p{N}`+number16+`]{1,3}`,
		`\p{N}`, `\p{N}`+number16,
		`[^\s`, `[^`+whiteSpace,
		`\s`, `[`+whiteSpace+`]`,
	).Replace(pattern)
	return ranks, regexp.MustCompile(`^(?:` + pattern + `)`)
})

const whiteSpace = `\x{9}-\x{D}\x{20}\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}`

// The reference is right: it agrees with the oracle.
func TestNaiveEncode(t *testing.T) {
	type vector struct {
		Text    string  `json:"text"`
		Special bool    `json:"special"`
		Tokens  []Token `json:"tokens"`
	}
	eachVector(t, "tokenizer/o200k_harmony*.jsonl", func(t *testing.T, file string, line int, c vector) {
		if c.Special || len(c.Text) > 500 { // it is quadratic
			return
		}
		if got := naiveEncode(c.Text); !slices.Equal(got, c.Tokens) {
			t.Errorf("%s:%d: %.80q\n got %v\nwant %v", file, line, c.Text, got, c.Tokens)
		}
	})
}

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

// No stream makes a parser panic. A lenient one never fails either, and the
// texts of its events are the text of all tokens that are not special.
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
