// Package policies decides whether a tool call may run. It is pure: the same
// policy gives the same request the same decision; it reads no clock, no file
// and no network while it decides.
//
// A policy is a stack of files in three layers, system over developer over
// user. Every file has its say on every call, and the most restrictive word
// wins: deny over ask over allow. So a file that is added can only take away.
// Rules match calls by name and arguments, by conditions in CEL, and by where
// the values of the arguments came from (package provenance).
//
// It refuses to guess: what no file of the system layer permits is denied, and
// so is a call that a rule cannot be applied to.
package policies

import (
	"cmp"
	"embed"
	"fmt"
	"math"
	"slices"
	"time"

	"chorale/harmony"
	"chorale/tools"
)

// Policy is an immutable stack of policy files. Nil and the zero value deny
// every call.
type Policy struct{ files []*file }

// file is one policy file as it was loaded.
type file struct {
	name     string
	layer    harmony.Role
	defaults map[Effect]Verdict
	limits   tools.Limits // unlimited where the file says nothing
	rules    []rule
	origins  *originsDoc // nil: no say
	hosts    *hostsDoc   // likewise
	egress   *egressDoc  // likewise
	mounts   *mountsDoc  // likewise
}

// rule is one entry of a file's rules.
type rule struct {
	id      string
	line    int
	match   match
	when    *formula // nil: always
	verdict Verdict
	message string
	limits  tools.Limits

	remember Remember // of a rule that asks
	budget   *budget  // nil: none
}

// Narrow is p with the files of qs added. The result permits a call at most as
// far as p does.
func (p *Policy) Narrow(qs ...*Policy) *Policy {
	out := &Policy{}
	for _, q := range append([]*Policy{p}, qs...) {
		if q != nil {
			out.files = append(out.files, q.files...)
		}
	}
	slices.SortStableFunc(out.files, func(a, b *file) int { return cmp.Compare(a.layer, b.layer) })
	return out
}

// Decide says what may happen with a call.
func (p *Policy) Decide(r Request) Decision { return p.Explain(r).Decision }

// Explanation is a decision with everything that had a say in it.
type Explanation struct {
	Decision Decision
	Findings []Finding // in the order of the layers, files and rules
}

// Finding is the say of one rule, or of one file's default.
type Finding struct {
	Layer   harmony.Role
	File    string
	Line    int    // of the rule; 0 for a default
	Rule    string // its id; empty for a default
	Verdict Verdict
	Reason  string

	limits   tools.Limits
	remember Remember
	charges  string // the budget that the call is booked on, if the rule has one
}

// name is the finding's for a record of what decided: layer, file and rule.
func (f Finding) name() string { return f.Layer.String() + ":" + f.Rule }

// Explain decides, and says which rules and defaults of which layer took part.
func (p *Policy) Explain(r Request) Explanation {
	var e Explanation
	granted := false
	if p != nil {
		args := &arguments{request: &r, call: r.Call, name: r.Call.Name()}
		for _, f := range p.files {
			granted = granted || f.layer == harmony.System
			e.Findings = append(e.Findings, f.findings(r, args)...)
		}
	}
	if !granted {
		e.Findings = nil // nothing is permitted that no system layer permits
	}
	e.Decision = settle(e.Findings)
	return e
}

// findings is what one file says of a call. A default stands for what the file
// permits at most. Only the system layer can grant: there, and only there, a
// rule that allows takes the place of the file's own default.
func (f *file) findings(r Request, args *arguments) []Finding {
	var out []Finding
	allowed, remember := false, AsChosen // what the rules say, they say for the default too
	for i := range f.rules {
		if found, ok := f.finding(&f.rules[i], &r, args); ok {
			allowed = allowed || found.Verdict == Allow
			if found.Verdict == Ask {
				remember = max(remember, found.remember)
			}
			out = append(out, found)
		}
	}
	out = append(out, f.origins.findings(f, &r)...)
	out = append(out, f.hosts.findings(f, &r)...)
	out = append(out, f.egress.findings(f, &r)...)
	fallback, stated := f.defaults[r.Effect]
	switch {
	case f.layer == harmony.System && allowed:
		fallback = Allow
	case f.layer != harmony.System && !stated:
		fallback = Allow
	}
	reason := ""
	switch fallback {
	case Deny:
		reason = ReasonTool
	case Ask:
		reason = ReasonAsk
	}
	return append(out, Finding{Layer: f.layer, File: f.name, Verdict: fallback, Reason: reason, limits: f.limits, remember: remember})
}

// finding is what one rule says of a call, if it is about the call. What cannot
// be decided, and what goes beyond the rule's budget, it denies.
func (f *file) finding(rule *rule, r *Request, args *arguments) (Finding, bool) {
	hit, err := rule.applies(args)
	if !hit && err == nil {
		return Finding{}, false
	}
	found := Finding{Layer: f.layer, File: f.name, Line: rule.line, Rule: rule.id, Verdict: rule.verdict, Reason: rule.message,
		limits: rule.limits, remember: rule.remember}
	switch {
	case err != nil:
		found.Verdict, found.Reason = Deny, err.Error()
	case rule.budget != nil:
		found.charges = f.name + "\x00" + rule.id
		if !rule.budget.covers(r.Tally, found.charges, r) {
			found.Verdict, found.Reason = Deny, ReasonBudget
		}
	}
	return found, true
}

// applies reports whether the rule is about the call.
func (r *rule) applies(a *arguments) (bool, error) {
	hit, err := r.match.applies(a, r.verdict == Allow)
	if !hit || err != nil || r.when == nil {
		return hit, err
	}
	return r.when.holds(a)
}

// settle is the meet of all findings. Of those that are equally restrictive
// the first decides: the highest layer's, and a rule before a default.
func settle(findings []Finding) Decision {
	if len(findings) == 0 {
		return Decision{Reason: ReasonTool}
	}
	least, limits := findings[0], unlimited
	var d Decision
	for _, f := range findings {
		limits = limits.Meet(f.limits)
		if f.Rule != "" {
			d.Rules = append(d.Rules, f.name())
		}
		if f.charges != "" && !slices.Contains(d.Charges, f.charges) { // a file may stand in the stack twice
			d.Charges = append(d.Charges, f.charges)
		}
		if f.Verdict < least.Verdict || (f.Verdict == least.Verdict && least.Rule == "" && f.Rule != "") {
			least = f
		}
	}
	d.Verdict, d.Rule, d.Reason, d.Remember = least.Verdict, least.Rule, least.Reason, remembered(findings)
	if least.Rule != "" {
		d.Layer = least.Layer
	}
	if d.Verdict != Deny {
		d.Limits = bounded(limits)
	}
	return d
}

// remembered is how long a yes to the findings that ask holds: once, if any says
// so, and for the run, if the highest layer that asks says so. What that layer
// leaves to the person, no layer below can give away.
func remembered(findings []Finding) Remember {
	out, top := AsChosen, harmony.Role(0)
	for _, f := range findings {
		if f.Verdict != Ask {
			continue
		}
		if f.remember == ForOnce {
			return ForOnce
		}
		switch {
		case top == 0:
			top, out = f.Layer, f.remember
		case f.Layer == top:
			out = min(out, f.remember)
		}
	}
	return out
}

// unlimited is the neutral element of Meet: a file that says nothing of limits.
var unlimited = tools.Limits{Time: math.MaxInt64, Output: math.MaxInt, Memory: math.MaxInt64}

// bounded puts a bound where no file of the stack stated one. The figures are
// those of default/system.yaml.
func bounded(l tools.Limits) tools.Limits {
	if l.Time == unlimited.Time {
		l.Time = 10 * time.Minute
	}
	if l.Output == unlimited.Output {
		l.Output = 256 << 10
	}
	if l.Memory == unlimited.Memory {
		l.Memory = 2 << 30
	}
	return l
}

//go:embed default/system.yaml
var defaults embed.FS

// Default is the system layer that is built in. It suits runs that nobody
// watches: Python and functions that only read are allowed, functions with
// side effects ask, which such runs deny, and all else is denied.
func Default() *Policy {
	const name = "default/system.yaml"
	src, err := defaults.ReadFile(name)
	if err != nil {
		panic(fmt.Sprintf("policies: %v", err))
	}
	p, err := Parse("policies/"+name, src, harmony.System)
	if err != nil {
		panic(fmt.Sprintf("policies: %v", err)) // a test parses it
	}
	return p
}
