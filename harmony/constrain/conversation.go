package constrain

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"

	"chorale/harmony"
)

// Conversation is what the model has been told: the tools that there are, and
// the form that its answer must have. The zero value has no tools and leaves the
// answer's text free.
type Conversation struct {
	// Tools are the namespaces that the prompt declares. Those of
	// [harmony.FunctionsNamespace] are called on the commentary channel, the
	// built-in ones on analysis or commentary. A namespace without functions is a
	// tool by itself and takes free text, as python does.
	Tools []harmony.Namespace

	Choice ToolChoice
	// Only, unless empty, is the one tool that may be called, by its full name:
	// "functions.get_price".
	Only string

	// Answer is the JSON Schema of the final message; nil leaves its text free.
	Answer json.RawMessage
	// LenientAnswer is [Options.Lenient] for it. The schemas of functions are
	// always taken leniently: what a mask cannot hold of one, all of it if it is
	// no schema, is in [Grammar.Unenforced] and left to whoever runs the function.
	LenientAnswer bool
}

// ToolChoice says whether the model may call tools.
type ToolChoice uint8

const (
	MayCall    ToolChoice = iota // it may call or answer
	MustCall                     // it cannot answer without a call
	MustAnswer                   // it cannot call
)

// Unenforced is a part of a schema that the masks do not hold.
type Unenforced struct {
	Tool string // the recipient whose arguments it is about; empty for the answer
	Err  error  // an *[UnsupportedError], or for a tool an *[InvalidError]
}

// Grammar is everything that the model may say in a conversation. It is safe for
// concurrent use.
type Grammar struct {
	vocabulary *Vocabulary
	control    harmony.Control
	headers    *headers
	bodies     []body
	unenforced []Unenforced
}

// body is what stands behind <|message|>.
type body struct {
	end    harmony.Token // what ends the message
	schema *Schema       // of its content; nil is free text
	needed bool          // free text that must be more than blanks
	mask   Mask          // what may come between the characters of free text
}

// blanks lets documents be written with a space behind commas and colons, as the
// models do.
const blanks = true

// Harmony prepares the grammar of a conversation: which headers, channels and
// recipients there are, and what may stand in each message. A tool that cannot
// be named in a header is an error, and so is an answer's schema that
// [Vocabulary.Compile] refuses.
func (v *Vocabulary) Harmony(c Conversation) (*Grammar, error) {
	g := &Grammar{vocabulary: v, control: v.enc.Control()}
	tools, err := g.recipients(c)
	if err != nil {
		return nil, err
	}
	answer := noBody
	if c.Choice != MustCall {
		if answer, err = g.answer(c); err != nil {
			return nil, err
		}
	}
	thought := g.add(body{end: g.control.End})
	g.headers = newHeaders(v, tools, thought, answer)
	return g, nil
}

// Unenforced lists what the grammar leaves to be checked afterwards.
func (g *Grammar) Unenforced() []Unenforced { return g.unenforced }

// noBody stands for a message that cannot be.
const noBody = -1

func (g *Grammar) add(b body) int {
	if b.schema == nil {
		b.mask = g.vocabulary.free.masks[whole].Clone()
		b.mask.Set(b.end)
	}
	g.bodies = append(g.bodies, b)
	return len(g.bodies) - 1
}

func (g *Grammar) answer(c Conversation) (int, error) {
	b := body{end: g.control.Return, needed: true}
	if c.Answer != nil {
		s, err := g.vocabulary.Compile(c.Answer, Options{End: []harmony.Token{b.end}, Blanks: blanks, Lenient: c.LenientAnswer})
		if err != nil {
			return 0, fmt.Errorf("the answer's %w", err)
		}
		b.schema = s
		g.note("", s)
	}
	return g.add(b), nil
}

func (g *Grammar) note(tool string, s *Schema) {
	for _, err := range s.Unenforced() {
		g.unenforced = append(g.unenforced, Unenforced{Tool: tool, Err: err})
	}
}

// recipient is a tool that can be called.
type recipient struct {
	name     string
	channels []string
	types    []string // the words that may name the content's type
	body     int
}

// recipients prepares the tools that the conversation's choice leaves.
func (g *Grammar) recipients(c Conversation) ([]recipient, error) {
	var out []recipient
	if c.Choice == MustAnswer {
		return nil, nil
	}
	seen := map[string]bool{}
	for _, ns := range c.Tools {
		for _, f := range callables(ns) {
			name := f.Name
			if !callable.MatchString(name) || seen[name] {
				return nil, fmt.Errorf("tool %q: a name must be of letters, digits, _ and -, its parts joined by points, and there but once", name)
			}
			seen[name] = true
			if c.Only != "" && name != c.Only {
				continue
			}
			r, err := g.recipient(ns, f)
			if err != nil {
				return nil, fmt.Errorf("tool %s: %w", name, err)
			}
			out = append(out, r)
		}
	}
	switch {
	case c.Only != "" && len(out) == 0:
		return nil, fmt.Errorf("tool %s is not among those of the conversation", c.Only)
	case c.Choice == MustCall && len(out) == 0:
		return nil, errors.New("a call is demanded, and there are no tools")
	}
	return out, nil
}

// callable is what the name of a recipient looks like: nothing in it can be
// taken for another part of a header.
var callable = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)

// callables lists a namespace's tools by their full names.
func callables(ns harmony.Namespace) []harmony.Function {
	if len(ns.Functions) == 0 {
		return []harmony.Function{{Name: ns.Name}}
	}
	out := make([]harmony.Function, len(ns.Functions))
	for i, f := range ns.Functions {
		f.Name = ns.Name + "." + f.Name
		out[i] = f
	}
	return out
}

var (
	// noArguments is the schema of a function that declares no parameters.
	noArguments = json.RawMessage(`{"type":"object","properties":{},"additionalProperties":false}`)
	// anyArguments takes the place of a schema that is none.
	anyArguments = json.RawMessage(`{"type":"object"}`)
)

func (g *Grammar) recipient(ns harmony.Namespace, f harmony.Function) (recipient, error) {
	r := recipient{name: f.Name, channels: []string{harmony.Analysis, harmony.Commentary}, types: []string{"code", "json"}}
	if ns.Name == harmony.FunctionsNamespace {
		r.channels, r.types = []string{harmony.Commentary}, []string{"json"}
	}
	b := body{end: g.control.Call}
	if len(ns.Functions) == 0 {
		r.types, b.needed = []string{"code"}, true
		r.body = g.add(b)
		return r, nil
	}
	var err error
	if b.schema, err = g.arguments(f); err != nil {
		return r, err
	}
	r.body = g.add(b)
	return r, nil
}

func (g *Grammar) arguments(f harmony.Function) (*Schema, error) {
	o := Options{End: []harmony.Token{g.control.Call}, Blanks: blanks, Lenient: true}
	schema := f.Parameters
	if schema == nil {
		schema = noArguments
	}
	s, err := g.vocabulary.Compile(schema, o)
	if err != nil {
		g.unenforced = append(g.unenforced, Unenforced{Tool: f.Name, Err: err})
		return g.vocabulary.Compile(anyArguments, o)
	}
	g.note(f.Name, s)
	return s, nil
}
