package policies

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"chorale/harmony"
	"chorale/internal/strictyaml"
	"chorale/tools"
)

// casesDoc is a tests.yaml: calls, and what a stack of policies says of them.
type casesDoc struct {
	Stack stackDoc  `yaml:"stack"`
	Tests []caseDoc `yaml:"tests,required"`
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
	Name   string          `yaml:"name,required"`
	Call   string          `yaml:"call,required"`
	Effect Effect          `yaml:"effect"`
	Args   json.RawMessage `yaml:"args"`
	Text   *string         `yaml:"text"` // the arguments as they are: source code, or broken JSON
	Expect Verdict         `yaml:"expect,required"`
	Rule   *string         `yaml:"rule"`
	Reason *string         `yaml:"reason"`
	Limits limitsDoc       `yaml:"limits"`
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
	for _, c := range doc.Tests {
		for _, miss := range c.misses(policy) {
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

// misses are the ways in which the decision is not what the test expects.
func (c caseDoc) misses(p *Policy) []string {
	tool, function, _ := strings.Cut(c.Call, ".")
	args := string(c.Args)
	if c.Text != nil {
		args = *c.Text
	}
	d := p.Decide(Request{Call: tools.Call{Tool: tool, Function: function, Args: args}, Effect: c.Effect})
	var out []string
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
