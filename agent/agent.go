package agent

import (
	"cmp"
	"context"
	"errors"
	"iter"

	"chorale/harmony"
	"chorale/policies"
	"chorale/policies/provenance"
	"chorale/tools"
)

// Model continues a token sequence. The whole history is given each time; an
// engine that keeps a cache finds the shared prefix itself. The sequence ends
// with a stop token, which is yielded too, or with an error. It keeps to the
// constraint, unless that is nil.
type Model interface {
	Generate(ctx context.Context, prompt, stop []harmony.Token, c Constraint) iter.Seq2[harmony.Token, error]
}

// Constraint says what the model may say next: Mask the ids that may be sampled,
// a bit each; Forced the ids that must come, in order, whatever the model would
// say. Accept moves on over an id that was emitted.
type Constraint = interface {
	Mask() []uint64
	Forced() []harmony.Token
	Accept(harmony.Token) error
}

// Gate decides on every call before it runs.
type Gate interface {
	Decide(policies.Request) policies.Decision
}

// Approver asks a person about a call that the gate wants asked.
type Approver interface {
	Approve(ctx context.Context, q Question) (bool, error)
}

// Question is a call that waits for a person's word.
type Question struct {
	Call     tools.Call
	Decision policies.Decision
	Leaves   []provenance.Leaf // the values of its arguments, and where each came from
}

// Toolbox opens the tool behind a namespace, or returns the one already open.
// An error stops the run.
type Toolbox interface {
	Tool(ctx context.Context, namespace string) (tools.Tool, error)
}

// Agent carries out one task. Its fields are set before Run and left alone.
type Agent struct {
	Name     string // of the run: what the keys of its calls are made of; empty: they have none
	Model    Model
	Encoding *harmony.Encoding
	Dialect  harmony.Dialect
	Tools    Toolbox
	Declared []harmony.Namespace              // what the prompt tells the model it has
	Effect   func(tools.Call) policies.Effect // what a declared call can do; nil: unknown
	Manifest *provenance.Manifest             // what the tools mean; nil: all output is untrusted
	Mark     func(text string) string         // how untrusted output is shown to the model; nil: as it is
	Gate     Gate
	Approver Approver // nil: there is nobody to ask, and asking is denying

	// Constrain returns the constraint of a message that the model begins, behind
	// <|start|>assistant; nil: it may say what it likes.
	Constrain func() Constraint
	// Answer reports what is wrong with an answer; nil: any will do. The model is
	// asked for another one.
	Answer func(final string) error

	Budget Budget
	Emit   func(Event) // nil: nobody watches
}

// maxThoughts bounds the messages of one turn: a model that thinks on without
// ever calling or answering is told to come to an end.
const maxThoughts = 16

// maxMalformed bounds the unusable messages in a row before the run ends.
const maxMalformed = 3

var errWallTime = errors.New("out of time")

// Run carries out the conversation: it lets the model speak and answers its
// calls until the model answers, a budget is spent, or nothing sensible can
// follow. The error says what broke for the statuses ToolBroke, ModelBroke and
// Interrupted, and is nil for the others.
func (a *Agent) Run(ctx context.Context, conversation []harmony.Message) (Outcome, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, a.Budget.WallTime, errWallTime)
	defer cancel()
	r := newRun(a)
	if err := r.tell(conversation...); err != nil {
		return Outcome{Status: ModelBroke, Reason: "the conversation cannot be rendered"}, err
	}
	r.remember(conversation)
	for {
		if spent := r.spent(); spent != "" {
			return r.outcome(Exhausted, spent), nil
		}
		said, err := r.listen(ctx)
		switch {
		case err != nil:
			return r.broke(ctx, ModelBroke, err)
		case said.cut:
			return r.outcome(Exhausted, cmp.Or(r.spent(), "the model stopped in the middle of a message")), nil
		}
		final, err := r.heed(ctx, said)
		if err != nil {
			return r.broke(ctx, ToolBroke, err)
		}
		if final != "" {
			o := r.outcome(Done, "")
			o.Final = final
			return o, nil
		}
		if status, reason := r.hopeless(); status != "" {
			return r.outcome(status, reason), nil
		}
	}
}

// heed does what the model's messages ask for, one after the other: it serves
// calls and corrects what cannot be used. It returns the answer, if there is one.
func (r *run) heed(ctx context.Context, said saying) (final string, err error) {
	messages := said.messages
	if len(messages) == 0 { // a bare stop token
		messages = []harmony.Parsed{{Message: harmony.Message{Role: harmony.Assistant}}}
	}
	for i := range messages {
		m := &messages[i]
		meaning := r.judge(m)
		r.count(meaning)
		switch meaning {
		case answers:
			return m.Text(), nil
		case calls:
			err = r.serve(ctx, m)
		case puzzles:
			err = r.correct(m)
		}
		if status, _ := r.hopeless(); err != nil || status != "" {
			return "", err
		}
	}
	return "", nil
}
