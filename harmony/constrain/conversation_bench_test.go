package constrain

import (
	"encoding/json"
	"fmt"
	"testing"

	"chorale/harmony"
)

// twenty is a conversation with as many tools: the built-in ones and functions
// of several shapes.
func twenty() Conversation {
	shapes := []string{
		`{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer","minimum":1,"maximum":14}},"required":["city"]}`,
		`{"type":"object","properties":{"to":{"type":"string","format":"email"},"subject":{"type":"string","maxLength":200},"body":{"type":"string","maxLength":2000}},"required":["to","subject","body"],"additionalProperties":false}`,
		`{"type":"object","properties":{"items":{"type":"array","items":{"type":"object","properties":{"sku":{"type":"string","pattern":"^[A-Z]{3}-[0-9]{4}$"},"count":{"type":"integer"}},"required":["sku"]}}},"required":["items"]}`,
		`{"type":"object","properties":{"unit":{"enum":["celsius","fahrenheit","kelvin"]},"value":{"type":"number"}},"required":["unit","value"]}`,
		`{"type":"object","properties":{"when":{"type":"string","format":"date-time"},"filter":{"anyOf":[{"type":"string"},{"type":"null"}]}},"required":["when"]}`,
	}
	ns := harmony.Namespace{Name: harmony.FunctionsNamespace}
	for i := range 16 {
		ns.Functions = append(ns.Functions, harmony.Function{Name: fmt.Sprintf("tool_%c%d", 'a'+i%3, i), Parameters: json.RawMessage(shapes[i%len(shapes)])})
	}
	return Conversation{Tools: []harmony.Namespace{harmony.Python(), harmony.Browser(), ns}} // 1 + 3 + 16
}

func BenchmarkHarmonyCompile20Tools(b *testing.B) {
	v := o200k()
	c := twenty()
	for b.Loop() {
		grammarOf(b, v, c)
	}
}

// BenchmarkHarmonyMasks is the cost of a token, the mask and taking it, in each
// part of a message.
func BenchmarkHarmonyMasks(b *testing.B) {
	v := o200k()
	g := grammarOf(b, v, twenty())
	for _, part := range []struct{ name, before, text string }{
		{"header", "", `<|channel|>commentary to=functions.tool_a3 <|constrain|>json<|message|>`},
		{"analysis", "<|channel|>analysis<|message|>", "The user wants the weather in Paris; I should look it up before I answer."},
		{"preamble", "<|channel|>commentary<|message|>", "Let me look up the weather in Paris before I answer."},
		{"final", "<|channel|>final<|message|>", "It is 12 degrees in Paris – bring a coat. 🧥"},
		{"python", "<|channel|>analysis to=python code<|message|>", "import math\nprint(math.sqrt(2))\n"},
		{"arguments", "<|channel|>commentary to=functions.tool_a0 <|constrain|>json<|message|>", `{"city": "Paris", "days": 3}`},
	} {
		b.Run(part.name, func(b *testing.B) {
			b.ReportAllocs()
			begin := g.Start()
			if err := follow(begin, v.enc, part.before); err != nil {
				b.Fatal(err)
			}
			tokens := v.enc.EncodeWithSpecial(part.text)
			s, at := begin.Clone(), 0
			for b.Loop() {
				if at == len(tokens) {
					at = 0
					*s = *begin.Clone()
				}
				if sink = s.Mask(); len(sink) == 0 {
					b.Fatal("no mask")
				}
				if err := s.Accept(tokens[at]); err != nil {
					b.Fatal(err)
				}
				at++
			}
		})
	}
}

var sink []uint64
