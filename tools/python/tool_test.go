package python

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"chorale/tools"
	"chorale/tools/tooltest"
)

func TestToolContract(t *testing.T) {
	e := newSession(t, Options{}).options.Engine
	call := func(code string) tools.Call { return tools.Call{Tool: "python", Args: code} }
	tooltest.Run(t, tooltest.Subject{
		Open: func(t *testing.T) tools.Tool {
			tool, err := Open(t.Context(), Options{Engine: e, Memory: 256 << 20})
			if err != nil {
				t.Fatal(err)
			}
			return tool
		},
		Echo: func(text string) tools.Call {
			quoted, err := json.Marshal(text)
			if err != nil {
				t.Fatal(err)
			}
			return call(fmt.Sprintf("print(%s)", quoted))
		},
		Endless: call("while True: pass"),
		Flood:   call("for _ in range(20_000): print('spam ' * 15)"),
		Wrong:   call("undefined + 1"),
	})
}

// TestDescription holds the namespace against the text that openai-harmony
// renders and that the models were trained with.
func TestDescription(t *testing.T) {
	want, err := os.ReadFile("testdata/namespace.txt")
	if err != nil {
		t.Fatal(err)
	}
	ns := Namespace(Basic)
	if got := "## " + ns.Name + "\n\n" + ns.Description + "\n"; got != string(want) || len(ns.Functions) != 0 {
		t.Errorf("declared as\n%s%v\nwant\n%s", got, ns.Functions, want)
	}
}

// TestDescriptionOfFull holds what is said of the full interpreter against the
// interpreter itself.
func TestDescriptionOfFull(t *testing.T) {
	trained, full := Namespace(Basic).Description, Namespace(Full).Description
	said, more := strings.CutPrefix(full, trained)
	if !more || !strings.Contains(said, "int32") {
		t.Fatalf("the full interpreter is described as %q", full)
	}
	if tested != Full {
		return // TestDescription has seen the rest
	}
	s := newSession(t, Options{})
	if got := (&Tool{s}).Namespace().Description; got != full {
		t.Errorf("the tool says %q", got)
	}
	for _, p := range regexp.MustCompile(`([a-z0-9-]+) (\d+\.\d+)[,.]`).FindAllStringSubmatch(said, -1) {
		out := run(t, s, fmt.Sprintf("import importlib.metadata\nprint(importlib.metadata.version(%q))", p[1]))
		if !strings.HasPrefix(out.Text, p[2]+".") && out.Text != p[2]+"\n" {
			t.Errorf("%s %s is %q", p[1], p[2], out.Text)
		}
	}
	want(t, s, "import numpy, sys\nprint(sys.version_info[:2], numpy.array([2147483647]).dtype, numpy.array([2147483647]) + 1)", "(3, 15) int32 [-2147483648]\n")
}

func TestToolNeedsAPreparedInterpreter(t *testing.T) {
	_, err := Open(context.Background(), Options{Cache: t.TempDir()})
	if !errors.Is(err, ErrNotPrepared) || !strings.Contains(err.Error(), "agent setup python") {
		t.Errorf("error %v does not say what to do", err)
	}
	if _, err := New(context.Background(), Options{Cache: t.TempDir()}); !errors.Is(err, ErrNotPrepared) {
		t.Errorf("New: %v", err)
	}
}

// TestEngineIsLoadedByTheFirstCall: a task that never calls Python pays nothing.
func TestEngineIsLoadedByTheFirstCall(t *testing.T) {
	newSession(t, Options{}) // skips where there is no interpreter
	tool, err := Open(context.Background(), Options{Runtime: tested})
	if err != nil {
		t.Fatal(err)
	}
	if tool.session.options.Engine != nil || tool.session.instance != nil {
		t.Error("something is loaded before the first call")
	}
	if r, err := tool.Call(context.Background(), tools.Call{Tool: "python", Args: "print(6 * 7)", Limits: DefaultLimits}); err != nil || r.Text != "42\n" {
		t.Errorf("%+v, %v", r, err)
	}
	if tool.session.options.Engine == nil {
		t.Error("the first call has loaded nothing")
	}
	if err := tool.Close(); err != nil {
		t.Error(err)
	}
}

func TestToolRefusesFunctions(t *testing.T) {
	s := newSession(t, Options{})
	r, err := (&Tool{s}).Call(context.Background(), tools.Call{Tool: "python", Function: "exec", Args: "1", Limits: DefaultLimits})
	if err != nil || !r.Failed || !strings.Contains(r.Text, `"exec"`) {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestLimitOfMemoryIsTheCalls: a limit below what the interpreter has already
// is the model's to read, not the end of the task.
func TestMemoryLimitOfACall(t *testing.T) {
	s := newSession(t, Options{})
	limits := DefaultLimits
	limits.Memory = 1
	r, err := (&Tool{s}).Call(context.Background(), tools.Call{Tool: "python", Args: "x = bytearray(50_000_000)", Limits: limits})
	if err != nil || !r.Failed || !strings.Contains(r.Text, "MemoryError") {
		t.Errorf("%+v, %v", r, err)
	}
}

func ExampleNew() {
	ctx := context.Background()
	if err := Prepare(ctx, PrepareOptions{Runtime: Basic}); err != nil { // once for a machine
		fmt.Println(err)
		return
	}
	s, err := New(ctx, Options{Runtime: Basic})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	for _, code := range []string{
		"squares = [n * n for n in range(5)]",
		"print(sum(squares))\nmax(squares)",
		"squares[7]",
	} {
		out, err := s.Run(ctx, code)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%q\n", out.Text)
	}
	// Output:
	// ""
	// "30\n16"
	// "Traceback (most recent call last):\n  File \"<cell 3>\", line 1, in <module>\n    squares[7]\nIndexError: list index out of range\n"
}
