package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"chorale/agent"
	"chorale/runtime"
	"chorale/tools/functions"
	"chorale/tools/python"
)

// stack plays episodes through everything: each becomes a task file with its
// functions and policy, and is run as `agent run` would run it.
type stack struct {
	engine *engine
	python *python.Engine // shared by the runs
	dir    string         // of the task files and runs
}

func newStack(ctx context.Context, e *engine) (*stack, error) {
	p, err := python.Load(ctx, "", python.Basic)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "agent-eval-")
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return &stack{engine: e, python: p, dir: dir}, nil
}

func (s *stack) Close() error { return errors.Join(s.python.Close(), os.RemoveAll(s.dir)) }

// playable reports whether an episode can be a task: it is of a kind whose
// tools there are, and one question, not a conversation.
func playable(ep *episode) bool {
	return slices.Contains([]string{"chat", "py", "func", "func2", "multi"}, ep.Kind) && ep.firstTurn() && ep.final() != ""
}

// play runs an episode as a task and reports whether the answer is right.
func (s *stack) play(ctx context.Context, ep *episode) (bool, error) {
	dir := filepath.Join(s.dir, fmt.Sprintf("episode-%d", ep.ID))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return false, err
	}
	defer os.RemoveAll(dir)
	job, err := s.job(ep, dir)
	if err != nil {
		return false, err
	}
	gate, err := loadPolicies(job, nil)
	if err != nil {
		return false, err
	}
	granted, err := s.grants(ep, job)
	if err != nil {
		return false, err
	}
	session, err := s.engine.session(job.Task.Model)
	if err != nil {
		return false, modelError(err)
	}
	defer session.Close()
	vocabulary, err := s.engine.vocabulary(job.Task.Model)
	if err != nil {
		return false, modelError(err)
	}
	run := &runtime.Session{
		Job: job, Encoding: s.engine.encoding, Dialect: s.engine.dialect, Model: session, Context: s.engine.model.Info().Context,
		Vocabulary: vocabulary, Grants: granted, Gate: gate, Runs: filepath.Join(dir, "runs"), Now: clockFrom(ep.date()),
		Version: version, Engine: s.engine.String(),
	}
	res, err := run.Run(ctx)
	if res.Status == agent.NoAnswer || res.Status == runtime.CheckFailed || res.Status == agent.Exhausted {
		return false, nil // the model's failure, not ours
	}
	if err != nil {
		err = &exitError{code: runtime.ExitCode(res.Status), err: err}
	}
	return res.Status == agent.Done, err
}

// job writes the episode's task file and reads it as any other. The answer is a
// check of the task.
func (s *stack) job(ep *episode, dir string) (*runtime.Job, error) {
	task := map[string]any{
		"apiVersion": "agent/v1", "kind": "Task", "name": fmt.Sprintf("episode-%d", ep.ID),
		"prompt": ep.user(), "model": map[string]any{"effort": ep.Effort},
		"limits": map[string]any{"turns": 8, "tokens": 2000},
		"checks": []any{map[string]any{"equals": answer(ep)}},
	}
	if ep.Instructions != nil {
		task["developer"] = map[string]any{"text": *ep.Instructions}
	}
	granted := map[string]any{}
	if slices.Contains(ep.Tools, "python") {
		granted["python"] = map[string]any{}
	}
	if byCommand(ep) {
		if err := writeCommands(ep, dir); err != nil {
			return nil, err
		}
		granted["functions"] = []any{map[string]any{"ref": "functions.yaml"}}
	}
	task["tools"] = granted
	if rules := denials(ep); len(rules) > 0 {
		task["policies"] = []string{"policy.yaml"}
		policy := map[string]any{"apiVersion": "agent/v1", "kind": "Policy", "layer": "developer", "rules": rules}
		if err := writeYAML(filepath.Join(dir, "policy.yaml"), policy); err != nil {
			return nil, err
		}
	}
	path := filepath.Join(dir, "task.yaml")
	if err := writeYAML(path, task); err != nil {
		return nil, err
	}
	job, err := runtime.Read(path)
	if err != nil {
		return nil, err
	}
	return job, job.Set(nil)
}

// writeYAML writes a file of ours. JSON is YAML.
func writeYAML(path string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o600)
}

func (s *stack) grants(ep *episode, job *runtime.Job) ([]runtime.Grant, error) {
	var out []runtime.Grant
	if p := job.Task.Tools.Python; p != nil {
		g, err := pythonGrant(job, nil, p, s.python)
		if err != nil {
			return nil, err
		}
		out = append(out, g)
	}
	switch {
	case byCommand(ep):
		g, err := readFunctions(job, nil)
		if err != nil {
			return nil, err
		}
		out = append(out, g)
	case len(ep.Functions) > 0:
		set, err := goFunctions(ep)
		if err != nil {
			return nil, err
		}
		out = append(out, functionsGrant(set))
	}
	return out, nil
}

// byCommand has every other episode's functions run as commands, the rest as Go
// functions.
func byCommand(ep *episode) bool { return len(ep.Functions) > 0 && ep.ID%2 == 0 }

// goFunctions are the episode's functions as Go functions: they give what was
// recorded for the arguments that were recorded, and fail otherwise.
func goFunctions(ep *episode) (*functions.Set, error) {
	var fs []functions.Function
	for _, f := range ep.Functions {
		replies := ep.replies(f.Name)
		fs = append(fs, functions.Dynamic(f.Name, f.Description, f.schema(), func(_ context.Context, args json.RawMessage) (string, error) {
			if result, ok := replies[string(args)]; ok {
				return result, nil
			}
			return "", errors.New("no record of such arguments")
		}).ReadOnly())
	}
	return functions.New(fs...)
}

// writeCommands writes the episode's functions as a functions file, each with a
// program of its own that knows what was recorded.
func writeCommands(ep *episode, dir string) error {
	var declared []any
	for i, f := range ep.Functions {
		program := fmt.Sprintf("./function-%d", i)
		var b strings.Builder
		b.WriteString("#!/bin/sh\ncase $(cat) in\n")
		for args, result := range ep.replies(f.Name) {
			fmt.Fprintf(&b, "%s) printf %%s %s ;;\n", quote(args), quote(result))
		}
		b.WriteString("*) echo no record of such arguments >&2; exit 1 ;;\nesac\n")
		if err := os.WriteFile(filepath.Join(dir, program), []byte(b.String()), 0o700); err != nil {
			return err
		}
		d := map[string]any{"name": f.Name, "description": f.Description, "command": []string{program}, "sideEffect": false}
		if p := f.schema(); p != nil {
			d["parameters"] = p
		}
		declared = append(declared, d)
	}
	return writeYAML(filepath.Join(dir, "functions.yaml"), map[string]any{"apiVersion": "agent/v1", "kind": "Functions", "functions": declared})
}

// quote makes text one word of a shell script.
func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// replies are the recorded results of one function by its arguments, which are
// JSON without spaces, as functions get them.
func (e *episode) replies(function string) map[string]string {
	out := map[string]string{}
	for _, c := range e.calls() {
		var args bytes.Buffer
		if c.recipient == "functions."+function && c.denial == "" && json.Compact(&args, []byte(c.args)) == nil {
			out[args.String()] = c.result
		}
	}
	return out
}

// schema is the function's parameters, nil for none.
func (f episodeFunction) schema() json.RawMessage {
	if string(f.Parameters) == "null" {
		return nil
	}
	return f.Parameters
}

// denials are policy rules that deny what was denied in the record.
func denials(ep *episode) []any {
	var rules []any
	for i, c := range ep.calls() {
		if c.denial != "" {
			rules = append(rules, map[string]any{
				"id": fmt.Sprintf("rule-%d", i), "match": map[string]any{"tool": c.recipient}, "decision": "deny", "message": c.denial,
			})
		}
	}
	return rules
}

// answer is the right answer. The record words denials in several ways and this
// program in one, which the model repeats.
func answer(ep *episode) string {
	for _, c := range ep.calls() {
		if c.denial != "" {
			return strings.Replace(ep.final(), c.result, agent.DenialPrefix+c.denial, 1)
		}
	}
	return ep.final()
}

// clockFrom is a clock that starts on a date, or now where there is none.
func clockFrom(date string) func() time.Time {
	started := time.Now()
	day, err := time.Parse(time.DateOnly, date)
	if err != nil {
		return time.Now
	}
	return func() time.Time { return day.Add(time.Since(started)) }
}
