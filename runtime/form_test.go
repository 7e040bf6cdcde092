package runtime

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"chorale/agent"
	"chorale/harmony"
	"chorale/harmony/constrain"
)

const formed = head + `prompt: Go.
output:
  schema: {type: object, properties: {total: {type: integer, minimum: 1}}, required: [total], additionalProperties: false}
`

func answers(texts ...string) (out []string) {
	for _, text := range texts {
		out = append(out, "<|channel|>final<|message|>"+text+"<|return|>")
	}
	return out
}

// TestForm: an answer must have the form that the task asks for. The model is
// asked again, twice, and told no word of its own.
func TestForm(t *testing.T) {
	const good, wrong = `{"total": 3}`, `{"total": 0}`
	for name, tc := range map[string]struct {
		says      []string
		status    agent.Status
		malformed int
		reason    string
	}{
		"right at once":   {answers(good), agent.Done, 0, ""},
		"blanks around":   {answers(" " + good + "\n"), agent.Done, 0, ""},
		"third time":      {answers("Three.", wrong, good), agent.Done, 2, ""},
		"never":           {answers("Three.", `{"total":3} or so`, wrong), agent.NoAnswer, 3, "at '/total': minimum"},
		"a key twice":     {answers(`{"total":3,"total":4}`, "", good), agent.Done, 2, ""},
		"at last garbage": {answers(wrong, wrong, "```json"), agent.NoAnswer, 3, "has not the form"},
	} {
		t.Run(name, func(t *testing.T) {
			m := &speaker{enc: harmony.O200kHarmony(), says: tc.says}
			s, _ := session(t, strings.Replace(formed, "prompt", "model: {constrain: off}\nprompt", 1), m)
			res, err := s.Run(t.Context())
			if err != nil || res.Status != tc.status || res.Used.Malformed != tc.malformed || !strings.Contains(res.Reason, tc.reason) {
				t.Fatalf("got %+v, %v", res, err)
			}
			if value := string(res.Value); tc.status == agent.Done && value != good || tc.status != agent.Done && value != "" {
				t.Errorf("value %q", value)
			}
			var stored struct{ Value struct{ Total int } }
			readJSON(t, filepath.Join(res.Dir, "result.json"), &stored)
			if tc.status == agent.Done && stored.Value.Total != 3 {
				t.Errorf("result.json holds %+v", stored)
			}
			prompt, _ := m.enc.Decode(m.all)
			if !strings.Contains(prompt, "<|start|>developer<|message|># Response Formats\n\n## t\n\n{\"type\":\"object\",") {
				t.Errorf("the model was not told of the form: %s", prompt)
			}
			if got := strings.Count(prompt, "does not have the form"); got != min(tc.malformed, 2) && name != "a key twice" {
				t.Errorf("the model was told %d times that its answer was wrong", got)
			}
		})
	}
}

// TestFormFile: the schema can be a file, which the lock then holds.
func TestFormFile(t *testing.T) {
	dir := t.TempDir()
	schema := "{\n  \"type\": \"object\",\n  \"properties\": {\"b\": {\"type\": \"string\"}, \"a\": {}}\n}\n"
	if err := os.WriteFile(filepath.Join(dir, "form.json"), []byte(schema), 0o600); err != nil {
		t.Fatal(err)
	}
	job, err := Parse(filepath.Join(dir, "task.yaml"), []byte(head+"prompt: Go.\noutput: {schema: form.json}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(job.form.schema), `{"type":"object","properties":{"b":{"type":"string"},"a":{}}}`; got != want {
		t.Errorf("schema %s, want %s", got, want)
	}
	if len(job.Files) != 2 || job.Files[1].Path != "form.json" {
		t.Errorf("files %+v", job.Files)
	}
	f := folder{path: dir}
	if err := f.writeLock(Lock{Task: job.Task}); err != nil {
		t.Fatal(err)
	}
	lock, err := os.ReadFile(filepath.Join(dir, "task.lock.yaml"))
	if err != nil || !strings.Contains(string(lock), `"b"`) && !strings.Contains(string(lock), "b:") {
		t.Errorf("the lock holds no schema: %s, %v", lock, err)
	}
}

// TestFormMistakes: a schema that the model cannot be held to is refused when
// the task is read, unless the answer is checked afterwards.
func TestFormMistakes(t *testing.T) {
	const unique = "{type: object, properties: {tags: {type: array, not: {uniqueItems: true}}}}"
	for name, tc := range map[string]struct{ src, want string }{
		"unenforceable":   {"output: {schema: " + unique + "}", "output.schema: schema #/properties/tags/not: uniqueItems"},
		"says what to do": {"output: {schema: " + unique + "}", "validate: after"},
		"no file":         {"output: {schema: form.json}", "form.json"},
		"outside":         {"output: {schema: ../form.json}", "inside its folder"},
		"a list":          {"output: {schema: [a]}", "must be a JSON Schema or the name of its file"},
		"no schema":       {"output: {schema: {type: objekt}}", "output.schema"},
		"wrong reference": {"output: {schema: {$ref: 'file:///etc/passwd'}}", "only references within"},
		"validate when":   {"output: {schema: {}, validate: before}", "not one of after"},
		"validate what":   {"output: {validate: after}", "there is no schema"},
		"constrain":       {"model: {constrain: on}", "not one of auto, off"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse(filepath.Join(t.TempDir(), "task.yaml"), []byte(head+"prompt: Go.\n"+tc.src+"\n"))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got error %v\nwant one that says %q", err, tc.want)
			}
		})
	}
	for _, src := range []string{"output: {schema: " + unique + ", validate: after}", "model: {constrain: off}\noutput: {schema: " + unique + "}"} {
		if _, err := Parse("task.yaml", []byte(head+"prompt: Go.\n"+src+"\n")); err != nil {
			t.Errorf("%s: %v", src, err)
		}
	}
}

// TestConstrained: with a vocabulary, the run's model is held to the grammar of
// its own conversation, and the trace counts what was forced.
func TestConstrained(t *testing.T) {
	enc := harmony.O200kHarmony()
	v, err := constrain.NewVocabulary(enc)
	if err != nil {
		t.Fatal(err)
	}
	run := func(src string, says ...string) Result {
		s, _ := session(t, src, &speaker{enc: enc, says: says})
		s.Vocabulary = v
		res, _ := s.Run(t.Context())
		return res
	}
	good := answers(`{"total": 3}`)
	if res := run(formed, callPython, good[0]); res.Status != agent.Done || res.Used.Forced == 0 || res.Used.ToolCalls != 1 {
		t.Errorf("a legal run: %+v", res)
	} else {
		forced := 0
		for _, r := range readTrace(t, filepath.Join(res.Dir, "trace.jsonl")) {
			forced += r.Forced
		}
		if forced != res.Used.Forced {
			t.Errorf("the trace counts %d forced tokens, the result %d", forced, res.Used.Forced)
		}
	}
	for name, says := range map[string]string{
		"another form":  answers("Three.")[0],
		"no such tool":  "<|channel|>commentary to=functions.get <|constrain|>json<|message|>{}<|call|>",
		"no such place": "<|channel|>comment<|message|>Well.<|end|>",
	} {
		if res := run(formed, says); res.Status != agent.ModelBroke || !strings.Contains(res.Reason, "not allowed here") {
			t.Errorf("%s: %+v", name, res)
		}
	}
	off := strings.Replace(formed, "prompt", "model: {constrain: off}\nprompt", 1)
	if res := run(off, answers("Three.")[0], good[0]); res.Status != agent.Done || res.Used.Malformed != 1 {
		t.Errorf("unconstrained: %+v", res)
	}
}

// TestConstrainedCut: a budget that ends in the middle of a constrained message
// is a spent budget.
func TestConstrainedCut(t *testing.T) {
	enc := harmony.O200kHarmony()
	v, err := constrain.NewVocabulary(enc)
	if err != nil {
		t.Fatal(err)
	}
	for tokens := 1; tokens < 9; tokens++ {
		s, _ := session(t, formed, &speaker{enc: enc, says: answers(`{"total": 31415}`)})
		s.Vocabulary, s.Job.Task.Limits.Tokens = v, tokens
		if res, err := s.Run(t.Context()); err != nil || res.Status != agent.Exhausted || res.Used.Tokens != tokens || res.Value != nil {
			t.Errorf("%d tokens: %+v, %v", tokens, res, err)
		}
	}
}
