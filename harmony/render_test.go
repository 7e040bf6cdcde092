package harmony

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// renderVector is a line of harmony/render*.jsonl.
type renderVector struct {
	Name          string          `json:"name"`
	Conversation  json.RawMessage `json:"conversation"`
	Mode          string          `json:"mode"`
	NextRole      string          `json:"next_role"`
	Drop          bool            `json:"auto_drop_analysis"`
	FunctionTools bool            `json:"has_function_tools"`
	Tokens        []Token         `json:"tokens"`
	Text          string          `json:"text"`
	Error         string          `json:"error"`
}

func (v *renderVector) render(e *Encoding, d Dialect) ([]Token, error) {
	messages, err := ReadConversation(v.Conversation)
	if err != nil {
		return nil, err
	}
	o := RenderOptions{Dialect: d}
	if v.Drop {
		o.Analysis = DropAnalysisCompat
	}
	switch v.Mode {
	case "completion":
		next, _ := ParseRole(v.NextRole)
		return e.RenderForCompletion(messages, next, o)
	case "training":
		return e.RenderForTraining(messages, o)
	case "message":
		return e.AppendMessage(nil, &messages[0], d, v.FunctionTools)
	}
	return e.Render(messages, o)
}

func TestRenderVectors(t *testing.T) {
	e := O200kHarmony()
	eachVector(t, "harmony/render*.jsonl", func(t *testing.T, file string, line int, v renderVector) {
		got, err := v.render(e, dialectOf(file))
		if (err != nil) != (v.Error != "") {
			t.Errorf("%s:%d %s: error %v, want %q", file, line, v.Name, err, v.Error)
			return
		}
		if !slices.Equal(got, v.Tokens) {
			text, _ := e.Decode(got)
			t.Errorf("%s:%d %s:\n got %s\nwant %s", file, line, v.Name, firstDifference(text, v.Text), firstDifference(v.Text, text))
		}
		if text, _ := e.Decode(got); text != v.Text {
			t.Errorf("%s:%d %s: the text differs", file, line, v.Name)
		}
	})
}

// firstDifference shows a where it begins to differ from b.
func firstDifference(a, b string) string {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	from := max(0, i-40)
	return strings.ToValidUTF8(a[from:min(len(a), i+80)], "?")
}
