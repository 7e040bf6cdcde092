package runtime

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"chorale/harmony"
	"chorale/policies"
	"chorale/policies/provenance"
	"chorale/tools"
)

// Grant is a tool that a task may use.
type Grant struct {
	Namespace harmony.Namespace
	BuiltIn   bool         // the system message declares it, not the developer's
	About     string       // what it works with, for the person who watches; may be empty
	Limits    tools.Limits // what the task allows each call; zero fields leave it to the policy
	// Effect says what a function of the namespace can do outside its sandbox.
	Effect func(function string) policies.Effect
	// Manifest says what the tool's arguments and outputs are; nil: its outputs
	// are untrusted and its arguments ordinary values.
	Manifest *provenance.Manifest
	// Open starts the tool.
	Open func(context.Context, Place) (tools.Tool, error)
}

// Manifest is what the tools of a run mean: what a manifest says, and what their
// declarations do. Of a built-in tool its own word counts.
func Manifest(m *provenance.Manifest, grants []Grant) *provenance.Manifest {
	for _, g := range grants {
		m = m.Join(g.Manifest)
	}
	for _, g := range grants {
		for _, f := range g.Namespace.Functions {
			m.Declare(g.Namespace.Name+"."+f.Name, f.Parameters)
		}
	}
	return m
}

// Place is where a tool is opened.
type Place struct {
	Scratch  string            // the folder for files that go to the user
	Encoding *harmony.Encoding // the model's own vocabulary
}

// citer is a tool whose pages an answer can cite.
type citer interface {
	Citations(answer string) []tools.Citation
}

// toolbox opens the granted tools when they are first called, and owns them.
type toolbox struct {
	grants []Grant
	place  Place

	mu     sync.Mutex
	open   map[string]tools.Tool
	closed bool
}

func newToolbox(grants []Grant, place Place) *toolbox {
	return &toolbox{grants: grants, place: place, open: map[string]tools.Tool{}}
}

// Tool implements agent.Toolbox.
func (b *toolbox) Tool(ctx context.Context, namespace string) (tools.Tool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, errors.New("the run is over")
	}
	if t, ok := b.open[namespace]; ok {
		return t, nil
	}
	g, ok := b.grant(namespace)
	if !ok {
		return nil, fmt.Errorf("the task grants no tool %s", namespace)
	}
	t, err := g.Open(ctx, b.place)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	b.open[namespace] = t
	return t, nil
}

func (b *toolbox) grant(namespace string) (Grant, bool) {
	for _, g := range b.grants {
		if g.Namespace.Name == namespace {
			return g, true
		}
	}
	return Grant{}, false
}

func (b *toolbox) declared() []harmony.Namespace {
	var out []harmony.Namespace
	for _, g := range b.grants {
		out = append(out, g.Namespace)
	}
	return out
}

// effect is what the declaration of the called tool says that it can do.
func (b *toolbox) effect(c tools.Call) policies.Effect {
	g, ok := b.grant(c.Tool)
	if !ok || g.Effect == nil {
		return policies.Unknown
	}
	return g.Effect(c.Function)
}

// citations are what an answer cites of the tools that were opened.
func (b *toolbox) citations(answer string) []tools.Citation {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []tools.Citation
	for _, g := range b.grants {
		if c, ok := b.open[g.Namespace.Name].(citer); ok {
			out = append(out, c.Citations(answer)...)
		}
	}
	return out
}

// close ends every tool that was opened.
func (b *toolbox) close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	var errs []error
	for name, t := range b.open {
		if err := t.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close tool %s: %w", name, err))
		}
	}
	clear(b.open)
	return errors.Join(errs...)
}

// grantGate holds the policy's limits under those of the task.
type grantGate struct {
	policy interface {
		Decide(policies.Request) policies.Decision
	}
	box *toolbox
}

// Decide implements agent.Gate. A grant can only narrow.
func (g grantGate) Decide(r policies.Request) policies.Decision {
	d := g.policy.Decide(r)
	grant, ok := g.box.grant(r.Call.Tool)
	if !ok {
		return policies.Decision{Reason: policies.ReasonTool}
	}
	if d.Verdict != policies.Deny {
		d.Limits = narrow(d.Limits, grant.Limits)
	}
	return d
}

// narrow is the meet of l and those limits of by that are set.
func narrow(l, by tools.Limits) tools.Limits {
	if by.Time == 0 {
		by.Time = l.Time
	}
	if by.Output == 0 {
		by.Output = l.Output
	}
	if by.Memory == 0 {
		by.Memory = l.Memory
	}
	return l.Meet(by)
}
