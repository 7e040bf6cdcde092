package runtime

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"chorale/configs"
	"chorale/internal/strictyaml"
)

const head = "apiVersion: agent/v1\nkind: Task\nname: t\n"

// TestMistakes: every mistake is an error that names the place and helps.
func TestMistakes(t *testing.T) {
	for name, tc := range map[string]struct{ src, want string }{
		"unknown key":        {head + "promt: hi\n", `task.yaml:4:1: unknown key "promt"; did you mean "prompt"?`},
		"unknown nested key": {head + "prompt: hi\nlimits: {turn: 3}\n", `did you mean "turns"?`},
		"future version":     {"apiVersion: agent/v2\nkind: Task\nname: t\nprompt: hi\n", "must be agent/v1"},
		"other kind":         {"apiVersion: agent/v1\nkind: Policy\nname: t\n", "must be Task"},
		"no name":            {"apiVersion: agent/v1\nkind: Task\nprompt: hi\n", `missing key "name"`},
		"bad name":           {"apiVersion: agent/v1\nkind: Task\nname: Über\nprompt: hi\n", "task.yaml:3:7"},
		"no prompt":          {head, "give prompt or promptFile"},
		"two prompts":        {head + "prompt: hi\npromptFile: p.md\n", "keep one"},
		"escape":             {head + "promptFile: ../secret\n", "inside its folder"},
		"absolute":           {head + "prompt: hi\noutput: {file: /etc/passwd}\n", "inside its folder"},
		"policy escape":      {head + "prompt: hi\npolicies: [a.yaml, ../b.yaml]\n", "inside its folder"},
		"function escape":    {head + "prompt: hi\ntools: {functions: [{ref: ../f.yaml}]}\n", "inside its folder"},
		"null tool":          {head + "prompt: hi\ntools:\n  python:\n", "has no value"},
		"unknown tool":       {head + "prompt: hi\ntools: {phyton: {}}\n", `did you mean "python"?`},
		"browser of nothing": {head + "prompt: hi\ntools: {browser: {}}\n", "names no host"},
		"clicks as sent":     {head + "prompt: hi\ntools: {browser: {allow: [a.example], functions: [page_click]}}\n", "functions: needs a browser with scripts: set javascript: true"},
		"bad profile":        {head + "prompt: hi\ntools: {browser: {allow: [a.example], javascript: true, profile: ../x}}\n", `"../x" must be 1 to 32 of a-z`},
		"unknown provider":   {head + "prompt: hi\ntools: {browser: {allow: [a.example], search: {provider: bing}}}\n", "provider"},
		"folder outside":     {head + "prompt: hi\ntools: {browser: {search: {folder: ../x}}}\n", "folder"},
		"two providers":      {head + "prompt: hi\ntools: {browser: {search: {folder: x, address: 'https://x.example'}}}\n", "keep one of them"},
		"folder for brave":   {head + "prompt: hi\ntools: {browser: {search: {folder: x, provider: brave}}}\n", "is for index, and the provider is brave"},
		"base of nothing":    {head + "prompt: hi\ntools: {browser: {allow: [a.example], search: {base: 'https://x.example'}}}\n", "no folder is given"},
		"empty allow":        {head + "prompt: hi\ntools: {browser: {allow: []}}\n", "task.yaml:5:26"},
		"odd downloads":      {head + "prompt: hi\ntools: {browser: {allow: [a.example], downloads: some}}\n", "must be a size such as 512Mi"},
		"negative pages":     {head + "prompt: hi\ntools: {browser: {allow: [a.example], maxPages: -1}}\n", "must be positive"},
		"effort":             {head + "prompt: hi\nmodel: {effort: hihg}\n", `did you mean "high"?`},
		"temperature":        {head + "prompt: hi\nmodel: {temperature: -1}\n", "task.yaml:5:22"},
		"approvals":          {head + "prompt: hi\napprovals: {mode: never}\n", "not one of ask, deny"},
		"negative limit":     {head + "prompt: hi\nlimits: {turns: -1}\n", "must be positive"},
		"duration":           {head + "prompt: hi\nlimits: {wallTime: 5 minutes}\n", "must be a duration"},
		"empty check":        {head + "prompt: hi\nchecks: [{file: a}]\n", "exactly one of"},
		"two checks in one":  {head + "prompt: hi\nchecks: [{contains: a, equals: b}]\n", "exactly one of"},
		"check pattern":      {head + "prompt: hi\nchecks: [{matches: '('}]\n", "missing closing"},
		"python runtime":     {head + "prompt: hi\ntools: {python: {runtime: foo}}\n", `task.yaml:5:27: tools.python.runtime: "foo" is not one of auto, full, basic`},
		"input name":         {head + "prompt: hi\ninputs: {a b: {default: x}}\n", `inputs: "a b" is no name`},
		"input type":         {head + "prompt: hi\ninputs: {n: {type: int}}\n", "not one of string, integer"},
		"input default":      {head + "prompt: hi\ninputs: {n: {type: integer, default: x}}\n", "not of type integer"},
		"placeholder":        {head + "prompt: 'hi {{m}}'\ninputs: {n: {default: x}}\n", "{{m}} is not among the inputs"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(filepath.Join(t.TempDir(), "task.yaml"), []byte(tc.src))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got error %v\nwant one that says %q", err, tc.want)
			}
		})
	}
}

func TestInputs(t *testing.T) {
	src := head + `prompt: "{{a}} and {{ b }}, {{a}}"
inputs:
  a: {type: integer, default: 7}
  b: {pattern: "[a-z{}]+"}
`
	for name, tc := range map[string]struct {
		set       map[string]string
		want, err string
	}{
		"set":          {set: map[string]string{"b": "x"}, want: "7 and x, 7"},
		"override":     {set: map[string]string{"a": "12", "b": "x"}, want: "12 and x, 12"},
		"not twice":    {set: map[string]string{"b": "{{a}}"}, want: "7 and {{a}}, 7"},
		"missing":      {err: "--set b=VALUE"},
		"undeclared":   {set: map[string]string{"b": "x", "c": "y"}, err: "no input c: the task declares a, b"},
		"wrong type":   {set: map[string]string{"a": "1.5", "b": "x"}, err: `"1.5" is not of type integer`},
		"wrong form":   {set: map[string]string{"b": "X"}, err: "does not match"},
		"part matches": {set: map[string]string{"b": "xX"}, err: "does not match"},
	} {
		t.Run(name, func(t *testing.T) {
			job, err := Parse("task.yaml", []byte(src))
			if err != nil {
				t.Fatal(err)
			}
			err = job.Set(tc.set)
			switch {
			case tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)):
				t.Errorf("got error %v, want one that says %q", err, tc.err)
			case tc.err == "" && err != nil:
				t.Error(err)
			case tc.err == "" && job.Task.Prompt != tc.want:
				t.Errorf("prompt is %q, want %q", job.Task.Prompt, tc.want)
			}
		})
	}
}

// TestTextIsUTF8: of a file and of an input too, as of the task itself.
func TestTextIsUTF8(t *testing.T) {
	path := filepath.Join(t.TempDir(), "task.yaml")
	if err := os.WriteFile(filepath.Join(filepath.Dir(path), "p.md"), []byte("Gr\xfc\xdfe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, src := range []string{"promptFile: p.md\n", "prompt: Hi\ndeveloper: {file: p.md}\n"} {
		if _, err := Parse(path, []byte(head+src)); err == nil || !strings.Contains(err.Error(), "p.md is not UTF-8 text") {
			t.Errorf("%s: %v", src, err)
		}
	}
	job, err := Parse(path, []byte(head+"prompt: '{{a}}'\ninputs: {a: {}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if err := job.Set(map[string]string{"a": "Gr\xfc"}); err == nil || !strings.Contains(err.Error(), `input a: "Gr\xfc" is not UTF-8 text`) {
		t.Errorf("an input: %v", err)
	}
}

// TestLinksStayInside: a link in the task's folder is no way out of it.
func TestLinksStayInside(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("s"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(secret, filepath.Join(dir, "link")); err != nil {
		t.Skip("no symbolic links here:", err)
	}
	if _, err := Parse(filepath.Join(dir, "task.yaml"), []byte(head+"promptFile: link\n")); err == nil {
		t.Error("a prompt was read through a link that leads out of the task's folder")
	}
	job, err := Parse(filepath.Join(dir, "task.yaml"), []byte(head+"prompt: hi\noutput: {file: link}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if err := job.writeFile("link", "overwritten"); err == nil {
		t.Error("an answer was written through a link that leads out of the task's folder")
	}
}

// TestCheckOutput: nothing is made or changed by asking, and no file of the task is a
// place for the answer.
func TestCheckOutput(t *testing.T) {
	for file, want := range map[string]string{
		"": "", "new": "", "a/b/new": "", "p.md": "p.md is a file of the task", "task.yaml": "task.yaml is a file of the task",
		"p.md/x": "not a directory", "folder": "is a folder", "folder/x": "",
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, "task.yaml")
		src := head + "promptFile: p.md\n"
		if file != "" {
			src += "output: {file: " + file + "}\n"
		}
		for name, text := range map[string]string{path: src, filepath.Join(dir, "p.md"): "Hi"} {
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Mkdir(filepath.Join(dir, "folder"), 0o700); err != nil {
			t.Fatal(err)
		}
		job, err := Read(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := job.CheckOutput(); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", file, err, want)
		}
		if left, err := os.ReadDir(dir); len(left) != 3 || err != nil {
			t.Errorf("%s: there are %v, %v", file, left, err)
		}
	}
}

// TestDefaultsAreFinite: no limit of a task is ever missing.
func TestDefaultsAreFinite(t *testing.T) {
	job, err := Parse("task.yaml", []byte(head+"prompt: hi\ntools: {python: {}, browser: {allow: [a.example]}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	l := job.Task.Limits
	if l.Turns <= 0 || l.ToolCalls <= 0 || l.Tokens <= 0 || l.WallTime <= 0 || l.RepeatDenied <= 0 {
		t.Errorf("limits %+v", l)
	}
	if b := job.Task.Tools.Browser; b.MaxPages <= 0 || b.JavaScript || b.Downloads != 0 {
		t.Errorf("browser %+v", b)
	}
	if p := job.Task.Tools.Python; p.Timeout <= 0 || p.Memory <= 0 {
		t.Errorf("python %+v", p)
	}
}

// TestSchemaHasTheStructsKeys holds the JSON Schema against the struct that the
// decoder fills: the same keys at every level, and the same ones required.
func TestSchemaHasTheStructsKeys(t *testing.T) {
	var schema map[string]any
	if err := json.Unmarshal(configs.TaskSchema, &schema); err != nil {
		t.Fatal(err)
	}
	props := schema["properties"].(map[string]any)
	delete(props, "apiVersion")
	delete(props, "kind")
	compareKeys(t, "task", schema, reflect.TypeFor[Task]())
}

func compareKeys(t *testing.T, path string, schema map[string]any, typ reflect.Type) {
	t.Helper()
	for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice || typ.Kind() == reflect.Map {
		if typ.Kind() == reflect.Slice {
			schema = schema["items"].(map[string]any)
		}
		if typ.Kind() == reflect.Map {
			schema = schema["additionalProperties"].(map[string]any)
		}
		typ = typ.Elem()
	}
	if typ.Kind() != reflect.Struct || reflect.PointerTo(typ).Implements(reflect.TypeFor[strictyaml.NodeDecoder]()) {
		return
	}
	props, _ := schema["properties"].(map[string]any)
	var keys []string
	for i := range typ.NumField() {
		name, option, _ := strings.Cut(typ.Field(i).Tag.Get("yaml"), ",")
		keys = append(keys, name)
		sub, ok := props[name].(map[string]any)
		if !ok {
			t.Errorf("the schema lacks %s.%s", path, name)
			continue
		}
		required, _ := schema["required"].([]any)
		if option == "required" && !slices.Contains(required, any(name)) {
			t.Errorf("the schema does not require %s.%s", path, name)
		}
		compareKeys(t, path+"."+name, sub, typ.Field(i).Type)
	}
	for name := range props {
		if !slices.Contains(keys, name) {
			t.Errorf("the schema has %s.%s, which the decoder does not know", path, name)
		}
	}
}

// TestExamplesFitSchema reads every task file that the project ships, by the
// decoder and by the schema.
func TestExamplesFitSchema(t *testing.T) {
	paths, err := filepath.Glob("../examples/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	paths = append(paths, "../configs/task.example.yaml")
	schema := compile(t)
	for _, path := range paths {
		if strings.HasSuffix(path, ".lock.yaml") {
			continue // pins of MCP declarations, which the tasks beside them name
		}
		t.Run(filepath.Base(path), func(t *testing.T) {
			if _, err := Read(path); err != nil {
				t.Error(err)
			}
			src, err := strictyaml.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			asJSON, err := yaml.YAMLToJSON(src)
			if err != nil {
				t.Fatal(err)
			}
			doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
			if err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(doc); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestDocs: the example in docs/task.md is a task file.
func TestDocs(t *testing.T) {
	doc, err := os.ReadFile("../docs/task.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(doc), "```yaml\n")
	src, _, ok := strings.Cut(rest, "```")
	if !ok {
		t.Fatal("docs/task.md has no example")
	}
	job, err := Parse("task.md", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	l := job.Task.Limits
	if l.Turns != DefaultTurns || l.ToolCalls != DefaultToolCalls || l.Tokens != DefaultTokens || l.WallTime != DefaultWallTime || l.RepeatDenied != DefaultRepeatDenied {
		t.Errorf("docs/task.md calls these the default limits: %+v", l)
	}
}

// TestSchemaRefuses: what the decoder refuses, an editor refuses too.
func TestSchemaRefuses(t *testing.T) {
	schema := compile(t)
	for _, bad := range []string{
		`{"apiVersion":"agent/v1","kind":"Task","name":"t"}`,
		`{"apiVersion":"agent/v1","kind":"Task","name":"t","prompt":"a","promptFile":"b"}`,
		`{"apiVersion":"agent/v1","kind":"Task","name":"t","prompt":"a","promt":"b"}`,
		`{"apiVersion":"agent/v1","kind":"Task","name":"t","promptFile":"../b"}`,
		`{"apiVersion":"agent/v1","kind":"Task","name":"t","prompt":"a","checks":[{"contains":"a","equals":"b"}]}`,
		`{"apiVersion":"agent/v1","kind":"Task","name":"t","prompt":"a","tools":{"browser":{}}}`,
		`{"apiVersion":"agent/v1","kind":"Task","name":"t","prompt":"a","tools":{"browser":{"allow":[]}}}`,
		`{"apiVersion":"agent/v1","kind":"Task","name":"t","prompt":"a","tools":{"browser":{"allow":["a.example"],"downloads":"some"}}}`,
	} {
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(bad))
		if err != nil {
			t.Fatal(err)
		}
		if schema.Validate(doc) == nil {
			t.Errorf("the schema accepts %s", bad)
		}
	}
}

func compile(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(configs.TaskSchema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("task.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("task.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}
