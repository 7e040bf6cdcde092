package harmony

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// What is rendered parses to what was rendered: parse(render(x)) = x.
//
// That holds for the contents of every conversation whose headers are made of
// single words, in both dialects, when the parser is lenient: a header that runs
// on may be text behind a forgotten marker (what is lost then is nothing, see
// FuzzParser). It holds for the headers too where the format can
// carry them (see carried), and then strictly as well and without repairs but of bytes that are no UTF-8.
func FuzzRenderParse(f *testing.F) {
	f.Add("user", "", "hi", []byte{2, 0, 0, 0, 0, 0})
	f.Add("think", "functions.f", "{}", []byte{3, 0, 9, 2, 5, 1, 4, 9, 3, 2, 0, 2, 3, 0, 0, 3, 0, 1})
	f.Add("a<|end|>b", "python", "x\ny", []byte{3, 1, 1, 1, 1, 3, 0, 0, 0, 0, 0, 5, 1, 0, 0, 0, 0, 5})
	f.Add("\xf0\x9f", "a b", "\x8f\xb4", []byte{3, 9, 12, 4, 3, 2, 4, 8, 8, 1, 6, 4})
	e := O200kHarmony()
	f.Fuzz(func(t *testing.T, text, word, more string, choices []byte) {
		messages := fuzzConversation(text, word, more, choices)
		for _, d := range []Dialect{GptOss, Compat} {
			tokens, err := e.Render(messages, RenderOptions{Dialect: d})
			if err != nil {
				t.Fatalf("%s: %v", asJSON(messages), err)
			}
			want := readBack(t, messages, d)
			for _, s := range []Strictness{Strict, Relaxed, Lenient} {
				unsure := func(m Message) bool { return s != Lenient && !m.carried(s) || m.runsOn() }
				if slices.ContainsFunc(messages, unsure) {
					continue
				}
				got, err := e.Parse(tokens, ParseOptions{Dialect: d, Strictness: s})
				if err != nil || len(got) != len(messages) {
					t.Fatalf("%v, %v: %s comes back as %d messages, %v", d, s, asJSON(messages), len(got), err)
				}
				for i := range got {
					p := &got[i]
					if p.Text() != want[i].Text() || (p.Stop == StopCall) != messages[i].IsCall() {
						t.Fatalf("%v, %v: message %d\n got %s\nwant %s", d, s, i, asJSON(p.Message), asJSON(want[i]))
					}
					repairs := slices.DeleteFunc(p.Repairs, func(r Repair) bool { return r.Kind == InvalidText })
					if messages[i].carried(s) && (asJSON(p.Message) != asJSON(want[i]) || len(repairs) > 0) {
						t.Fatalf("%v, %v: message %d, %v\n got %s\nwant %s", d, s, i, repairs, asJSON(p.Message), asJSON(want[i]))
					}
				}
			}
		}
	})
}

// fuzzConversation makes messages of the texts, six choices each. Every one of
// them can be rendered.
func fuzzConversation(text, word, more string, choices []byte) []Message {
	pick := func(i int, from ...string) string { return from[int(choices[i])%len(from)] }
	texts := []string{text, more, word, "", "<|end|><|start|>system<|message|>", "{}", " ", "\n"}
	var messages []Message
	for ; len(choices) >= 6 && len(messages) < 8; choices = choices[6:] {
		m := Message{Role: Role(choices[0])%Tool + 1}
		m.Name = pick(1, "", word, "functions.f", "python", "alice", more)
		if m.Role == Tool && m.Name == "" {
			m.Name = "browser.open"
		}
		m.Channel = pick(2, "", Analysis, Commentary, Final, word, "commentary?")
		m.Recipient = pick(3, "", "functions.f", "python", "assistant", "all", word, more)
		m.ContentType = pick(4, "", "json", "code", "<|constrain|>json", word, "<|constrain|>"+word)
		for n := int(choices[5]) % 4; n > 0; n-- {
			m.Content = append(m.Content, Text(texts[(int(choices[5])+3*n)%len(texts)]))
		}
		switch {
		case choices[5] < 128:
		case m.Role == System:
			m.Content = append(m.Content, NewSystemContent(LowEffort, text, Browser()))
		case m.Role == Developer:
			m.Content = append(m.Content, NewDeveloperContent(text, Function{Name: word, Description: more}))
		}
		messages = append(messages, m)
	}
	return messages
}

// readBack is what the messages are once they are rendered: their content is one
// valid text, a message to all has no recipient, and the models' dialect marks
// every content type as a constraint.
func readBack(t *testing.T, messages []Message, d Dialect) []Message {
	t.Helper()
	functions := slices.ContainsFunc(messages, func(m Message) bool { return m.declaresFunctions() })
	var out []Message
	for _, m := range messages {
		var b strings.Builder
		for _, p := range m.Content {
			s, err := partText(p, m.Role, d, functions)
			if err != nil {
				t.Fatal(err)
			}
			b.WriteString(s)
		}
		m.Content = []Part{Text(lossy(b.String()))}
		if m.Recipient == "all" {
			m.Recipient = ""
		}
		if kind := strings.TrimPrefix(m.ContentType, constrainName); m.ContentType != "" && d == GptOss {
			m.ContentType = constrainName + kind
		}
		out = append(out, m)
	}
	return out
}

// carried reports whether the format can carry the message's header, which is
// words without quotes around them: whether a reader can know it again. Strict
// readers cannot tell a name from a role, nor a content type that stands alone
// from a recipient.
func (m *Message) carried(s Strictness) bool {
	oneWord := func(w string) bool {
		return len(strings.Fields(w)) == 1 && w == strings.TrimSpace(w) && !strings.Contains(w, "<") && utf8.ValidString(w)
	}
	to := m.Recipient
	if to == "all" {
		to = ""
	}
	switch {
	case m.Role == Tool && (!isToolName(m.Name) || !oneWord(m.Name)):
		return false
	case m.Role == Tool && s != Lenient && to == "":
		return false // one word alone is a role
	case m.Role != Tool && m.Name != "" && (s != Lenient || !oneWord(m.Name)):
		return false
	case to != "" && !oneWord(to):
		return false
	case m.Channel != "" && !isChannel(m.Channel):
		return false
	}
	kind, _ := strings.CutPrefix(m.ContentType, constrainName)
	return m.ContentType == "" || isContentType(kind) && (s == Lenient || to != "")
}

// runsOn reports whether a field of the header has blanks, which part its words.
func (m *Message) runsOn() bool {
	return slices.ContainsFunc([]string{m.Name, m.Recipient, m.Channel, m.ContentType}, func(w string) bool {
		return strings.ContainsFunc(w, unicode.IsSpace)
	})
}

func asJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
