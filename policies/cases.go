package policies

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"chorale/harmony"
	"chorale/internal/strictyaml"
	"chorale/policies/provenance"
	"chorale/tools"
)

// casesDoc is a tests.yaml: calls, and what a stack of policies says of them.
type casesDoc struct {
	Stack    stackDoc  `yaml:"stack"`
	Manifest string    `yaml:"manifest"` // what the tools mean; without one nothing is known of them
	Tests    []caseDoc `yaml:"tests,required"`
}

// spanDoc is a text of the context before the call: somebody's words, or a call
// with what it gave.
type spanDoc struct {
	User      *string         `yaml:"user"`
	Developer *string         `yaml:"developer"`
	Call      string          `yaml:"call"`
	Args      json.RawMessage `yaml:"args"`
	Text      string          `yaml:"text"` // source code in place of args
	Output    string          `yaml:"output"`
	Failed    bool            `yaml:"failed"`
	Approved  bool            `yaml:"approved"` // a person said yes to the call
}

// Check implements strictyaml.Checker.
func (s *spanDoc) Check() error {
	n := 0
	for _, given := range []bool{s.User != nil, s.Developer != nil, s.Call != ""} {
		if given {
			n++
		}
	}
	if n != 1 {
		return errors.New("must be one of user, developer and call")
	}
	return nil
}

func (s *spanDoc) tell(l *provenance.Ledger, n int) {
	switch {
	case s.User != nil:
		l.UserSaid(*s.User)
	case s.Developer != nil:
		l.DeveloperSaid(*s.Developer)
	default:
		c := callOf(s.Call, s.Args, s.Text)
		c.ID = fmt.Sprintf("call-%d", n+1)
		leaves := l.Leaves(c)
		if s.Approved {
			l.Approved(c, leaves)
		}
		l.Returned(c, leaves, tools.Result{Text: s.Output, Failed: s.Failed})
	}
}

func callOf(name string, args json.RawMessage, text string) tools.Call {
	tool, function, _ := strings.Cut(name, ".")
	if args != nil {
		text = string(args)
	}
	return tools.Call{Tool: tool, Function: function, Args: text}
}

// stackDoc names the policy files beside tests.yaml. Without system files the
// built-in system layer is used.
type stackDoc struct {
	System    []string `yaml:"system"`
	Developer []string `yaml:"developer"`
	User      []string `yaml:"user"`
}

type caseDoc struct {
	line int
	caseBody
}

type caseBody struct {
	Name    string                      `yaml:"name,required"`
	Call    string                      `yaml:"call,required"`
	Effect  Effect                      `yaml:"effect"`
	Context []spanDoc                   `yaml:"context"` // what the run has seen before
	Origins map[string]provenance.Label `yaml:"origins"` // expected of an argument's weakest value
	Args    json.RawMessage             `yaml:"args"`
	Text    *string                     `yaml:"text"` // the arguments as they are: source code, or broken JSON
	Expect  Verdict                     `yaml:"expect,required"`
	Rule    *string                     `yaml:"rule"`
	Reason  *string                     `yaml:"reason"`
	Limits  limitsDoc                   `yaml:"limits"`
}

func (c *caseDoc) DecodeNode(n strictyaml.Node) error {
	c.line = n.Line()
	return n.Decode(&c.caseBody)
}

// Check implements strictyaml.Checker.
func (c *caseBody) Check() error {
	if c.Args != nil && c.Text != nil {
		return strictyaml.At("text", errors.New("stands beside args; one of them is enough"))
	}
	return nil
}

// RunCases runs the tests.yaml of a folder against the policy files beside it.
// It gives the number of tests and a line for each that did not come out as
// expected; the error is for a folder that cannot be read.
func RunCases(fsys fs.FS, dir string) (ran int, failures []string, err error) {
	name := path.Join(dir, "tests.yaml")
	src, err := fs.ReadFile(fsys, name)
	if err != nil {
		return 0, nil, fmt.Errorf("policy tests: %w", err)
	}
	var doc casesDoc
	if err := strictyaml.DecodeKind(name, src, "PolicyTests", &doc); err != nil {
		return 0, nil, err
	}
	policy, err := doc.Stack.load(fsys, dir)
	if err != nil {
		return 0, nil, err
	}
	manifest, err := doc.manifest(fsys, dir)
	if err != nil {
		return 0, nil, err
	}
	for _, c := range doc.Tests {
		for _, miss := range c.misses(policy, manifest) {
			failures = append(failures, fmt.Sprintf("%s:%d: %s: %s", name, c.line, c.Name, miss))
		}
	}
	return len(doc.Tests), failures, nil
}

func (s stackDoc) load(fsys fs.FS, dir string) (*Policy, error) {
	policy := &Policy{}
	if len(s.System) == 0 {
		policy = Default()
	}
	for _, l := range []struct {
		from  harmony.Role
		files []string
	}{{harmony.System, s.System}, {harmony.Developer, s.Developer}, {harmony.User, s.User}} {
		for _, f := range l.files {
			name := path.Join(dir, f)
			src, err := fs.ReadFile(fsys, name)
			if err != nil {
				return nil, fmt.Errorf("policy tests: %w", err)
			}
			p, err := Parse(name, src, l.from)
			if err != nil {
				return nil, err
			}
			policy = policy.Narrow(p)
		}
	}
	return policy, nil
}

func (d *casesDoc) manifest(fsys fs.FS, dir string) (*provenance.Manifest, error) {
	if d.Manifest == "" {
		return &provenance.Manifest{}, nil
	}
	name := path.Join(dir, d.Manifest)
	src, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, fmt.Errorf("policy tests: %w", err)
	}
	return provenance.Parse(name, src)
}

// request is the test's call in the context that the test gives.
func (c caseDoc) request(m *provenance.Manifest) Request {
	ledger := provenance.NewLedger(m)
	for i := range c.Context {
		c.Context[i].tell(ledger, i)
	}
	text := ""
	if c.Text != nil {
		text = *c.Text
	}
	call := callOf(c.Call, c.Args, text)
	return Request{Call: call, Effect: c.Effect, Irreversible: m.Tools[call.Name()].Irreversible, Leaves: ledger.Leaves(call)}
}

// misses are the ways in which the decision is not what the test expects.
func (c caseDoc) misses(p *Policy, m *provenance.Manifest) []string {
	r := c.request(m)
	d := p.Decide(r)
	var out []string
	for _, arg := range slices.Sorted(maps.Keys(c.Origins)) {
		least, found := provenance.User, false
		for _, l := range r.Leaves {
			if l.Arg == arg {
				least, found = min(least, l.Label), true
			}
		}
		if want := c.Origins[arg]; !found || least != want {
			out = append(out, fmt.Sprintf("expected %s to be %s, got %s", arg, want, least))
		}
	}
	if d.Verdict != c.Expect {
		out = append(out, fmt.Sprintf("expected %s, got %s (rule %q: %s)", c.Expect, d.Verdict, d.Rule, d.Reason))
	}
	if c.Rule != nil && *c.Rule != d.Rule {
		out = append(out, fmt.Sprintf("expected rule %q, got %q", *c.Rule, d.Rule))
	}
	if c.Reason != nil && *c.Reason != d.Reason {
		out = append(out, fmt.Sprintf("expected reason %q, got %q", *c.Reason, d.Reason))
	}
	if want := c.Limits.over(d.Limits); want != d.Limits {
		out = append(out, fmt.Sprintf("expected limits %+v, got %+v", want, d.Limits))
	}
	return out
}
