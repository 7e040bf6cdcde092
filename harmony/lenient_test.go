package harmony

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// lenientVector is a line of lenient/*.jsonl, named after what is wrong in it.
// Repairs are written as kind@token; stray is the text of the Stray events.
// History is what the messages become when they are rendered as history, replay
// the same with the tokens kept as sampled. In the text, ‹|end|› is the marker
// spelled out as ordinary text, ‹0xff› the token of a byte, ‹999999› an id.
type lenientVector struct {
	Name     string            `json:"name"`
	Role     string            `json:"role"`
	Text     string            `json:"text"`
	Messages []json.RawMessage `json:"messages"`
	Repairs  []string          `json:"repairs"`
	Stray    string            `json:"stray"`
	History  string            `json:"history"`
	Replay   string            `json:"replay"`
}

func (v *lenientVector) tokens(e *Encoding) []Token {
	var out []Token
	for i, s := range strings.Split(v.Text, "‹") {
		if i > 0 {
			var name string
			name, s, _ = strings.Cut(s, "›")
			if id, err := strconv.ParseUint(name, 10, 32); err == nil {
				out = append(out, Token(id))
			} else if b, err := strconv.ParseUint(name, 0, 8); err == nil {
				out = append(out, e.bytes[b])
			} else {
				out = e.AppendEncode(out, "<"+name+">")
			}
		}
		out = append(out, e.EncodeWithSpecial(s)...)
	}
	return out
}

// The ten groups are the ten kinds of breakage in testdata/README.md. Every kind
// of repair occurs.
func TestLenientVectors(t *testing.T) {
	e := O200kHarmony()
	groups, kinds := map[string]int{}, map[string]bool{}
	eachLine(t, "testdata/lenient/lenient.jsonl", func(_ int, v lenientVector) {
		group, _, _ := strings.Cut(v.Name, "/")
		groups[group]++
		got := v.check(t, e)
		for _, r := range got.repairs {
			kind, _, _ := strings.Cut(r, "@")
			kinds[kind] = true
		}
	})
	t.Logf("cases: %v", groups)
	for n := range 11 {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(groups)), func(g string) bool { return strings.HasPrefix(g, fmt.Sprintf("%02d-", n)) }) {
			t.Errorf("no vector of group %02d", n)
		}
	}
	for k := ExtraStop; int(k) < len(repairNames); k++ {
		if !kinds[k.String()] {
			t.Errorf("no vector has the repair %q", k)
		}
	}
}

// check parses the vector's tokens and compares everything.
func (v *lenientVector) check(t *testing.T, e *Encoding) lenientReading {
	t.Helper()
	o := ParseOptions{Strictness: Lenient}
	o.Role, _ = ParseRole(v.Role)
	tokens := v.tokens(e)
	got := readLeniently(t, e, tokens, o)
	if !slices.Equal(got.repairs, v.Repairs) {
		t.Errorf("%s: repairs %q, want %q", v.Name, got.repairs, v.Repairs)
	}
	if got.stray != v.Stray {
		t.Errorf("%s: stray text %q, want %q", v.Name, got.stray, v.Stray)
	}
	compareMessages(t, v.Name, got.messages, v.Messages)
	for i, raw := range v.Messages[:min(len(v.Messages), len(got.messages))] {
		var want struct {
			Stop string `json:"stop"`
			Raw  string `json:"raw_channel"`
		}
		if err := json.Unmarshal(raw, &want); err != nil {
			t.Fatal(err)
		}
		if p := got.messages[i]; p.Stop.String() != want.Stop || want.Raw != "" && p.RawChannel != want.Raw {
			t.Errorf("%s: message %d stops by %v on channel %q", v.Name, i, p.Stop, p.RawChannel)
		}
	}
	v.checkHistory(t, e, got.messages, tokens)
	return got
}

// checkHistory renders the messages again, and once more as they were sampled.
func (v *lenientVector) checkHistory(t *testing.T, e *Encoding, parsed []Parsed, tokens []Token) {
	t.Helper()
	if v.History == "" {
		return
	}
	for _, want := range []string{v.History, v.Replay} {
		var messages []Message
		for _, p := range parsed {
			m := p.Message
			if want == v.Replay {
				m.Sampled = tokens[p.Start:p.End]
			}
			messages = append(messages, m)
		}
		rendered, err := e.Render(messages, RenderOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if text, _ := e.Decode(rendered); text != want {
			t.Errorf("%s: history\n got %s\nwant %s", v.Name, text, want)
		}
		if !slices.Equal(rendered, e.EncodeWithSpecial(want)) {
			t.Errorf("%s: %s is rendered as %v", v.Name, want, rendered)
		}
	}
}

type lenientReading struct {
	messages []Parsed
	repairs  []string
	stray    string
}

// readLeniently checks what holds for every stream: no error, no lost text,
// contents that are their deltas, and messages that lie in the stream in order.
func readLeniently(t *testing.T, e *Encoding, tokens []Token, o ParseOptions) lenientReading {
	t.Helper()
	p := NewParser(e, o)
	var r lenientReading
	var text, content strings.Builder
	headerDone := false
	take := func(ev Event, err error) {
		if err != nil {
			t.Fatalf("%v: %v", tokens, err)
		}
		text.WriteString(ev.Text)
		switch ev.Kind {
		case HeaderDone:
			headerDone = true
			content.Reset()
		case Delta:
			content.WriteString(ev.Text)
		case MessageDone:
			if content.WriteString(ev.Text); headerDone && ev.Message.Text() != content.String() {
				t.Fatalf("%v: the content is %q, the deltas were %q", tokens, ev.Message.Text(), content.String())
			}
			headerDone = false
		}
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
