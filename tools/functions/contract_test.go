//go:build unix

package functions_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"chorale/tools"
	"chorale/tools/functions"
	"chorale/tools/tooltest"
)

const contractFile = `
apiVersion: agent/v1
kind: Functions
functions:
- name: echo
  description: Gives text back.
  parameters: {type: object, properties: {text: {type: string}}, required: [text]}
  command: [printf, "%s", "{{text}}"]
- {name: endless, description: Sleeps., command: [sleep, "600"]}
- {name: flood, description: Prints a lot., command: [head, -c, "2000000", /dev/zero]}
`

func call(name, args string) tools.Call {
	return tools.Call{Tool: functions.Namespace, Function: name, Args: args}
}

func echo(text string) tools.Call {
	args, err := json.Marshal(map[string]string{"text": text})
	if err != nil {
		panic(err)
	}
	return call("echo", string(args))
}

func TestCommandContract(t *testing.T) {
	tooltest.Run(t, tooltest.Subject{
		Open:    func(t *testing.T) tools.Tool { return open(t, parse(t, contractFile)) },
		Echo:    echo,
		Endless: call("endless", ""),
		Flood:   call("flood", "{}"),
		Wrong:   call("echo", `{"text": 5}`),
	})
}

func TestGoFunctionContract(t *testing.T) {
	type in struct {
		Text string `json:"text"`
	}
	none := func(fn func(ctx context.Context) (string, error)) func(context.Context, struct{}) (string, error) {
		return func(ctx context.Context, _ struct{}) (string, error) { return fn(ctx) }
	}
	set, err := functions.New(
		functions.Func("echo", "Gives text back.", func(_ context.Context, in in) (string, error) { return in.Text, nil }),
		functions.Func("endless", "Waits.", none(func(ctx context.Context) (string, error) { <-ctx.Done(); return "", ctx.Err() })),
		functions.Func("flood", "Gives a lot.", none(func(context.Context) (string, error) { return strings.Repeat("x", 2_000_000), nil })),
	)
	if err != nil {
		t.Fatal(err)
	}
	tooltest.Run(t, tooltest.Subject{
		Open:    func(t *testing.T) tools.Tool { return open(t, set) },
		Echo:    echo,
		Endless: call("endless", ""),
		Flood:   call("flood", "{}"),
		Wrong:   call("nope", "{}"),
	})
}

func parse(t *testing.T, src string) *functions.Set {
	t.Helper()
	set, err := functions.Parse("f.yaml", []byte(src), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func open(t *testing.T, s *functions.Set) tools.Tool {
	t.Helper()
	tool, err := s.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tool.Close() })
	return tool
}
