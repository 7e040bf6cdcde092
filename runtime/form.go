package runtime

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"chorale/harmony"
	"chorale/harmony/constrain"
	"chorale/internal/strictjson"
)

// form is the form that a task wants its answer in.
type form struct {
	schema    json.RawMessage // compact
	validator *jsonschema.Schema
}

const formURL = "schema:output"

// readForm reads the schema of the task's answer, if there is one, and refuses
// what the model cannot be held to, unless the answer is checked afterwards.
func (j *Job) readForm() error {
	o := &j.Task.Output
	if o.Schema == nil {
		return nil
	}
	if o.Schema.File != "" {
		src, err := j.ReadFile(o.Schema.File)
		if err != nil {
			return err
		}
		o.Schema.JSON = src
	}
	f, err := newForm(o.Schema.JSON)
	if err != nil {
		return err
	}
	o.Schema.JSON, j.form = f.schema, f
	if o.Validate == ValidateAfter || j.Task.Model.Constrain == ConstrainOff {
		return nil
	}
	return f.enforceable()
}

func newForm(schema []byte) (*form, error) {
	v, err := strictjson.Parse(string(schema))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	c.UseLoader(noLoader{})
	if err := c.AddResource(formURL, v); err != nil {
		return nil, err
	}
	f := &form{}
	if f.validator, err = c.Compile(formURL); err != nil {
		return nil, plain(err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, schema); err != nil {
		return nil, err
	}
	f.schema = compact.Bytes()
	return f, nil
}

// noLoader refuses references out of the schema: reading one would let it read
// other files.
type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("$ref to %s: only references within the schema are possible", url)
}

// standard is a vocabulary to compile a schema with before a model is open.
var standard = sync.OnceValues(func() (*constrain.Vocabulary, error) {
	return constrain.NewVocabulary(harmony.O200kHarmony())
})

// enforceable refuses a schema that no mask can hold.
func (f *form) enforceable() error {
	v, err := standard()
	if err != nil {
		return err
	}
	_, err = v.Compile(f.schema, constrain.Options{})
	var unsupported *constrain.UnsupportedError
	if errors.As(err, &unsupported) {
		return fmt.Errorf("%w; with validate: after it is checked once the answer is there", err)
	}
	return err
}

// Unenforced lists what of the schemas of tools, and of the answer, the model
// cannot be held to while it writes. It is checked once the text is there.
func (j *Job) Unenforced(declared []harmony.Namespace) ([]constrain.Unenforced, error) {
	if j.Task.Model.Constrain == ConstrainOff || len(declared) == 0 && j.form == nil {
		return nil, nil
	}
	v, err := standard()
	if err != nil {
		return nil, err
	}
	c := constrain.Conversation{Tools: declared}
	if j.form != nil {
		c.Answer, c.LenientAnswer = j.form.schema, j.Task.Output.Validate == ValidateAfter
	}
	g, err := v.Harmony(c)
	if err != nil {
		return nil, err
	}
	return g.Unenforced(), nil
}

// read takes an answer that is JSON and nothing else, and has the form.
func (f *form) read(answer string) (json.RawMessage, error) {
	v, err := strictjson.Parse(answer)
	if err != nil {
		return nil, err
	}
	if err := f.validator.Validate(v); err != nil {
		return nil, plain(err)
	}
	return json.RawMessage(strings.TrimSpace(answer)), nil
}

// plain puts a complaint about a document into one line, without the headline
// that names the schema's address.
func plain(err error) error {
	_, text, found := strings.Cut(err.Error(), "\n")
	if !found {
		return err
	}
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimPrefix(strings.TrimSpace(lines[i]), "- ")
	}
	return errors.New(strings.Join(lines, "; "))
}

// part tells the model of the form, as gpt-oss was trained to be told: at the end
// of the developer message, behind a blank line if something comes before.
func (f *form) part(name string, behind bool) harmony.Part {
	text := "# Response Formats\n\n## " + name + "\n\n" + string(f.schema)
	if behind {
		text = "\n\n" + text
	}
	return harmony.Text(text)
}
