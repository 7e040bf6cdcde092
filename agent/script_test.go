package agent

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"chorale/harmony"
	"chorale/policies"
	"chorale/tools"
)

var update = flag.Bool("update", false, "write the transcripts anew")

// TestScripts plays conversations against a model that says what the script
// has it say, and compares the whole history, control tokens by name, and the
// outcome. A script is a txtar file:
//
//	model      what the model says, messages between lines of «----»
//	tools      «RECIPIENT => RESULT», «RECIPIENT =! failed result», «RECIPIENT =X broken»
//	policy     «RECIPIENT allow|ask|deny REASON»; without a line: allow
//	approve    «yes» or «no» for every ask; without the file nobody can be asked
//	budget     «KEY N» lines
//	want       the transcript
func TestScripts(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("testdata/*.txtar: %v, %d files", err, len(paths))
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			ar, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, ar)
			if *update {
				ar.Files = slices.DeleteFunc(ar.Files, func(f txtar.File) bool { return f.Name == "want" })
				ar.Files = append(ar.Files, txtar.File{Name: "want", Data: []byte(got)})
				if err := os.WriteFile(path, txtar.Format(ar), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(section(ar, "want"), got); diff != "" {
				t.Errorf("transcript differs (-want +got):\n%s", diff)
			}
		})
	}
	t.Logf("%d scripts", len(paths))
}

// play runs a script and checks on the way what must hold for every run: each
// prompt is all that was rendered and sampled before, bit for bit.
func play(t *testing.T, ar *txtar.Archive) string {
	t.Helper()
	e := harmony.O200kHarmony()
	stage := &stage{results: map[string]string{}, decisions: map[string]policies.Decision{}}
	stage.read(t, ar)
	model := &scripted{enc: e, lines: strings.Split(strings.TrimSuffix(section(ar, "model"), "\n"), "\n----\n")}
	var log strings.Builder
	var history []harmony.Token
	model.before = func(prompt []harmony.Token) {
		if !slices.Equal(prompt, history) {
			t.Errorf("the prompt is not what was rendered and sampled before")
		}
	}
	a := &Agent{
		Model: model, Encoding: e, Dialect: harmony.Compat, Tools: stage, Declared: declared, Gate: stage,
		Effect: func(tools.Call) policies.Effect { return policies.Read }, Budget: stage.budget,
		Emit: func(ev Event) {
			switch ev := ev.(type) {
			case Rendered:
				history = append(history, ev.Tokens...)
				log.WriteString(shown(e, ev.Tokens))
			case Sampled:
				history = append(history, ev.Tokens...)
				log.WriteString("⟦" + shown(e, ev.Tokens) + "⟧")
				for _, repair := range ev.Repairs {
					fmt.Fprintf(&log, "(mended: %v@%d)", repair.Kind, repair.Token)
				}
				log.WriteString("\n")
			case Trouble:
				log.WriteString("(trouble)\n")
			}
		},
	}
	if stage.approve != nil {
		a.Approver = stage
	}
	o, err := a.Run(t.Context(), []harmony.Message{harmony.NewMessage(harmony.User, "Go.")})
	o.Used.Context, o.Used.Tokens = 0, 0 // the vocabulary's business
	fmt.Fprintf(&log, "\n\nstatus: %s\nreason: %s\nfinal: %s\nerror: %v\nused: %+v\n", o.Status, o.Reason, o.Final, err, o.Used)
	for _, c := range stage.ran {
		fmt.Fprintf(&log, "ran: %s %s\n", c.Name(), c.Args)
	}
	return log.String()
}

func shown(e *harmony.Encoding, tokens []harmony.Token) string {
	var b strings.Builder
	for _, t := range tokens {
		b.WriteString(e.TokenText(t))
	}
	return b.String()
}

func section(ar *txtar.Archive, name string) string {
	for _, f := range ar.Files {
		if f.Name == name {
			return string(f.Data)
		}
	}
	return ""
}

var declared = []harmony.Namespace{
	{Name: "python"},
	{Name: "functions", Functions: []harmony.Function{{Name: "get"}, {Name: "put"}}},
}

// scripted is a model that says given texts.
type scripted struct {
	enc    *harmony.Encoding
	lines  []string
	before func(prompt []harmony.Token)
}

func (m *scripted) Generate(ctx context.Context, prompt, stop []harmony.Token, c Constraint) iter.Seq2[harmony.Token, error] {
	return func(yield func(harmony.Token, error) bool) {
		if m.before != nil {
			m.before(prompt)
		}
		if len(m.lines) == 0 {
			yield(0, errors.New("the script is over"))
			return
		}
		line := m.lines[0]
		m.lines = m.lines[1:]
		for _, t := range m.enc.EncodeWithSpecial(strings.TrimSuffix(line, "\n")) {
			if !yield(t, nil) || slices.Contains(stop, t) {
				return
			}
		}
	}
}

// stage is everything around the model.
type stage struct {
	results   map[string]string
	decisions map[string]policies.Decision
	approve   *bool
	budget    Budget
	ran       []tools.Call
}

func (s *stage) read(t *testing.T, ar *txtar.Archive) {
	t.Helper()
	for line := range strings.Lines(section(ar, "tools")) {
		name, result, _ := strings.Cut(strings.TrimSpace(line), " ")
		s.results[name] = result
	}
	for line := range strings.Lines(section(ar, "policy")) {
		f := strings.SplitN(strings.TrimSpace(line), " ", 3)
		var d policies.Decision
		if err := d.Verdict.UnmarshalText([]byte(f[1])); err != nil {
			t.Fatal(err)
		}
		d.Reason = strings.Join(f[2:], "")
		s.decisions[f[0]] = d
	}
	if text := strings.TrimSpace(section(ar, "approve")); text != "" {
		yes := text == "yes"
		s.approve = &yes
	}
	s.budget = Budget{Turns: 10, ToolCalls: 10, Tokens: 1000, Context: 2000, WallTime: time.Minute, RepeatDenied: 3}
	for line := range strings.Lines(section(ar, "budget")) {
		var key string
		var n int
		if _, err := fmt.Sscanf(line, "%s %d", &key, &n); err != nil {
			t.Fatal(err)
		}
		*map[string]*int{"turns": &s.budget.Turns, "toolCalls": &s.budget.ToolCalls, "tokens": &s.budget.Tokens, "context": &s.budget.Context}[key] = n
	}
}

func (s *stage) Decide(r policies.Request) policies.Decision {
	d, ok := s.decisions[r.Call.Name()]
	if !ok {
		d.Verdict = policies.Allow
	}
	d.Limits = tools.Limits{Time: time.Second, Output: 1000, Memory: 1 << 20}
	return d
}

func (s *stage) Approve(context.Context, Question) (bool, error) {
	return *s.approve, nil
}

func (s *stage) Tool(_ context.Context, namespace string) (tools.Tool, error) {
	return prop{s}, nil
}

// prop is a tool that answers from the script.
type prop struct{ s *stage }

func (p prop) Namespace() harmony.Namespace { return harmony.Namespace{} }
func (p prop) Close() error                 { return nil }
func (p prop) Call(_ context.Context, c tools.Call) (tools.Result, error) {
	if c.Limits == (tools.Limits{}) {
		return tools.Result{}, errors.New("called without limits")
	}
	p.s.ran = append(p.s.ran, c)
	kind, text, _ := strings.Cut(p.s.results[c.Name()], " ")
	switch kind {
	case "=X":
		return tools.Result{}, errors.New(text)
	case "=!":
		return tools.Result{Text: text, Failed: true}, nil
	}
	return tools.Result{Text: text}, nil
}
