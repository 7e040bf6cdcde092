package runtime

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"chorale/agent"
	"chorale/harmony"
	"chorale/policies"
	"chorale/tools"
)

// speaker is a model that says given messages, as far as it may, and remembers
// what it was given.
type speaker struct {
	enc  *harmony.Encoding
	says []string
	all  []harmony.Token // the last prompt and what was said to it
}

func (m *speaker) Generate(_ context.Context, prompt, _ []harmony.Token, c agent.Constraint) iter.Seq2[harmony.Token, error] {
	return func(yield func(harmony.Token, error) bool) {
		m.all = slices.Clone(prompt)
		if len(m.says) == 0 {
			yield(0, errors.New("nothing more to say"))
			return
		}
		said := m.enc.EncodeWithSpecial(m.says[0])
		m.says = m.says[1:]
		for _, t := range said {
			if c != nil {
				c.Forced() // the same tokens, if there are any
				if err := c.Accept(t); err != nil {
					yield(0, err)
					return
				}
			}
			m.all = append(m.all, t)
			if !yield(t, nil) {
				return
			}
		}
	}
}

// writer is a tool that leaves a file.
type writer struct {
	scratch string
	closed  *int
}

func (w writer) Namespace() harmony.Namespace { return harmony.Python() }
func (w writer) Close() error                 { *w.closed++; return nil }
func (w writer) Citations(answer string) []tools.Citation {
	if *w.closed > 0 || answer != "Done." {
		return nil
	}
	return []tools.Citation{{Cursor: 3, Title: "A", URL: "http://a.example/", Lines: "L8"}}
}
func (w writer) Call(_ context.Context, c tools.Call) (tools.Result, error) {
	if c.Limits.Time != time.Second {
		return tools.Result{}, errors.New("the grant's time limit did not arrive")
	}
	return tools.Result{Text: "written"}, os.WriteFile(filepath.Join(w.scratch, "a.txt"), []byte("silver garden\n"), 0o600)
}

const callPython = "<|channel|>analysis to=python code<|message|>write()<|call|>"

func session(t *testing.T, src string, m *speaker) (*Session, *int) {
	t.Helper()
	job, err := Parse(filepath.Join(t.TempDir(), "task.yaml"), []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	if err := job.Set(nil); err != nil {
		t.Fatal(err)
	}
	closed := new(int)
	return &Session{
		Job: job, Encoding: m.enc, Model: m, Context: 10_000, Gate: policies.Default(), Runs: t.TempDir(), Now: time.Now,
		Grants: []Grant{{
			Namespace: harmony.Python(), BuiltIn: true, Limits: tools.Limits{Time: time.Second},
			Open: func(_ context.Context, p Place) (tools.Tool, error) { return writer{p.Scratch, closed}, nil },
		}},
	}, closed
}

// TestRunDirectory: everything that a run did can be read from its folder, the
// model's whole context bit for bit.
func TestRunDirectory(t *testing.T) {
	m := &speaker{enc: harmony.O200kHarmony(), says: []string{callPython, "<|channel|>final<|message|>Done.<|return|>"}}
	s, closed := session(t, head+"prompt: Write.\noutput: {file: out/answer.txt}\nchecks:\n- {file: a.txt, equals: silver garden}\n- equals: Done.\n", m)
	res, err := s.Run(t.Context())
	if err != nil || res.Status != agent.Done || res.ExitCode != ExitDone || res.Final != "Done." {
		t.Fatalf("got %+v, %v", res, err)
	}
	if *closed != 1 {
		t.Errorf("the tool was closed %d times", *closed)
	}
	records := readTrace(t, filepath.Join(res.Dir, "trace.jsonl"))
	var tokens []harmony.Token
	for _, r := range records {
		tokens = append(tokens, r.Tokens...)
	}
	if !slices.Equal(tokens, m.all) {
		t.Errorf("the trace has %d tokens, which are not the %d of the model's context", len(tokens), len(m.all))
	}
	if len(res.Artifacts) != 1 || res.Artifacts[0].Name != "a.txt" || res.Artifacts[0].Size != 14 || res.Artifacts[0].SHA256 != hash([]byte("silver garden\n")) {
		t.Errorf("artifacts %+v", res.Artifacts)
	}
	if answer, err := s.Job.ReadFile("out/answer.txt"); err != nil || string(answer) != "Done.\n" {
		t.Errorf("output file: %q, %v", answer, err)
	}
	var stored Result
	readJSON(t, filepath.Join(res.Dir, "result.json"), &stored)
	if len(res.Citations) != 1 || len(res.Checks) != 2 {
		t.Errorf("citations %+v, checks %+v", res.Citations, res.Checks)
	}
	if last := records[len(records)-1].Result; !reflect.DeepEqual(stored, res) || last == nil || !reflect.DeepEqual(*last, res) {
		t.Errorf("the run ended with %+v\nin result.json %+v\nat the trace's end %+v", res, stored, last)
	}
	var lock map[string]any
	b, err := os.ReadFile(filepath.Join(res.Dir, "task.lock.yaml"))
	if err == nil {
		err = yaml.Unmarshal(b, &lock)
	}
	if err != nil || lock["kind"] != "TaskLock" {
		t.Errorf("task.lock.yaml: %v, %v", lock["kind"], err)
	}
}

// TestLock: what a task said can be read from its lock as it was, whatever it looks
// like, and is easy to read where it is plain.
func TestLock(t *testing.T) {
	dir, err := newFolder(t.TempDir(), "t", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{
		"one\ntwo\n", "one\n\n  two\n\n", "Sum:\n\ttwo\n", "  indented first\nsecond\n", "\tx\ny", "\n", "\n\nx", "x\n ", "x\n \n", "a \nb",
		"a\r\nb", "a\rb", "a\x00b", "\x1b[0ma\nb", "a\u0085b", "a\u2028b\nc", "\ufeffx\ny", "é\u00a0x\ny", "\"a\" b", "'a'\nb", "# x\ny", "- x\n- y",
		"---\nx\n...\n", "? a", "a: b", ".inf", ".nan", "null", "yes", "1e3", "{a}", "[a]\nb", "&a *b !c", "%x\ny", "", " ", "😀\nx", `\n`, "a\tb", "0x1\té",
	}
	for _, text := range texts {
		value := Scalar(text)
		lock := Lock{Task: Task{Prompt: text, Developer: Developer{Text: text}, Inputs: map[string]Input{"a": {Default: &value}}, Checks: []Check{{Equals: text}, {Contains: text}}}}
		if err := dir.writeLock(lock); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(dir.file("task.lock.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		var read struct {
			Task struct {
				Prompt    string
				Developer struct{ Text string }
				Inputs    map[string]struct{ Default string }
				Checks    []struct{ Equals, Contains string }
			}
		}
		if err := yaml.Unmarshal(b, &read); err != nil {
			t.Errorf("%q: %v\n%s", text, err, b)
			continue
		}
		for _, got := range []string{read.Task.Prompt, read.Task.Developer.Text, read.Task.Inputs["a"].Default, read.Task.Checks[0].Equals, read.Task.Checks[1].Contains} {
			if got != text {
				t.Errorf("%q was read as %q\n%s", text, got, b)
			}
		}
		if text == texts[0] && !strings.Contains(string(b), "prompt: |\n    one\n    two\n") {
			t.Errorf("lines are not below each other:\n%s", b)
		}
	}
}

// TestEveryEndLeavesAResult: also where something broke.
func TestEveryEndLeavesAResult(t *testing.T) {
	for name, tc := range map[string]struct {
		says   []string
		src    string
		status agent.Status
		code   int
	}{
		"model broke":  {nil, "", agent.ModelBroke, ExitModel},
		"budget":       {[]string{callPython}, "limits: {turns: 1}\n", agent.Exhausted, ExitBudget},
		"check failed": {[]string{"<|channel|>final<|message|>No.<|return|>"}, "checks: [{equals: Done.}]\n", CheckFailed, ExitNoAnswer},
		"no file":      {[]string{"<|channel|>final<|message|>No.<|return|>"}, "checks: [{file: b.txt, contains: x}]\n", CheckFailed, ExitNoAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			m := &speaker{enc: harmony.O200kHarmony(), says: tc.says}
			s, _ := session(t, head+"prompt: Write.\n"+tc.src, m)
			res, _ := s.Run(t.Context())
			if res.Status != tc.status || res.ExitCode != tc.code || res.Reason == "" {
				t.Errorf("got %+v, want status %s and a reason", res, tc.status)
			}
			var stored Result
			readJSON(t, filepath.Join(res.Dir, "result.json"), &stored)
			if stored.Status != res.Status || stored.Reason != res.Reason {
				t.Errorf("result.json says %s, the run %s", stored.Status, res.Status)
			}
			records := readTrace(t, filepath.Join(res.Dir, "trace.jsonl"))
			if last := records[len(records)-1]; last.Kind != KindFinished || !reflect.DeepEqual(*last.Result, stored) {
				t.Errorf("the trace ends with %s, %+v\nresult.json says %+v", last.Kind, last.Result, stored)
			}
		})
	}
}

// TestGrantNarrows: no grant, no limit and no policy of a lower layer permits
// more than the layer above it.
func TestGrantNarrows(t *testing.T) {
	box := newToolbox([]Grant{{Namespace: harmony.Python(), Limits: tools.Limits{Time: time.Hour, Memory: 1}}}, Place{})
	g := grantGate{policies.Default(), box}
	wide := policies.Default().Decide(policies.Request{Call: tools.Call{Tool: "python"}, Effect: policies.Read})
	d := g.Decide(policies.Request{Call: tools.Call{Tool: "python"}, Effect: policies.Read})
	if d.Verdict != policies.Allow || d.Limits.Time != wide.Limits.Time || d.Limits.Memory != 1 || d.Limits.Output != wide.Limits.Output {
		t.Errorf("got %+v under %+v", d, wide)
	}
	if d := g.Decide(policies.Request{Call: tools.Call{Tool: "functions", Function: "f"}, Effect: policies.Read}); d.Verdict != policies.Deny {
		t.Errorf("a tool that the task does not grant is met with %v", d.Verdict)
	}
}

func readTrace(t *testing.T, path string) []Record {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []Record
	for s := bufio.NewScanner(f); s.Scan(); {
		var r Record
		if err := json.NewDecoder(strings.NewReader(s.Text())).Decode(&r); err != nil {
			t.Fatal(err)
		}
		if r.Seq != len(out)+1 {
			t.Fatalf("record %d has seq %d", len(out)+1, r.Seq)
		}
		out = append(out, r)
	}
	return out
}

func readJSON(t *testing.T, path string, v any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestNotices: what is told of the device while a run goes on stands in its
// trace, once, between its beginning and its end.
func TestNotices(t *testing.T) {
	m := &speaker{enc: harmony.O200kHarmony(), says: []string{"<|channel|>final<|message|>Done.<|return|>"}}
	s, _ := session(t, head+"prompt: Write.\n", m)
	told := [][]string{{"No GPU."}, nil, {"The GPU failed.", "It was set up anew."}}
	var seen []string
	s.Watch = func(r Record) {
		if r.Kind == KindNotice {
			seen = append(seen, r.Text)
		}
	}
	s.Notices = func() (out []string) {
		if len(told) > 0 {
			out, told = told[0], told[1:]
		}
		return out
	}
	res, err := s.Run(t.Context())
	if err != nil || res.Status != agent.Done {
		t.Fatalf("got %+v, %v", res, err)
	}
	records := readTrace(t, filepath.Join(res.Dir, "trace.jsonl"))
	var kept []string
	for i, r := range records {
		if r.Kind == KindNotice {
			kept = append(kept, r.Text)
		}
		if r.Kind != KindDelta && r.Seq != i+1 {
			t.Errorf("record %d has number %d", i+1, r.Seq)
		}
	}
	want := []string{"No GPU.", "The GPU failed.", "It was set up anew."}
	if !slices.Equal(kept, want) || !slices.Equal(seen, want) || records[0].Kind == KindNotice || records[len(records)-1].Kind != KindFinished {
		t.Errorf("the trace has %q, the watcher saw %q; it ends with %s", kept, seen, records[len(records)-1].Kind)
	}
}
