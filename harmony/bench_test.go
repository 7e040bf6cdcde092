package harmony

import (
	"bytes"
	"cmp"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// benchText is 1 MiB of prose and code out of Go's own sources: comment lines of
// a few packages, then net/http.
func benchText(b *testing.B) string {
	src := filepath.Join(runtime.GOROOT(), "src")
	files := func(pkg string) []string {
		names, _ := filepath.Glob(filepath.Join(src, filepath.FromSlash(pkg), "*.go"))
		slices.Sort(names)
		return names
	}
	read := func(name string) []byte {
		data, err := os.ReadFile(name)
		if err != nil {
			b.Fatal(err)
		}
		return data
	}
	comment := regexp.MustCompile(`(?m)^[ \t]*// ([^ \t\n].*\n)`)
	var prose, code []byte
	for _, pkg := range []string{"fmt", "time", "os", "strings", "database/sql", "encoding/json", "go/doc", "text/template", "reflect", "runtime", "sync", "sort", "io", "flag", "log/slog", "testing", "context", "regexp/syntax", "crypto/tls", "html/template", "math/big", "net", "net/url", "archive/zip"} {
		for _, name := range files(pkg) {
			if bytes.HasSuffix([]byte(name), []byte("_test.go")) {
				continue
			}
			for _, m := range comment.FindAllSubmatch(read(name), -1) {
				prose = append(prose, m[1]...)
			}
		}
	}
	for _, name := range files("net/http") {
		code = append(code, read(name)...)
	}
	const half = 1 << 19
	if len(prose) < half || len(code) < half {
		b.Skip("Go's sources are not installed")
	}
	return string(prose[:half]) + string(code[:half])
}

func BenchmarkLoad(b *testing.B) {
	for b.Loop() {
		e := &Encoding{special: make(map[string]Token, o200kSpecial)}
		if err := e.unpack(o200kPacked); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode1MiB(b *testing.B) {
	e := O200kHarmony()
	text := benchText(b)
	tokens := e.Encode(text)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		tokens = e.AppendEncode(tokens[:0], text)
	}
	b.ReportMetric(float64(len(tokens)), "tokens")
}

// BenchmarkEncode100kSpaces is the input on which openai-harmony is quadratic
// and takes seconds.
func BenchmarkEncode100kSpaces(b *testing.B) {
	e := O200kHarmony()
	text := strings.Repeat(" ", 100_000)
	var tokens []Token
	for b.Loop() {
		tokens = e.AppendEncode(tokens[:0], text)
	}
}

func BenchmarkDecode1MiB(b *testing.B) {
	e := O200kHarmony()
	text := benchText(b)
	tokens := e.Encode(text)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := e.Decode(tokens); err != nil {
			b.Fatal(err)
		}
	}
}

// benchConversation is a task of 100 messages: reasoning, calls, results.
func benchConversation() []Message {
	messages := []Message{
		NewSystemContent(MediumEffort, "2025-06-28", Python(), Browser()).Message(),
		NewDeveloperContent("Be brief.", Function{Name: "get_weather", Description: "Gets the weather.",
			Parameters: []byte(`{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}`)}).Message(),
		NewMessage(User, "What is the weather in Oslo, Rome and Paris, and which is the warmest?"),
	}
	for len(messages) < 99 {
		think := NewMessage(Assistant, "The user wants the weather of several cities. I have to call the function once for each of them and then compare the temperatures that come back, so let me go on with the next city of the list.")
		think.Channel = Analysis
		call := NewMessage(Assistant, `{"city": "Oslo", "units": "celsius", "days": [1, 2, 3]}`)
		call.Channel, call.Recipient, call.ContentType = Commentary, "functions.get_weather", "<|constrain|>json"
		result := NewToolResult("functions.get_weather", Commentary, `{"city": "Oslo", "temperature": -3.5, "sky": "overcast with light snow towards the evening", "wind": "north-west, 7 m/s"}`)
		messages = append(messages, think, call, result)
	}
	final := NewMessage(Assistant, "Rome is the warmest of the three.")
	final.Channel = Final
	return append(messages, final)
}

func BenchmarkRender100(b *testing.B) {
	e := O200kHarmony()
	messages := benchConversation()
	tokens, err := e.Render(messages, RenderOptions{})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		tokens, err = e.AppendRender(tokens[:0], messages, RenderOptions{})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(tokens)), "tokens")
}

// BenchmarkParse100 feeds the 100 messages token by token.
func BenchmarkParse100(b *testing.B) {
	e := O200kHarmony()
	tokens, err := e.Render(benchConversation(), RenderOptions{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Parse(tokens, ParseOptions{}); err != nil {
			b.Fatal(err)
		}
	}
	perToken(b, len(tokens))
}

// BenchmarkStreamContent pushes one message of 20,000 tokens and looks at the
// content after each.
func BenchmarkStreamContent(b *testing.B) {
	e := O200kHarmony()
	text := benchText(b)
	tokens := e.Encode(text)[:20000]
	header := e.EncodeWithSpecial("<|channel|>final<|message|>")
	b.ReportAllocs()
	for b.Loop() {
		p := NewParser(e, ParseOptions{Role: Assistant})
		length := 0
		for _, t := range slices.Concat(header, tokens) {
			if _, err := p.Push(t); err != nil {
				b.Fatal(err)
			}
			length = len(p.Content())
		}
		if length == 0 {
			b.Fatal("no content")
		}
	}
	perToken(b, len(tokens)+len(header))
}

// BenchmarkStreamHeaders pushes headers of empty messages.
func BenchmarkStreamHeaders(b *testing.B) {
	e := O200kHarmony()
	one := e.EncodeWithSpecial("<|start|>assistant<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|><|call|>")
	tokens := slices.Repeat(one, 100)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Parse(tokens, ParseOptions{}); err != nil {
			b.Fatal(err)
		}
	}
	perToken(b, len(tokens))
}

func perToken(b *testing.B, tokens int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(cmp.Or(b.N, 1)*tokens), "ns/token")
}
