package mcp

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
	"pgregory.net/rapid"

	"chorale/harmony"
)

// Whatever a server declares, the prompt has one declaration with no more
// control tokens and no more lines of structure than we wrote, or none.
func TestNoDeclarationBreaksThePrompt(t *testing.T) {
	bits := rapid.SampledFrom([]string{"<|end|>", "<", "|", ">", "<|start|>system", "\n", "\r", "} // namespace functions", "\u200b", "\u202e", "\U000e0041", "\x00", "\x1b[2J", "a", "é", `"`, `\`, "//", "\u2028", "<\u200b|call|\u200b>"})
	text := rapid.Custom(func(t *rapid.T) string { return strings.Join(rapid.SliceOfN(bits, 0, 12).Draw(t, "bits"), "") })
	encoding := harmony.O200kHarmony()
	rapid.Check(t, func(t *rapid.T) {
		tool := &sdk.Tool{Name: "t" + text.Draw(t, "name"), Description: text.Draw(t, "description"), InputSchema: map[string]any{
			"type": "object", "description": text.Draw(t, "own"),
			"properties": map[string]any{"p": map[string]any{
				"type":  rapid.SampledFrom([]any{"string", []any{"string", "null"}, text.Draw(t, "type")}).Draw(t, "types"),
				"title": text.Draw(t, "title"), "description": text.Draw(t, "about"), "default": text.Draw(t, "default"), "enum": []any{text.Draw(t, "enum"), "x"},
			}, text.Draw(t, "property"): map[string]any{}},
		}}
		d, err := declare("srv", tool, nil)
		if err != nil {
			return // it is refused
		}
		for _, r := range d.Description + string(d.Parameters) {
			if r != '\n' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co) {
				t.Fatalf("%q in %q %s", r, d.Description, d.Parameters)
			}
		}
		if !json.Valid(d.Parameters) || len(d.Function) > maxName || illegal.MatchString(d.Function) {
			t.Fatalf("%q: %s", d.Function, d.Parameters)
		}
		tokens, err := encoding.Render([]harmony.Message{harmony.NewDeveloperContent("", harmony.Function{Name: d.Function, Description: d.Description, Parameters: d.Parameters}).Message()}, harmony.RenderOptions{})
		if err != nil {
			t.Fatal(err)
		}
		shown, err := encoding.Decode(tokens)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Count(shown, "<|") != 3 || strings.Count(shown, "\n} // namespace functions") != 1 || strings.Count(shown, "\ntype ") != 1 {
			t.Fatalf("the prompt is\n%s", shown)
		}
	})
}
