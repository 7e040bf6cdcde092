package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
)

// episode is one line of an eval.jsonl: a held-out conversation of the kind
// that the model was trained on, with what it must say, exactly.
type episode struct {
	ID           int               `json:"id"`
	Kind         string            `json:"kind"`
	Prompt       string            `json:"prompt"` // rendered, with control tokens as text
	Turns        []episodeTurn     `json:"turns"`
	Effort       string            `json:"effort"`
	Tools        []string          `json:"tools"`
	Instructions *string           `json:"instructions"`
	Functions    []episodeFunction `json:"functions"`
}

// episodeTurn is one message of the model and what comes back.
type episodeTurn struct {
	Expect string `json:"expect"`
	Then   string `json:"then"`
}

type episodeFunction struct {
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Parameters  json.RawMessage `json:"parameters"`
}

// readEpisodes reads at most limit episodes (0: all) of the named kinds (none:
// all) from an eval.jsonl.
func readEpisodes(path string, kinds []string, limit int) ([]episode, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []episode
	s := bufio.NewScanner(f)
	s.Buffer(nil, 16<<20)
	for line := 1; s.Scan() && (limit == 0 || len(out) < limit); line++ {
		if strings.TrimSpace(s.Text()) == "" {
			continue
		}
		var e episode
		if err := json.Unmarshal(s.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, line, err)
		}
		if e.Prompt == "" || len(e.Turns) == 0 {
			return nil, fmt.Errorf("%s:%d: no episode: it has no prompt or no turns", path, line)
		}
		if wanted(e.Kind, kinds) {
			out = append(out, e)
		}
	}
	return out, s.Err()
}

func wanted(kind string, kinds []string) bool {
	if len(kinds) == 0 {
		return true
	}
	for _, k := range kinds {
		if k == kind {
			return true
		}
	}
	return false
}

// The texts of an episode are cut at its control tokens. They are ours: the
// file is part of the checkpoint's own material.

// user is the last thing that the user says in the prompt.
func (e *episode) user() string {
	const mark = "<|start|>user<|message|>"
	_, rest, _ := strings.Cut(e.Prompt[max(0, strings.LastIndex(e.Prompt, mark)):], mark)
	text, _, _ := strings.Cut(rest, "<|end|>")
	return text
}

// firstTurn reports whether the prompt holds no finished turn before this one.
func (e *episode) firstTurn() bool {
	return strings.Count(e.Prompt, "<|start|>user<|message|>") == 1
}

// date is the current date that the prompt's system message states, or "".
func (e *episode) date() string {
	_, rest, _ := strings.Cut(e.Prompt, "Current date: ")
	date, _, found := strings.Cut(rest, "\n")
	if !found {
		return ""
	}
	return date
}

// final is the answer that the model must give.
func (e *episode) final() string {
	last := e.Turns[len(e.Turns)-1].Expect
	text, _ := strings.CutPrefix(last, "<|channel|>final<|message|>")
	return strings.TrimSuffix(text, "<|return|>")
}

// recorded is a tool call of the episode with the result that came back.
type recorded struct {
	recipient, args, result string
	denial                  string // why it was denied; empty if it was not
}

// calls are the tool calls that the episode expects, in order.
func (e *episode) calls() []recorded {
	var out []recorded
	for _, t := range e.Turns {
		header, args, _ := strings.Cut(t.Expect, "<|message|>")
		_, recipient, found := strings.Cut(header, " to=")
		if !found {
			continue
		}
		recipient, _, _ = strings.Cut(recipient, " ")
		_, result, _ := strings.Cut(t.Then, "<|message|>")
		result, _, _ = strings.Cut(result, "<|end|>")
		out = append(out, recorded{
			recipient: recipient, args: strings.TrimSuffix(args, "<|call|>"), result: result,
			denial: denial(result),
		})
	}
	return out
}

var denialPattern = regexp.MustCompile(`^(?:Error: )?[Dd]enied by policy(?:: (.*)| \((.*)\))$`)

// denial is the reason in a recorded denial, or "".
func denial(result string) string {
	m := denialPattern.FindStringSubmatch(result)
	if m == nil {
		return ""
	}
	return m[1] + m[2]
}
