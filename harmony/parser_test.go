package harmony

import (
	"encoding/json"
	"fmt"
	"testing"
)

// parseVector is a line of harmony/parse*.jsonl.
type parseVector struct {
	Name     string            `json:"name"`
	Text     string            `json:"text"`
	Tokens   []Token           `json:"tokens"`
	Role     string            `json:"role"`
	Strict   bool              `json:"strict"`
	Messages []json.RawMessage `json:"messages"`
	Error    string            `json:"error"`
	ErrorAt  json.RawMessage   `json:"error_at"`
	Before   []json.RawMessage `json:"messages_before_error"`
}

func parseOptions(d Dialect, role string, strict bool) ParseOptions {
	o := ParseOptions{Dialect: d}
	o.Role, _ = ParseRole(role)
	if !strict {
		o.Strictness = Relaxed
	}
	return o
}

func TestParseVectors(t *testing.T) {
	e := O200kHarmony()
	eachVector(t, "harmony/parse*.jsonl", func(t *testing.T, file string, line int, v parseVector) {
		p := NewParser(e, parseOptions(dialectOf(file), v.Role, v.Strict))
		var err error
		at := `"eos"`
		for i, token := range v.Tokens {
			if _, err = p.Push(token); err != nil {
				at = fmt.Sprint(i)
				break
			}
		}
		if err == nil {
			_, err = p.Close()
		}
		want := v.Messages
		if v.Error != "" {
			want = v.Before
			if string(v.ErrorAt) != at {
				t.Errorf("%s:%d %s: error at %s, want %s", file, line, v.Name, at, v.ErrorAt)
			}
		}
		if got := errorText(err); got != v.Error {
			t.Errorf("%s:%d %s: error %q, want %q", file, line, v.Name, got, v.Error)
		}
		compareMessages(t, fmt.Sprintf("%s:%d %s", file, line, v.Name), p.Messages(), want)
	})
}

// streamVector is a line of harmony/stream*.jsonl.
type streamVector struct {
	Name       string              `json:"name"`
	Role       string              `json:"role"`
	Strict     bool                `json:"strict"`
	StartState string              `json:"start_state"`
	Steps      [][]json.RawMessage `json:"steps"`
	Content    string              `json:"content_before_eos"`
	EOSError   string              `json:"eos_error"`
	EndState   string              `json:"state_after_eos"`
	Messages   []json.RawMessage   `json:"messages"`
}

func TestStreamVectors(t *testing.T) {
	e := O200kHarmony()
	eachVector(t, "harmony/stream*.jsonl", func(t *testing.T, file string, line int, v streamVector) {
		where := fmt.Sprintf("%s:%d %s", file, line, v.Name)
		p := NewParser(e, parseOptions(dialectOf(file), v.Role, v.Strict))
		if got := p.State().String(); got != v.StartState {
			t.Errorf("%s: starts in %s, want %s", where, got, v.StartState)
		}
		for i, step := range v.Steps {
			var token Token
			if err := json.Unmarshal(step[0], &token); err != nil {
				t.Fatal(err)
			}
			_, err := p.Push(token)
			want, _ := json.Marshal(step[1:])
			if got := stepJSON(p, err); got != string(want) {
				t.Errorf("%s: step %d, token %d:\n got %s\nwant %s", where, i, token, got, want)
			}
		}
		if got := p.Content(); got != v.Content {
			t.Errorf("%s: content %q, want %q", where, got, v.Content)
		}
		_, err := p.Close()
		if got := errorText(err); got != v.EOSError {
			t.Errorf("%s: end of stream gives %q, want %q", where, got, v.EOSError)
		}
		if got := p.State().String(); got != v.EndState {
			t.Errorf("%s: ends in %s, want %s", where, got, v.EndState)
		}
		compareMessages(t, where, p.Messages(), v.Messages)
	})
}

// stepJSON writes what a stream vector says of a parser after a token.
func stepJSON(p *Parser, err error) string {
	h := p.Header()
	optional := func(text string, bit Blank) any {
		if h.Blank.has(text, bit) {
			return text
		}
		return nil
	}
	step := []any{
		p.State().String(), nil, optional(h.Channel, BlankChannel),
		optional(h.Recipient, BlankRecipient), optional(h.ContentType, BlankContentType), nil,
	}
	if h.Role != 0 {
		step[1] = h.Role.String()
	}
	if delta, ok := p.LastDelta(); ok {
		step[5] = delta
	}
	if err != nil {
		step = append(step, err.Error())
	}
	// Both sides go through the same encoder, so that escapes do not matter.
	raw, _ := json.Marshal(step)
	var plain []json.RawMessage
	_ = json.Unmarshal(raw, &plain)
	out, _ := json.Marshal(plain)
	return string(out)
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func compareMessages(t *testing.T, where string, got []Parsed, want []json.RawMessage) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d messages, want %d", where, len(got), len(want))
		return
	}
	for i := range got {
		var m Message
		if err := json.Unmarshal(want[i], &m); err != nil {
			t.Fatalf("%s: %v", where, err)
		}
		g, _ := json.Marshal(got[i].Message)
		w, _ := json.Marshal(m)
		if string(g) != string(w) {
			t.Errorf("%s: message %d\n got %s\nwant %s", where, i, g, w)
		}
	}
}

// A token that brings no text costs no memory: a word of a header, a part of a
// character. (<|message|> brings the header, a stop token the message.)
func TestNoAllocationWithoutText(t *testing.T) {
	e := O200kHarmony()
	header := e.EncodeWithSpecial("<|channel|>commentary to=functions.get_weather <|constrain|>json")
	flag := "🏴"
	for _, s := range []Strictness{Strict, Relaxed, Lenient} {
		var parsers []*Parser // one for AllocsPerRun to warm up with, one to measure
		for range 2 {
			parsers = append(parsers, NewParser(e, ParseOptions{Role: Assistant, Strictness: s}))
		}
		push := func(tokens ...Token) func() {
			n := 0
			return func() {
				for _, token := range tokens {
					if ev, err := parsers[n].Push(token); err != nil || ev.Text != "" && ev.Kind != HeaderDone {
						t.Errorf("%v: token %d brings %+v, %v", s, token, ev, err)
					}
				}
				n++
			}
		}
		if n := testing.AllocsPerRun(1, push(header...)); n != 0 {
			t.Errorf("%v: the words of a header cost %v allocations", s, n)
		}
		testing.AllocsPerRun(1, push(e.control.Message))
		if n := testing.AllocsPerRun(1, push(e.bytes[flag[0]], e.bytes[flag[1]], e.bytes[flag[2]])); n != 0 {
			t.Errorf("%v: part of a character costs %v allocations", s, n)
		}
	}
}

// The spans of parsed messages cover the stream without gaps, so that a message
// can be kept as it was sampled.
func TestSpans(t *testing.T) {
	e := O200kHarmony()
	tokens := e.EncodeWithSpecial("<|channel|>analysis<|message|>t<|end|><|start|>assistant<|channel|>final<|message|>Hi.<|return|>")
	got, err := e.Parse(tokens, ParseOptions{Role: Assistant})
	if err != nil || len(got) != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	if got[0].Start != 0 || got[0].End != got[1].Start || got[1].End != len(tokens) {
		t.Errorf("spans %d-%d and %d-%d of %d tokens", got[0].Start, got[0].End, got[1].Start, got[1].End, len(tokens))
	}
	if got[0].Stop != StopEnd || got[1].Stop != StopReturn {
		t.Errorf("stops %v and %v", got[0].Stop, got[1].Stop)
	}
}
