package main

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"chorale/harmony"
	"chorale/runtime"
)

// TestHeavyRecall runs a task again: with what was said the first time fewer passes
// are needed, where earlier runs are to be read, and never is anything else said.
func TestHeavyRecall(t *testing.T) {
	needPython(t)
	runs := t.TempDir()
	run := func(guess string) ([]harmony.Token, *runtime.Work) {
		cmd := exec.Command(os.Args[0], "run", "--run-dir", runs, "../../examples/arithmetic.yaml")
		cmd.Env = append(os.Environ(), asAgent+"=1", "AGENT_DEVICE=cpu", "AGENT_GUESS="+guess)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		traces, err := filepath.Glob(filepath.Join(runs, "*", "trace.jsonl"))
		if err != nil || len(traces) == 0 {
			t.Fatal("no trace", err)
		}
		tokens, work := readWork(t, slices.MaxFunc(traces, byTime))
		return tokens, work
	}
	want, plain := run("off")
	said, again := run("on")
	if again.Right == 0 || again.Passes >= plain.Passes || again.Decoded != plain.Decoded {
		t.Errorf("after a run without guesses %+v, another took %+v", plain, again)
	}
	alone, single := run("run")
	if single.Right >= again.Right {
		t.Errorf("guesses from the run alone: %+v; from earlier runs: %+v", single, again)
	}
	if !slices.Equal(want, said) || !slices.Equal(want, alone) {
		t.Errorf("without guesses: %v\nwith guesses: %v\nfrom earlier runs: %v", want, alone, said)
	}
}

// byTime compares files by when they were changed.
func byTime(a, b string) int {
	x, err := os.Stat(a)
	y, err2 := os.Stat(b)
	if err != nil || err2 != nil {
		return 0
	}
	return x.ModTime().Compare(y.ModTime())
}

// readWork returns a trace's tokens, and the work of the run.
func readWork(t *testing.T, path string) (tokens []harmony.Token, work *runtime.Work) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<22)
	for lines.Scan() {
		var rec runtime.Record
		if err := json.Unmarshal(lines.Bytes(), &rec); err != nil {
			t.Fatal(err)
		}
		if tokens = append(tokens, rec.Tokens...); rec.Kind == runtime.KindFinished {
			work = rec.Work
		}
	}
	if work == nil {
		t.Fatalf("%s: the run has not finished", path)
	}
	return tokens, work
}
