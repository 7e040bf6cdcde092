package mcp

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"chorale/tools"
)

// read is what the model is told of a result: its text. Of what is no text, it
// is told what it is. A structured result that is not as the tool declares is an
// error: whoever accepted the declaration did not accept this.
func (c *client) read(d Declaration, r *sdk.CallToolResult) tools.Result {
	if len(r.InputRequests) > 0 {
		return c.failed("the server %s asks for input, which nobody gives it", c.server.Name)
	}
	var structured json.RawMessage
	if r.StructuredContent != nil {
		var err error
		if structured, err = written(r.StructuredContent); err != nil {
			return c.failed("the result of %s cannot be read: %v", c.server.Name, err)
		}
	}
	if d.gives != nil && !r.IsError && (structured == nil || d.gives(structured) != nil) {
		return c.failed("the server %s gave a result that is not as it declares; whether it did what was asked is not known", c.server.Name)
	}
	var parts []string
	for _, content := range r.Content {
		parts = append(parts, textOf(content))
	}
	if parts == nil && structured != nil {
		parts = []string{string(structured)}
		if rounded(r.StructuredContent) {
			parts = append(parts, "[Note: integers of more than 15 digits may be rounded here.]")
		}
	}
	out := tools.Result{Text: c.secrets.Redact(strings.Join(parts, "\n")), Failed: r.IsError}
	if out.Failed && strings.TrimSpace(out.Text) == "" {
		return c.failed("the call failed, and the server %s does not say why", c.server.Name)
	}
	return out
}

// written is a structured result as JSON, in which a text reads as the server
// wrote it.
func written(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSpace(b.Bytes()), err
}

// rounded reports whether a number may not be the one that the server wrote: the
// SDK reads all of them as floats.
func rounded(v any) bool {
	const exact = 1 << 53
	switch v := v.(type) {
	case float64:
		return math.Abs(v) >= exact
	case []any:
		return slices.ContainsFunc(v, rounded)
	case map[string]any:
		return slices.ContainsFunc(slices.Collect(maps.Values(v)), rounded)
	}
	return false
}

func textOf(content sdk.Content) string {
	switch v := content.(type) {
	case *sdk.TextContent:
		return v.Text
	case *sdk.ImageContent:
		return fmt.Sprintf("[image, %s, %d bytes]", clip(v.MIMEType), len(v.Data))
	case *sdk.AudioContent:
		return fmt.Sprintf("[audio, %s, %d bytes]", clip(v.MIMEType), len(v.Data))
	case *sdk.ResourceLink:
		return fmt.Sprintf("[resource %s: %s]", clip(v.Name), clip(v.URI))
	case *sdk.EmbeddedResource:
		if v.Resource == nil {
			return "[resource]"
		}
		if v.Resource.Blob != nil {
			return fmt.Sprintf("[resource %s, %s, %d bytes]", clip(v.Resource.URI), clip(v.Resource.MIMEType), len(v.Resource.Blob))
		}
		return v.Resource.Text
	}
	return "[content of an unknown kind]"
}
