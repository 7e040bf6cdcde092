package agent

import (
	"context"
	"fmt"
	"slices"

	"chorale/harmony"
	"chorale/policies"
	"chorale/policies/provenance"
)

// run is the state of one Run.
type run struct {
	*Agent
	history []harmony.Token // exactly what the model has seen and said
	used    Used
	origin  harmony.Role // the lowest role whose text is in the history
	ledger  *provenance.Ledger
	tally   policies.Tally
	yes     map[string]bool // equal calls that need not be asked again

	thoughts   int            // messages since the model last handed over
	malformed  int            // unusable messages in a row
	fault      error          // what is wrong with the last answer
	denials    map[string]int // equal calls that were denied
	stuck      *stuck         // set when a call was denied once too often
	overCalled bool           // a call came that the budget has no room for
}

// stuck is a call that the model would not let go of.
type stuck struct {
	call     string
	couldAsk bool // a person could have allowed it
	times    int
}

func newRun(a *Agent) *run {
	return &run{Agent: a, ledger: provenance.NewLedger(a.Manifest), yes: map[string]bool{}, denials: map[string]int{}}
}

// remember keeps the words of the user and the developer, who alone have
// authority in a run.
func (r *run) remember(conversation []harmony.Message) {
	for _, m := range conversation {
		switch m.Role {
		case harmony.User:
			r.ledger.UserSaid(m.Text())
		case harmony.Developer:
			for _, part := range m.Content {
				switch part := part.(type) {
				case harmony.Text:
					r.ledger.DeveloperSaid(string(part))
				case *harmony.DeveloperContent: // what tools say of themselves is not the developer's word
					r.ledger.DeveloperSaid(part.Instructions)
				}
			}
		}
	}
}

func (r *run) emit(events ...Event) {
	if r.Emit == nil {
		return
	}
	for _, e := range events {
		r.Emit(e)
	}
}

// tell renders messages from outside the model into the history. It is the one
// place where text from outside gets a role.
func (r *run) tell(msgs ...harmony.Message) error {
	start := len(r.history)
	history, err := r.Encoding.AppendRender(r.history, msgs, harmony.RenderOptions{Dialect: r.Dialect})
	if err != nil {
		return err
	}
	r.history = history
	for _, m := range msgs {
		r.origin = max(r.origin, m.Role)
	}
	r.emit(Rendered{Messages: msgs, Tokens: slices.Clone(r.history[start:])})
	return nil
}

// open opens the model's next message. Behind a message of its own it is what
// the model itself would go on with.
func (r *run) open() {
	start := len(r.history)
	r.history = r.Encoding.AppendStart(r.history, harmony.Assistant)
	r.emit(Rendered{Tokens: slices.Clone(r.history[start:])})
}

// spent names the budget that leaves no room for another message.
func (r *run) spent() string {
	b, u := r.Budget, r.used
	switch {
	case u.Turns >= b.Turns:
		return fmt.Sprintf("the budget of turns (%d) is spent", b.Turns)
	case u.Tokens >= b.Tokens:
		return fmt.Sprintf("the budget of tokens (%d) is spent", b.Tokens)
	case len(r.history) >= b.Context && u.Tokens == 0:
		return fmt.Sprintf("the prompt has %d tokens, and the context (contextTokens) %d", len(r.history), b.Context)
	case len(r.history) >= b.Context:
		return fmt.Sprintf("the context of %d tokens is full", b.Context)
	}
	return ""
}

// hopeless reports that going on makes no sense, and why.
func (r *run) hopeless() (Status, string) {
	switch {
	case r.overCalled:
		return Exhausted, fmt.Sprintf("the budget of tool calls (%d) is spent", r.Budget.ToolCalls)
	case r.stuck != nil && r.stuck.couldAsk:
		return ApprovalNeeded, fmt.Sprintf("%s needs an approval that was not given; the model asked for it %d times", r.stuck.call, r.stuck.times)
	case r.stuck != nil:
		return Denied, fmt.Sprintf("%s is denied by policy; the model tried it %d times", r.stuck.call, r.stuck.times)
	case r.malformed >= maxMalformed && r.fault != nil:
		return NoAnswer, fmt.Sprintf("the answer has not the form that the task asks for: %v", r.fault)
	case r.malformed >= maxMalformed:
		return NoAnswer, fmt.Sprintf("the model said %d things in a row that could not be used", r.malformed)
	}
	return "", ""
}

func (r *run) outcome(s Status, reason string) Outcome {
	r.used.Context = len(r.history)
	return Outcome{Status: s, Reason: reason, Used: r.used}
}

// broke ends a run on an error. The clock and the person at the keyboard come
// first, for what they cancel fails everywhere.
func (r *run) broke(ctx context.Context, status Status, err error) (Outcome, error) {
	switch {
	case context.Cause(ctx) == errWallTime:
		return r.outcome(Exhausted, fmt.Sprintf("the budget of wall time (%v) is spent", r.Budget.WallTime)), nil
	case ctx.Err() != nil:
		return r.outcome(Interrupted, "interrupted"), context.Cause(ctx)
	}
	return r.outcome(status, err.Error()), err
}
