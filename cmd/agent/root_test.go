package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
)

// TestUnknownCommand: what no command is called is a mistake, at any depth.
func TestUnknownCommand(t *testing.T) {
	for line, want := range map[string]string{
		"modle": "unknown command", "model lss": "unknown command", "config gett x": "unknown command", "policy bogus": "unknown command",
		"completion foo": "unknown command", "help nope": "unknown command", "help model lss": "there is no command", "model": "", "help model ls": "",
	} {
		var out, errs bytes.Buffer
		code := execute(t.Context(), strings.Fields(line), streams{out: &out, err: &errs, log: newLogger(&errs)})
		if wrong := want != ""; (code == 2) != wrong || !strings.Contains(errs.String(), want) || wrong == strings.Contains(out.String(), "Usage:") {
			t.Errorf("%s: %d, %s%s", line, code, out.String(), errs.String())
		}
	}
}

// TestLastLine: a stream that was asked for ends as it should, also where nothing
// could begin.
func TestLastLine(t *testing.T) {
	t.Setenv("AGENT_MODELS_HUB", "")
	for line, want := range map[string]string{
		"run --json": "run.finished", "run --json=1 x.yaml": "run.finished", "run --no-such-flag --json=true": "run.finished",
		"model pull --json": "pull.finished", "model pull --json x/y/z": "pull.finished", "model pull --json=t a/b --no-such-flag": "pull.finished",
		"model pull gpt-oss-20b --json": "pull.finished",
		"run --json=false x.yaml":       "", "run -- --json": "", "model --json": "", "--json": "",
	} {
		var out, errs bytes.Buffer
		code := execute(t.Context(), strings.Fields(line), streams{out: &out, err: &errs, log: newLogger(&errs)})
		var last struct {
			Type string `json:"type"`
			Code int    `json:"exit_code"`
		}
		_ = json.Unmarshal(out.Bytes(), &last) // the type says it
		if code != 2 || last.Type != want || (want != "") != (last.Code == 2) {
			t.Errorf("%s: %d, %s%s", line, code, out.String(), errs.String())
		}
	}
}

// TestInterrupted: an interruption has its own exit code, whatever it made fail,
// and reading standard input does not keep it back.
func TestInterrupted(t *testing.T) {
	path, _ := mcpTask(t, "tools: {mcp: [{name: lookup, command: [flights/server], only: [flight]}]}\n")
	in, never, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer never.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, args := range [][]string{
		{"mcp", "pin", path},
		{"mcp", path},
		{"run", path},
		{"eval", embeddedEpisodes, "--device", "cpu"},
		{"harmony", "encode"},
	} {
		var errs bytes.Buffer
		if code := execute(ctx, args, streams{in: in, out: io.Discard, err: &errs, log: newLogger(&errs)}); code != 130 {
			t.Errorf("%v: %d, %s", args, code, errs.String())
		}
	}
	if yes, err := confirmed(ctx, streams{in: in, out: io.Discard}, "delete it?"); yes || err == nil {
		t.Errorf("a question that was interrupted: %v, %v", yes, err)
	}
}

// TestLostOutput: what a command could not print is an error of its own, unless
// nobody reads it any more, or the command has failed anyhow.
func TestLostOutput(t *testing.T) {
	gone, unread, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	outs := map[string]io.Writer{"a reader that has gone": unread, "a full disk": full{}}
	for _, c := range []struct {
		line string
		code map[string]int
	}{
		{"version", map[string]int{"a full disk": 6}},
		{"config explain", map[string]int{"a full disk": 6}},
		{"device ls", map[string]int{"a full disk": 6}},
		{"model --help", map[string]int{"a full disk": 6}},
		{"run --json nothing.yaml", map[string]int{"a full disk": 2, "a reader that has gone": 2}},
	} {
		for name, out := range outs {
			var errs bytes.Buffer
			code := execute(t.Context(), strings.Fields(c.line), streams{out: out, err: &errs, log: newLogger(&errs)})
			if code != c.code[name] || (code == 6) != strings.Contains(errs.String(), "no space left") {
				t.Errorf("%s, %s: %d, %s", c.line, name, code, errs.String())
			}
		}
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }
