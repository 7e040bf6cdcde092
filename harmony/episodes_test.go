package harmony

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// episode is a line of the pocket model's eval.jsonl, whose prompts
// openai-harmony rendered.
type episode struct {
	ID     int    `json:"id"`
	Kind   string `json:"kind"`
	Prompt string `json:"prompt"`
	Turns  []struct {
		Expect string `json:"expect"`
		Then   string `json:"then"`
	} `json:"turns"`
	Effort       string     `json:"effort"`
	Tools        []string   `json:"tools"`
	Instructions string     `json:"instructions"`
	Functions    []Function `json:"functions"`
}

// modelTrees returns testdata and the trees that AGENT_MODELS lists. One that
// holds nothing that any test of this module reads fails the test.
func modelTrees(t *testing.T) []string {
	t.Helper()
	trees := treesOf("AGENT_MODELS")
	for _, tree := range trees[1:] {
		requireAny(t, tree, "eval.jsonl", "tokenizer.json", "golden.json", "kernels.json")
	}
	return trees
}

// system builds the system message from the episode's fields. Identity, cutoff
// and date are not among them: they come from the prompt.
func (ep *episode) system(t *testing.T, prompt string) *SystemContent {
	t.Helper()
	s := &SystemContent{Channels: []string{Analysis, Commentary, Final}, ChannelRequired: true}
	top, _, _ := strings.Cut(prompt, "\n\n")
	for line := range strings.Lines(top) {
		line = strings.TrimSuffix(line, "\n")
		if v, ok := strings.CutPrefix(line, "Knowledge cutoff: "); ok {
			s.KnowledgeCutoff = v
		} else if v, ok := strings.CutPrefix(line, "Current date: "); ok {
			s.CurrentDate = v
		} else {
			s.Identity = line
		}
	}
	var err error
	if s.Effort, err = ParseEffort(ep.Effort); err != nil {
		t.Fatal(err)
	}
	s.Tools = Tools{}
	for _, name := range ep.Tools {
		switch name {
		case "python":
			s.Tools[name] = Python()
		case "browser":
			s.Tools[name] = Browser()
		default:
			t.Fatalf("unknown tool %s", name)
		}
	}
	return s
}

// The prompts that openai-harmony rendered come out of the episode's fields; the
// model's turns parse, and the tool results render, to the text that the
// episode has.
func TestEpisodes(t *testing.T) {
	pocket := loadTokenizer(t, "testdata/tokenizerjson/pocket.json")
	for _, tree := range modelTrees(t) {
		cases := 0
		for _, path := range vectorFiles(t, tree, "eval.jsonl") {
			enc := pocket
			if own := filepath.Join(filepath.Dir(path), "tokenizer.json"); exists(own) {
				enc = loadTokenizer(t, own)
			}
			eachLine(t, path, func(line int, ep episode) {
				if ep.Effort == "" { // kind copy says nothing of its setting
					return
				}
				cases++
				ep.check(t, enc)
			})
		}
		t.Logf("%s: %d episodes", tree, cases)
		if tree == "testdata" && cases == 0 {
			t.Error("testdata has no episodes")
		}
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func (ep *episode) check(t *testing.T, e *Encoding) {
	prompt := strings.TrimSuffix(ep.Prompt, "<|start|>assistant")
	given, err := e.Parse(e.EncodeWithSpecial(prompt), ParseOptions{Dialect: Compat})
	if err != nil || len(given) < 2 {
		t.Errorf("episode %d: a prompt of %d messages, %v", ep.ID, len(given), err)
		return
	}
	messages := []Message{ep.system(t, given[0].Text()).Message()}
	if ep.Instructions != "" || len(ep.Functions) > 0 {
		messages = append(messages, NewDeveloperContent(ep.Instructions, ep.Functions...).Message())
	}
	for _, m := range given[len(messages):] {
		messages = append(messages, m.Message)
	}
	tokens, err := e.RenderForCompletion(messages, Assistant, RenderOptions{Dialect: Compat})
	if err != nil {
		t.Errorf("episode %d: %v", ep.ID, err)
		return
	}
	if got, _ := e.Decode(tokens); got != ep.Prompt {
		t.Errorf("episode %d, prompt:\n got %s\nwant %s", ep.ID, firstDifference(got, ep.Prompt), firstDifference(ep.Prompt, got))
	}
	var open *Parsed
	for i, turn := range ep.Turns {
		p := NewParser(e, ParseOptions{Role: Assistant})
		for _, token := range e.EncodeWithSpecial(turn.Expect) {
			if _, err := p.Push(token); err != nil {
				t.Errorf("episode %d, turn %d: %v", ep.ID, i, err)
				return
			}
		}
		if len(p.Messages()) == 0 {
			t.Errorf("episode %d, turn %d: no message in %q", ep.ID, i, turn.Expect)
			return
		}
		open = &p.Messages()[0]
		if !open.IsCall() {
			continue
		}
		result := NewToolResult(open.Recipient, open.Channel, textOf(turn.Then))
		got, err := e.AppendMessage(nil, &result, Compat, false)
		if err != nil {
			t.Errorf("episode %d, turn %d: %v", ep.ID, i, err)
			return
		}
		if text, _ := e.Decode(e.AppendStart(got, Assistant)); text != turn.Then {
			t.Errorf("episode %d, turn %d: result\n got %q\nwant %q", ep.ID, i, text, turn.Then)
		}
	}
	if open == nil || open.Channel != Final || open.Stop != StopReturn {
		t.Errorf("episode %d does not end in a final message", ep.ID)
	}
}

// textOf cuts the content out of a rendered message.
func textOf(rendered string) string {
	_, content, _ := strings.Cut(rendered, messageName)
	content, _, _ = strings.Cut(content, endName)
	return content
}

// Every tokenizer.json of the trees loads, has the control tokens, and brings
// text back.
func TestTokenizersOfModels(t *testing.T) {
	text := "The quick brown fox, 12345 times; naïve 日本語 🙂\n\tdone <|end|> \xff"
	for _, tree := range modelTrees(t) {
		var files []string
		for _, pattern := range []string{"tokenizer.json", "tokenizerjson/*.json"} {
			files = append(files, vectorFiles(t, tree, pattern)...)
		}
		for _, path := range files {
			e := loadTokenizer(t, path)
			tokens := e.Encode(text)
			if got, err := e.Decode(tokens); err != nil || got != text {
				t.Errorf("%s: comes back as %q, %v", path, got, err)
			}
			if slices.ContainsFunc(tokens, e.IsSpecial) {
				t.Errorf("%s: ordinary text became a special token: %v", path, tokens)
			}
			t.Logf("%s: %d ids", filepath.ToSlash(path), e.VocabSize())
		}
		if tree == "testdata" && len(files) == 0 {
			t.Error("testdata has no tokenizers")
		}
	}
}
