package policies

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"chorale/harmony"
	"chorale/internal/strictyaml"
	"chorale/tools"
)

// document is a policy file as it is written.
type document struct {
	Layer    layer       `yaml:"layer,required"`
	Defaults defaultsDoc `yaml:"defaults"`
	Limits   limitsDoc   `yaml:"limits"`
	Origins  *originsDoc `yaml:"origins"`
	Hosts    *hostsDoc   `yaml:"hosts"`
	Egress   *egressDoc  `yaml:"egress"`
	Mounts   *mountsDoc  `yaml:"mounts"`
	Rules    []ruleDoc   `yaml:"rules"`
}

type defaultsDoc struct {
	Read       *Verdict `yaml:"read"`
	SideEffect *Verdict `yaml:"sideEffect"`
	Unknown    *Verdict `yaml:"unknownTool"`
}

type limitsDoc struct {
	Time   *strictyaml.Duration `yaml:"time"`
	Output *strictyaml.Size     `yaml:"output"`
	Memory *strictyaml.Size     `yaml:"memory"`
}

// over is base with the limits that the file states in place of it.
func (l limitsDoc) over(base tools.Limits) tools.Limits {
	if l.Time != nil {
		base.Time = l.Time.Std()
	}
	if l.Output != nil {
		base.Output = int(*l.Output)
	}
	if l.Memory != nil {
		base.Memory = int64(*l.Memory)
	}
	return base
}

type ruleDoc struct {
	line int
	ruleBody
}

type ruleBody struct {
	ID       string    `yaml:"id,required"`
	Match    matchDoc  `yaml:"match,required"`
	When     *formula  `yaml:"when"`
	Decision Verdict   `yaml:"decision,required"`
	Message  string    `yaml:"message"`
	Limits   limitsDoc `yaml:"limits"`
	Budget   *budget   `yaml:"budget"`
	Remember *Remember `yaml:"remember"`
}

func (r *ruleDoc) DecodeNode(n strictyaml.Node) error {
	r.line = n.Line()
	return n.Decode(&r.ruleBody)
}

// maxMessage bounds a rule's message: it goes into the model's context.
const maxMessage = 500

var idPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// Check implements strictyaml.Checker.
func (r *ruleBody) Check() error {
	if !idPattern.MatchString(r.ID) {
		return strictyaml.At("id", errors.New("must be 1 to 63 letters, digits or . _ - and begin with a letter or digit"))
	}
	if len(r.Message) > maxMessage {
		return strictyaml.At("message", fmt.Errorf("longer than %d bytes", maxMessage))
	}
	if r.Remember != nil && r.Decision != Ask {
		return strictyaml.At("remember", errors.New("stands in a rule that does not ask"))
	}
	return nil
}

// Check refuses two rules of one name.
func (d *document) Check() error {
	first := map[string]int{}
	for i, r := range d.Rules {
		if line, ok := first[r.ID]; ok {
			return strictyaml.At("rules", strictyaml.At(strconv.Itoa(i),
				strictyaml.At("id", fmt.Errorf("rule %q stands already in line %d", r.ID, line))))
		}
		first[r.ID] = r.line
	}
	return nil
}

// layer is the key of that name. It must say where the file is loaded from, so
// that nobody gives a file more weight by copying it elsewhere.
type layer struct{ from harmony.Role }

func (l *layer) UnmarshalText(text []byte) error {
	switch got := string(text); {
	case got != "system" && got != "developer" && got != "user":
		return fmt.Errorf("must be system, developer or user, got %q", got)
	case got != l.from.String():
		return fmt.Errorf("is %s, but the file is loaded as a %s policy", got, l.from)
	}
	return nil
}

// Parse reads one policy file as part of the given layer: harmony.System,
// Developer or User. Name is the file's, for errors, which give line and column.
func Parse(name string, src []byte, from harmony.Role) (*Policy, error) {
	if from != harmony.System && from != harmony.Developer && from != harmony.User {
		return nil, fmt.Errorf("policy %s: no layer %s", name, from)
	}
	doc := document{Layer: layer{from}}
	if err := strictyaml.DecodeKind(name, src, "Policy", &doc); err != nil {
		return nil, err
	}
	f := &file{name: name, layer: from, limits: doc.Limits.over(unlimited), origins: doc.Origins, hosts: doc.Hosts, egress: doc.Egress, mounts: doc.Mounts, defaults: map[Effect]Verdict{}}
	for effect, v := range map[Effect]*Verdict{Read: doc.Defaults.Read, SideEffect: doc.Defaults.SideEffect, Unknown: doc.Defaults.Unknown} {
		if v != nil {
			f.defaults[effect] = *v
		}
	}
	for _, r := range doc.Rules {
		compiled := rule{id: r.ID, line: r.line, match: r.Match.compile(), when: r.When, verdict: r.Decision,
			message: r.reason(), limits: r.Limits.over(unlimited), budget: r.Budget}
		if r.Remember != nil {
			compiled.remember = *r.Remember
		}
		f.rules = append(f.rules, compiled)
	}
	return &Policy{files: []*file{f}}, nil
}

// reason is what the model is told of the rule.
func (r ruleDoc) reason() string {
	switch {
	case r.Message != "" || r.Decision == Allow:
		return r.Message
	case r.Decision == Ask:
		return ReasonAsk
	case len(r.Match.Args) > 0 || r.Match.Code != nil || r.When != nil:
		return ReasonArgument
	}
	return ReasonTool
}

// Load is Parse for a file on disk.
func Load(path string, from harmony.Role) (*Policy, error) {
	src, err := strictyaml.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	return Parse(path, src, from)
}
