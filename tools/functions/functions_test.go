//go:build unix

package functions_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"chorale/harmony"
	"chorale/internal/sandbox/confine"
	"chorale/tools"
	"chorale/tools/functions"
)

var update = flag.Bool("update", false, "write what the error cases give; look at the difference")

var limits = tools.Limits{Time: 20 * time.Second, Output: 64 << 10, Memory: 1 << 30}

// answer calls a function and gives the text, with "failed: " before it if so.
func answer(t *testing.T, tool tools.Tool, name, args string) string {
	t.Helper()
	c := call(name, args)
	c.Limits = limits
	r, err := tool.Call(t.Context(), c)
	if err != nil {
		t.Fatalf("%s(%s): %v", name, args, err)
	}
	if r.Failed {
		return "failed: " + r.Text
	}
	return r.Text
}

// Every file of testdata/errors is refused, with the message beside it.
func TestFileErrors(t *testing.T) {
	files, err := filepath.Glob("testdata/errors/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, f := range files {
		src, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		_, err = functions.Parse("f.yaml", src, ".")
		if err == nil {
			t.Errorf("%s is accepted", f)
			continue
		}
		golden := strings.TrimSuffix(f, ".yaml") + ".txt"
		if *update {
			if err := os.WriteFile(golden, []byte(err.Error()+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, _ := os.ReadFile(golden)
		if diff := cmp.Diff(string(want), err.Error()+"\n"); diff != "" {
			t.Errorf("%s (-want +got)\n%s", f, diff)
		}
	}
}

const orders = `
apiVersion: agent/v1
kind: Functions
functions:
- name: order
  description: Orders things.
  parameters:
    type: object
    properties:
      zeta: {type: string, description: "comes first"}
      amount: {type: number, minimum: 1}
      currency: {type: string, enum: [EUR, USD], default: EUR}
      items: {type: array, maxItems: 2, items: {type: object, properties: {price: {type: integer}}, required: [price]}}
      code: {type: string, pattern: "^[A-Z]+$"}
    required: [amount]
    additionalProperties: false
  command: [cat]
- {name: look, description: Looks., sideEffect: false, command: [cat]}
- {name: send, description: Sends., sideEffect: true, command: [cat]}
`

func TestDeclaration(t *testing.T) {
	set := parse(t, orders)
	ns := set.Namespace()
	want := harmony.Namespace{Name: "functions", Functions: []harmony.Function{
		{Name: "order", Description: "Orders things.", Parameters: json.RawMessage(`{"type":"object","properties":{` +
			`"zeta":{"type":"string","description":"comes first"},"amount":{"type":"number","minimum":1},` +
			`"currency":{"type":"string","enum":["EUR","USD"],"default":"EUR"},` +
			`"items":{"type":"array","maxItems":2,"items":{"type":"object","properties":{"price":{"type":"integer"}},"required":["price"]}},` +
			`"code":{"type":"string","pattern":"^[A-Z]+$"}},"required":["amount"],"additionalProperties":false}`)},
		{Name: "look", Description: "Looks."},
		{Name: "send", Description: "Sends."},
	}}
	if diff := cmp.Diff(want, ns); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for name, want := range map[string][2]bool{"order": {true, true}, "look": {false, true}, "send": {true, true}, "nope": {true, false}} {
		if sideEffect, known := set.SideEffect(name); sideEffect != want[0] || known != want[1] {
			t.Errorf("%s: side effect %v, known %v", name, sideEffect, known)
		}
	}
}

func TestOnlyAndJoin(t *testing.T) {
	set := parse(t, orders)
	some, err := set.Only("send", "order")
	if err != nil || some.Len() != 2 || some.Namespace().Functions[0].Name != "order" {
		t.Errorf("got %+v, %v", some, err)
	}
	if _, err := set.Only("odrer"); err == nil || err.Error() != `there is no function "odrer"; did you mean "order"?` {
		t.Errorf("got %v", err)
	}
	if all, err := set.Only(); err != nil || all.Len() != 3 {
		t.Errorf("got %v", err)
	}
	if _, err := functions.Join(set, some); err == nil || err.Error() != "function order is declared twice" {
		t.Errorf("got %v", err)
	}
	tool := open(t, some)
	if got := answer(t, tool, "look", "{}"); !strings.Contains(got, `failed: Error: there is no function "look"`) {
		t.Errorf("a function that was left out can be called: %s", got)
	}
}

// What the model is told of arguments that do not fit.
func TestArguments(t *testing.T) {
	tool := open(t, parse(t, orders))
	for _, c := range []struct{ name, args, want string }{
		{"order", `{ "zeta": "<&>", "amount": 2.50 }`, `{"zeta":"<&>","amount":2.50,"currency":"EUR"}`},
		{"order", `{"currency":"USD","amount":1e2}`, `{"currency":"USD","amount":1e2}`},
		{"look", "", `{}`},
		{"look", " ", `{}`},
		{"look", `{"x":1}`, `failed: Error: invalid arguments: unknown argument "x"`},
		{"order", `{"amount":"5"}`, `failed: Error: invalid arguments: amount: must be number, got string`},
		{"order", `{}`, `failed: Error: invalid arguments: missing argument "amount"`},
		{"order", `{"amount":1,"ammount":2}`, `failed: Error: invalid arguments: unknown argument "ammount" (did you mean "amount"?)`},
		{"order", `{"amount":0}`, `failed: Error: invalid arguments: amount: minimum: got 0, want 1`},
		{"order", `{"amount":1,"currency":"eur"}`, `failed: Error: invalid arguments: currency: must be one of "EUR", "USD", got "eur"`},
		{"order", `{"amount":1,"items":[{"price":1},{"price":"2"}]}`, `failed: Error: invalid arguments: items[1].price: must be integer, got string`},
		{"order", `{"amount":1,"items":[{}]}`, `failed: Error: invalid arguments: items[0]: missing property "price"`},
		{"order", `{"amount":null,"code":"a","x":1}`, `failed: Error: invalid arguments: amount: must be number, got null; code: 'a' does not match pattern '^[A-Z]+$'; unknown argument "x"`},
		{"order", `{"amount":1,"amount":2}`, `failed: Error: the arguments are not valid JSON: key "amount" is repeated`},
		{"order", `{"amount":1`, `failed: Error: the arguments are not valid JSON: ends too early`},
		{"order", `{"amount":1e999}`, `failed: Error: the arguments are not valid JSON: number 1e999 is out of range`},
		{"order", `[1]`, `failed: Error: the arguments must be a JSON object, got array`},
		{"order", `amount=1`, `failed: Error: the arguments are not valid JSON: invalid character 'a' looking for beginning of value (after character 0)`},
		{"oder", `{}`, `failed: Error: there is no function "oder"; did you mean "order"?`},
		{"nothing", `{}`, `failed: Error: there is no function "nothing"; there are ["order" "look" "send"]`},
		{"", `{}`, `failed: Error: there is no function ""; there are ["order" "look" "send"]`},
	} {
		if got := answer(t, tool, c.name, c.args); got != c.want {
			t.Errorf("%s(%s)\n got %s\nwant %s", c.name, c.args, got, c.want)
		}
	}
	if got := answer(t, tool, "order", `{"amount":1,`+manyKeys(20)+`}`); strings.Count(got, ";") != 5 || !strings.HasSuffix(got, "and 15 more") {
		t.Errorf("got %s", got)
	}
}

func manyKeys(n int) string {
	var keys []string
	for i := range n {
		keys = append(keys, fmt.Sprintf(`"k%d":1`, i))
	}
	return strings.Join(keys, ",")
}

// script writes a program.
func script(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestPlaceholders(t *testing.T) {
	dir := t.TempDir()
	script(t, dir, "show", `for a in "$@"; do echo "[$a]"; done`)
	set, err := functions.Parse("f", []byte(`
apiVersion: agent/v1
kind: Functions
functions:
- name: show
  description: Shows its arguments.
  parameters:
    type: object
    properties:
      s: {type: string, default: dflt}
      n: {type: number, default: 1.0}
      b: {type: [boolean, integer], default: true}
  command: [./show, "{{s}}", "--n={{ n }}", "{{n}}", "a {{s}} b {{b}}", "--", "{{s}}"]
`), dir)
	if err != nil {
		t.Fatal(err)
	}
	tool := open(t, set)
	for args, want := range map[string]string{
		`{}`:                                "[dflt] [--n=1.0] [1.0] [a dflt b true] [--] [dflt]",
		`{"s":"x y; rm -rf $HOME","n":-5}`:  "[x y; rm -rf $HOME] [--n=-5] [-5] [a x y; rm -rf $HOME b true] [--] [x y; rm -rf $HOME]",
		`{"s":"{{n}} $(id) * \"q\"","b":7}`: `[{{n}} $(id) * "q"] [--n=1.0] [1.0] [a {{n}} $(id) * "q" b 7] [--] [{{n}} $(id) * "q"]`,
		`{"s":""}`:                          "[] [--n=1.0] [1.0] [a  b true] [--] []",
		`{"s":"-rf"}`:                       `failed: Error: invalid arguments: s: must not begin with "-"`,
		`{"s":"--help"}`:                    `failed: Error: invalid arguments: s: must not begin with "-"`,
		`{"s":"a\u0000b"}`:                  `failed: Error: invalid arguments: s: must not contain the character U+0000`,
		`{"s":"` + strings.Repeat("x", 33<<10) + `"}`: `failed: Error: invalid arguments: s: longer than 32768 bytes`,
	} {
		if got := strings.ReplaceAll(answer(t, tool, "show", args), "\n", " "); got != want {
			t.Errorf("%.60s\n got %s\nwant %s", args, got, want)
		}
	}
}

// After "--" the developer has said that what follows is no option.
func TestDashAfterDoubleDash(t *testing.T) {
	tool := open(t, parse(t, `
apiVersion: agent/v1
kind: Functions
functions:
- name: show
  description: Shows.
  parameters: {type: object, properties: {s: {type: string}}, required: [s]}
  command: [printf, "%s", "--", "{{s}}"]
`))
	if got := answer(t, tool, "show", `{"s":"-rf"}`); got != "---rf" {
		t.Errorf("got %q", got)
	}
}

func TestCommand(t *testing.T) {
	t.Setenv("GIVEN", "given")
	t.Setenv("SECRET", "secret")
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
		t.Fatal(err)
	}
	script(t, dir, "env.sh", `env | grep -v -e ^PWD= -e ^_= -e ^SHLVL= -e ^PATH= -e ^HOME= -e ^TMPDIR= | sort; [ -n "$PATH" ] && : >"$HOME/x" && rm "$TMPDIR/x" && echo path`)
	script(t, dir, "fail.sh", `echo partly; echo "it broke" >&2; exit 3`)
	script(t, dir, "mute.sh", `exit 4`)
	script(t, dir, "loud.sh", `echo only output; exit 5`)
	script(t, dir, "lines.sh", `printf 'a\n\nb\n\n'`)
	script(t, dir, "warn.sh", `echo fine; echo careful >&2`)
	script(t, dir, "long.sh", `head -c 5000 /dev/zero | tr '\0' e >&2; echo end >&2; exit 1`)
	script(t, dir, "killed.sh", `kill -9 $$`)
	set, err := functions.Parse("f", []byte(`
apiVersion: agent/v1
kind: Functions
functions:
- {name: env, description: x, command: [./env.sh], env: [GIVEN, NOT_SET_ANYWHERE]}
- {name: here, description: x, command: [pwd]}
- {name: sub, description: x, command: [pwd], workdir: sub}
- {name: root, description: x, command: [pwd], workdir: /}
- {name: fail, description: x, command: [./fail.sh]}
- {name: mute, description: x, command: [./mute.sh]}
- {name: loud, description: x, command: [./loud.sh]}
- {name: lines, description: x, command: [./lines.sh]}
- {name: warn, description: x, command: [./warn.sh]}
- {name: long, description: x, command: [./long.sh]}
- {name: killed, description: x, command: [./killed.sh]}
- {name: capped, description: x, command: [./long.sh], output: 80}
- {name: slow, description: x, command: [sleep, "60"], timeout: 200ms}
`), dir)
	if err != nil {
		t.Fatal(err)
	}
	tool := open(t, set)
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"env":    "GIVEN=given\nLANG=C.UTF-8\npath",
		"here":   real,
		"sub":    filepath.Join(real, "sub"),
		"root":   "/",
		"fail":   "failed: Error: exit code 3: it broke",
		"mute":   "failed: Error: exit code 4",
		"loud":   "failed: Error: exit code 5: only output",
		"lines":  "a\n\nb",
		"warn":   "fine",
		"killed": "failed: Error: exit code 137",
		"slow":   "failed: Error: timed out after 200ms",
	} {
		if got := answer(t, tool, name, "{}"); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if got := answer(t, tool, "long", "{}"); !strings.HasPrefix(got, "failed: Error: exit code 1: eee") || !strings.HasSuffix(got, "eend") || !strings.Contains(got, "bytes left out") {
		t.Errorf("got %q", got)
	}
	if got := strings.TrimPrefix(answer(t, tool, "capped", "{}"), "failed: "); len(got) > 80 || !strings.HasPrefix(got, "Error: exit code 1: ee") {
		t.Errorf("got %q", got)
	}
}

// A program that keeps all processors busy ends at its time limit, not before.
func TestCommandMayUseAllProcessors(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("resource limits are set on Linux only")
	}
	tool := open(t, parse(t, "apiVersion: agent/v1\nkind: Functions\nfunctions:\n"+
		"- {name: limit, description: x, command: [sh, -c, 'sleep 0.3; ulimit -t'], timeout: 5s}\n"))
	if got, want := answer(t, tool, "limit", "{}"), strconv.Itoa(5*runtime.NumCPU()+1); got != want {
		t.Errorf("%s seconds, want %s", got, want)
	}
}

func TestMissingProgramIsToldWhenOpened(t *testing.T) {
	for _, program := range []string{"no-such-program-anywhere", "./no-such-file", "/no/such/file"} {
		_, err := parse(t, `{apiVersion: agent/v1, kind: Functions, functions: [{name: f, description: x, command: [`+program+`]}]}`).Open()
		if err == nil || !strings.Contains(err.Error(), "function f: command: ") {
			t.Errorf("%s: got %v", program, err)
		}
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	script(t, dir, "f.sh", "echo from the folder")
	file := filepath.Join(dir, "f.yaml")
	if err := os.WriteFile(file, []byte("apiVersion: agent/v1\nkind: Functions\nfunctions: [{name: f, description: x, command: [./f.sh]}]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	for _, name := range []string{file, "f.yaml", "./f.yaml"} {
		set, err := functions.Load(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := answer(t, open(t, set), "f", ""); got != "from the folder" {
			t.Errorf("%s: got %q", name, got)
		}
	}
	if _, err := functions.Load(filepath.Join(dir, "none.yaml")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

type inner struct {
	Price float64 `json:"price" doc:"in <euros>"`
}

type everything struct {
	Text   string            `json:"text" doc:"Some text"`
	Mode   string            `json:"mode,omitempty" enum:"fast,slow"`
	Count  int               `json:"count"`
	Small  uint8             `json:"small,omitempty"`
	Flag   *bool             `json:"flag"`
	List   []inner           `json:"list,omitempty"`
	Map    map[string]string `json:"map,omitempty"`
	Hidden string            `json:"-"`
	Plain  int64             `json:",omitempty"`
}

func TestInferredSchema(t *testing.T) {
	f := functions.Func("f", "d", func(context.Context, everything) (string, error) { return "", nil })
	set, err := functions.New(f)
	if err != nil {
		t.Fatal(err)
	}
	got := string(set.Namespace().Functions[0].Parameters)
	want := `{"type":"object","properties":{"text":{"type":"string","description":"Some text"},` +
		`"mode":{"type":"string","enum":["fast","slow"]},"count":{"type":"integer"},"small":{"type":"integer","minimum":0,"maximum":255},` +
		`"flag":{"type":"boolean"},"list":{"type":"array","items":{"type":"object","properties":{"price":{"type":"number","description":"in <euros>"}},` +
		`"required":["price"],"additionalProperties":false}},"map":{"type":"object","additionalProperties":{"type":"string"}},"Plain":{"type":"integer"}},` +
		`"required":["text","count"],"additionalProperties":false}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestGoFunctions(t *testing.T) {
	set, err := functions.New(
		functions.Func("sum", "Sums.", func(_ context.Context, in struct {
			Numbers []float64 `json:"numbers"`
		}) (map[string]any, error) {
			total := 0.0
			for _, n := range in.Numbers {
				total += n
			}
			return map[string]any{"sum": total, "unit": "<m>"}, nil
		}).ReadOnly(),
		functions.Func("fail", "Fails.", func(context.Context, struct{}) (string, error) { return "", errors.New("no luck") }),
		functions.Func("bug", "Panics.", func(context.Context, struct{}) (string, error) { panic("oh") }),
		functions.Func("int", "Takes an int.", func(_ context.Context, in struct {
			N int `json:"n"`
		}) (int, error) {
			return in.N, nil
		}),
		functions.Func("deaf", "Does not listen.", func(context.Context, struct{}) (string, error) { time.Sleep(2 * time.Second); return "", nil }),
	)
	if err != nil {
		t.Fatal(err)
	}
	if sideEffect, _ := set.SideEffect("sum"); sideEffect {
		t.Error("a read-only function has side effects")
	}
	if sideEffect, _ := set.SideEffect("fail"); !sideEffect {
		t.Error("a function has no side effects by default")
	}
	tool := open(t, set)
	for _, c := range []struct{ name, args, want string }{
		{"sum", `{"numbers":[1,2.5]}`, `{"sum":3.5,"unit":"<m>"}`},
		{"sum", `{"Numbers":[1]}`, `failed: Error: invalid arguments: missing argument "numbers"; unknown argument "Numbers" (did you mean "numbers"?)`},
		{"fail", `{}`, "failed: Error: no luck"},
		{"int", `{"n":7}`, "7"},
		{"int", `{"n":7.0}`, "failed: Error: invalid arguments: n: cannot take number 7.0 as int"},
	} {
		if got := answer(t, tool, c.name, c.args); got != c.want {
			t.Errorf("%s(%s)\n got %s\nwant %s", c.name, c.args, got, c.want)
		}
	}
	bug := call("bug", "{}")
	bug.Limits = limits
	if r, err := tool.Call(t.Context(), bug); err == nil || !strings.Contains(err.Error(), "functions.bug: panic: oh") {
		t.Errorf("got %+v, %v; a bug is not the model's to mend", r, err)
	}
	deaf := call("deaf", "{}")
	deaf.Limits = limits
	deaf.Limits.Time = 50 * time.Millisecond
	start := time.Now()
	if r, err := tool.Call(t.Context(), deaf); err != nil || r.Text != "Error: timed out after 50ms" || time.Since(start) > time.Second {
		t.Errorf("got %+v, %v after %v", r, err, time.Since(start))
	}
}

type loop struct {
	Next *loop `json:"next"`
}

func TestNewRefuses(t *testing.T) {
	ok := func(name string) functions.Function {
		return functions.Func(name, "d", func(context.Context, struct{}) (string, error) { return "", nil })
	}
	for want, fs := range map[string][]functions.Function{
		"function a is declared twice": {ok("a"), ok("a")},
		`function "a.b": the name must be 1 to 64 letters, digits or _ - and begin with a letter or _`: {ok("a.b")},
		"function f: arguments come in a struct, not in string":                                        {functions.Func("f", "d", func(context.Context, string) (string, error) { return "", nil })},
		"function f: functions_test.loop.Next: functions_test.loop contains itself":                    {functions.Func("f", "d", func(context.Context, loop) (string, error) { return "", nil })},
		"function f: struct { C chan int }.C: chan int cannot be an argument":                          {functions.Func("f", "d", func(context.Context, struct{ C chan int }) (string, error) { return "", nil })},
		"function f: struct { B []uint8 }.B: []uint8 cannot be an argument; use string":                {functions.Func("f", "d", func(context.Context, struct{ B []byte }) (string, error) { return "", nil })},
		"function f: struct { M map[int]string }.M: map[int]string: a map needs string keys":           {functions.Func("f", "d", func(context.Context, struct{ M map[int]string }) (string, error) { return "", nil })},
		"function f: struct { functions_test.inner }: embedded fields cannot be arguments":             {functions.Func("f", "d", func(context.Context, struct{ inner }) (string, error) { return "", nil })},
	} {
		if _, err := functions.New(fs...); err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

// The example of docs/functions.md is real.
func TestDocs(t *testing.T) {
	doc, err := os.ReadFile("../../docs/functions.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(doc), "```yaml\n")
	block, _, _ := strings.Cut(rest, "```")
	if !found {
		t.Fatal("no example")
	}
	dir := t.TempDir()
	script(t, dir, "erp.py", `echo "$@"`)
	set, err := functions.Parse("docs/functions.md", []byte(block), dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := answer(t, open(t, set), "lookup_invoice", `{"number":"123456"}`); got != "lookup --currency=EUR -- 123456" {
		t.Errorf("got %q", got)
	}
}

// A command that says that its failure may pass (EX_TEMPFAIL) is tried again,
// with the same key.
func TestCommandRetries(t *testing.T) {
	dir := t.TempDir()
	set, err := functions.Parse("f.yaml", []byte(`
apiVersion: agent/v1
kind: Functions
functions:
- name: book
  description: Books.
  retries: 2
  idempotency: BOOKING_KEY
  write: [.]
  command: [sh, -c, 'echo "$BOOKING_KEY" >>keys; [ "$(wc -l <keys)" -ge 3 ] || exit 75']
- {name: give-up, description: Fails., retries: 2, sideEffect: false, write: [.], command: [sh, -c, 'echo x >>tries; exit 1']}
`), dir)
	if err != nil {
		t.Fatal(err)
	}
	tool := open(t, set)
	if r := try(t, tool, "book", in{}); r.Failed {
		t.Errorf("got %+v", r)
	}
	keys, err := os.ReadFile(filepath.Join(dir, "keys"))
	if lines := strings.Fields(string(keys)); err != nil || len(lines) != 3 || lines[0] != lines[1] || lines[1] != lines[2] {
		t.Errorf("the keys were %q, %v", keys, err)
	}
	try(t, tool, "give-up", in{})
	if tries, err := os.ReadFile(filepath.Join(dir, "tries")); err != nil || string(tries) != "x\n" {
		t.Errorf("%q, %v", tries, err)
	}
}

// A command finds its own folder, what the file grants, and no network.
func TestCommandIsConfined(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("commands are confined on Linux only")
	}
	files := !slices.ContainsFunc(confine.Missing(), func(s string) bool { return strings.Contains(s, "Landlock") })
	dir, other := t.TempDir(), t.TempDir()
	for _, d := range []string{dir, other} {
		if err := os.WriteFile(filepath.Join(d, "note"), []byte("words"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	srv := newService(t)
	set, err := functions.Parse("f.yaml", []byte(strings.NewReplacer("OTHER", other, "URL", strings.ReplaceAll(strings.TrimPrefix(srv.URL, "http://"), ":", "/")).Replace(`
apiVersion: agent/v1
kind: Functions
functions:
- {name: own, description: x, command: [cat, note]}
- {name: other, description: x, command: [cat, OTHER/note]}
- {name: granted, description: x, command: [cat, OTHER/note], read: [OTHER]}
- {name: change, description: x, command: [sh, -c, 'echo x >note']}
- {name: changeable, description: x, command: [sh, -c, 'echo x >new && cat new'], write: [.]}
- {name: call, description: x, command: [bash, -c, 'exec 3<>/dev/tcp/URL && echo connected']}
- {name: connect, description: x, command: [bash, -c, 'exec 3<>/dev/tcp/URL && echo connected'], network: true}
`)), dir)
	if err != nil {
		t.Fatal(err)
	}
	tool := open(t, set)
	for name, want := range map[string]string{"own": "words", "other": "ermission denied", "granted": "words", "change": "ermission denied", "changeable": "x", "call": "ermission denied", "connect": "connected"} {
		if !files && (name == "other" || name == "change") {
			continue // this kernel cannot
		}
		if r := try(t, tool, name, in{}); !strings.Contains(r.Text, want) || r.Failed != strings.Contains(want, "denied") {
			t.Errorf("%s: %+v, want %q", name, r, want)
		}
	}
}
