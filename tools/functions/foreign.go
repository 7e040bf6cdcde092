package functions

import (
	"context"
	"encoding/json"
	"regexp"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"chorale/internal/strictjson"
	"chorale/tools"
)

// Foreign declares a function whose body is another program's, such as a tool
// of an MCP server.
type Foreign struct {
	Name        string
	Description string
	Shown       json.RawMessage // the parameters as the model sees them
	Checked     json.RawMessage // the schema that arguments must meet, as its owner wrote it
	ReadOnly    bool
	Timeout     time.Duration // of a call; 0: the call's limit alone
	Output      int           // bytes of text; likewise
	Reach       []string      // origins that it reaches, "*" for any; none: it has no network
	// Run is given the arguments as JSON without spaces. A call that ran out
	// of time gives an error; of other errors the sandbox is broken.
	Run func(ctx context.Context, args json.RawMessage, l tools.Limits) (tools.Result, error)
}

// Function makes the function callable. Its schema is read as its owner means
// it and not as strictly as one of ours: unknown keywords and patterns of other
// dialects constrain nothing here, and no default is filled in, for the owner
// checks the arguments again.
func (f Foreign) Function() Function {
	out := Function{
		name: f.Name, description: f.Description, parameters: f.Shown, readOnly: f.ReadOnly,
		timeout: f.Timeout, output: f.Output, reach: f.Reach,
		run: func(ctx context.Context, args arguments, l tools.Limits) (tools.Result, error) {
			return f.Run(ctx, json.RawMessage(args.json), l)
		},
	}
	out.schema, out.err = compileForeign(f.Checked)
	return out
}

func compileForeign(raw json.RawMessage) (*schema, error) {
	s, err := objectSchema(raw, compileLoosely)
	if err != nil {
		return nil, err
	}
	for name, p := range s.properties {
		s.properties[name] = property{types: p.types}
	}
	return s, nil
}

// compileLoosely reads a schema as its owner means it.
func compileLoosely(v any) (*jsonschema.Schema, error) {
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.UseLoader(noLoader{})
	c.UseRegexpEngine(forgiving)
	if err := c.AddResource(schemaURL, v); err != nil {
		return nil, &schemaError{msg: err.Error()}
	}
	compiled, err := c.Compile(schemaURL)
	if err != nil {
		return nil, compileError(err)
	}
	return compiled, nil
}

// ForeignCheck reads a schema of another program's, as Function does, to hold
// what that program gives against it.
func ForeignCheck(raw json.RawMessage) (func(value json.RawMessage) error, error) {
	v, err := strictjson.Parse(string(raw))
	if err != nil {
		return nil, &schemaError{msg: err.Error()}
	}
	compiled, err := compileLoosely(v)
	if err != nil {
		return nil, err
	}
	return func(value json.RawMessage) error {
		v, err := strictjson.Parse(string(value))
		if err != nil {
			return err
		}
		return compiled.Validate(v)
	}, nil
}

// anyText is a pattern that we cannot read.
type anyText string

func (anyText) MatchString(string) bool { return true }
func (a anyText) String() string        { return string(a) }

// forgiving reads patterns as RE2, and lets through what it cannot read, such
// as a look-ahead of ECMAScript.
func forgiving(pattern string) (jsonschema.Regexp, error) {
	if re, err := regexp.Compile(pattern); err == nil {
		return re, nil
	}
	return anyText(pattern), nil
}
