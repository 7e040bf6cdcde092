package harmony

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// lenientVector is a line of lenient/*.jsonl, named after what is wrong in it.
// Repairs are written as kind@token; stray is the text of the Stray events. In
// the text, ‹|end|› is the marker spelled out as ordinary text.
type lenientVector struct {
	Name     string            `json:"name"`
	Role     string            `json:"role"`
	Text     string            `json:"text"`
	Messages []json.RawMessage `json:"messages"`
	Repairs  []string          `json:"repairs"`
	Stray    string            `json:"stray"`
}

func (v *lenientVector) tokens(e *Encoding) []Token {
	var out []Token
	for i, s := range strings.Split(v.Text, "‹") {
		if i > 0 {
			var name string
			name, s, _ = strings.Cut(s, "›")
			out = e.AppendEncode(out, "<"+name+">")
		}
		out = append(out, e.EncodeWithSpecial(s)...)
	}
	return out
}

func TestLenientVectors(t *testing.T) {
	e := O200kHarmony()
	cases := 0
	eachLine(t, "testdata/lenient/lenient.jsonl", func(line int, v lenientVector) {
		cases++
		o := ParseOptions{Strictness: Lenient}
		o.Role, _ = ParseRole(v.Role)
		got := readLeniently(t, e, v.tokens(e), o)
		if !slices.Equal(got.repairs, v.Repairs) {
			t.Errorf("%s: repairs %q, want %q", v.Name, got.repairs, v.Repairs)
		}
		if got.stray != v.Stray {
			t.Errorf("%s: stray text %q, want %q", v.Name, got.stray, v.Stray)
		}
		var want []Message
		for i, raw := range v.Messages {
			var m Message
			var also struct {
				Stop string `json:"stop"`
				Raw  string `json:"raw_channel"`
			}
			if err := json.Unmarshal(raw, &m); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(raw, &also); err != nil {
				t.Fatal(err)
			}
			want = append(want, m)
			if i >= len(got.messages) {
				continue
			}
			if p := got.messages[i]; p.Stop.String() != also.Stop || also.Raw != "" && p.RawChannel != also.Raw {
				t.Errorf("%s: message %d stops by %v on channel %q", v.Name, i, p.Stop, p.RawChannel)
			}
		}
		var have []Message
		for _, p := range got.messages {
			have = append(have, p.Message)
		}
		g, _ := json.Marshal(have)
		w, _ := json.Marshal(want)
		if string(g) != string(w) {
			t.Errorf("%s:\n got %s\nwant %s", v.Name, g, w)
		}
	})
	t.Logf("%d cases", cases)
}

type lenientReading struct {
	messages []Parsed
	repairs  []string
	stray    string
}

// readLeniently checks what holds for every stream: no error, no lost text, and
// messages that cover the stream in order.
func readLeniently(t *testing.T, e *Encoding, tokens []Token, o ParseOptions) lenientReading {
	t.Helper()
	p := NewParser(e, o)
	var r lenientReading
	var text strings.Builder
	take := func(ev Event, err error) {
		if err != nil {
			t.Fatalf("%v: %v", tokens, err)
		}
		text.WriteString(ev.Text)
		if ev.Kind == Stray {
			r.stray += ev.Text
		}
		for _, x := range ev.Repairs {
			r.repairs = append(r.repairs, fmt.Sprintf("%v@%d", x.Kind, x.Token))
		}
	}
	for _, token := range tokens {
		take(p.Push(token))
	}
	take(p.Close())
	r.messages = p.Messages()
	if got, want := text.String(), ordinaryText(e, tokens); got != want {
		t.Fatalf("%v: the events' text is %q, want %q", tokens, got, want)
	}
	end := 0
	for i, m := range r.messages {
		if m.Start < end || m.End <= m.Start || m.End > len(tokens) {
			t.Fatalf("%v: message %d stands at %d to %d", tokens, i, m.Start, m.End)
		}
		end = m.End
	}
	return r
}

// ordinaryText is the text of the tokens without special ones.
func ordinaryText(e *Encoding, tokens []Token) string {
	var out, run strings.Builder
	flush := func() {
		out.WriteString(lossy(run.String()))
		run.Reset()
	}
	for _, token := range tokens {
		switch s := e.TokenText(token); {
		case s == "":
			flush()
			out.WriteRune('\uFFFD')
		case e.IsSpecial(token):
			flush()
		default:
			run.WriteString(s)
		}
	}
	flush()
	return out.String()
}
