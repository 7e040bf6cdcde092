package policies

import (
	"fmt"

	"chorale/harmony"
	"chorale/policies/provenance"
	"chorale/tools"
)

// Verdict is what may happen with a call. The zero value denies, and a greater
// value permits more, so the most restrictive of several is their minimum.
type Verdict uint8

// The verdicts, most restrictive first.
const (
	Deny Verdict = iota
	Ask
	Allow
)

func (v Verdict) String() string {
	switch v {
	case Ask:
		return "ask"
	case Allow:
		return "allow"
	}
	return "deny"
}

// UnmarshalText reads "allow", "ask" or "deny".
func (v *Verdict) UnmarshalText(text []byte) error {
	for _, known := range []Verdict{Deny, Ask, Allow} {
		if known.String() == string(text) {
			*v = known
			return nil
		}
	}
	return fmt.Errorf("must be allow, ask or deny, got %q", text)
}

// Effect is what a call can do outside its sandbox, as the tool's declaration
// says. The zero value is a tool that nobody declared.
type Effect uint8

// The effects.
const (
	Unknown    Effect = iota
	SideEffect        // changes something outside the sandbox, or may
	Read              // changes nothing outside the sandbox
)

func (e Effect) String() string {
	switch e {
	case SideEffect:
		return "sideEffect"
	case Read:
		return "read"
	}
	return "unknownTool"
}

// UnmarshalText reads "read", "sideEffect" or "unknownTool".
func (e *Effect) UnmarshalText(text []byte) error {
	for _, known := range []Effect{Unknown, SideEffect, Read} {
		if known.String() == string(text) {
			*e = known
			return nil
		}
	}
	return fmt.Errorf("must be read, sideEffect or unknownTool, got %q", text)
}

// Request is one call that waits for a decision.
type Request struct {
	Call         tools.Call
	Effect       Effect
	Irreversible bool              // what the call does cannot be taken back
	Origin       harmony.Role      // the lowest role whose text is in the context
	Leaves       []provenance.Leaf // the values of the arguments, and where each came from
	Tally        *Tally            // what the run has spent so far; nil: nothing
}

// Decision is what the layers say of a request. Rule and Reason are told to
// the model; they hold no thresholds, lists or secrets unless the author of
// the rule wrote them into its message.
type Decision struct {
	Verdict Verdict
	Layer   harmony.Role // of the rule that decided; 0 where no rule did
	Rule    string
	Reason  string
	Limits  tools.Limits // zero unless the verdict is Allow or Ask

	Rules    []string // that had a say, as layer:id, for the records; not for the model
	Remember Remember // how long a yes to an ask holds
	Charges  []string // budgets that the call is booked on if it runs; see Tally
}

// Reasons that the engine itself gives.
const (
	ReasonTool     = "tool is not allowed"
	ReasonArgument = "argument is not allowed"
	ReasonBudget   = "the budget of the rule is spent"
	ReasonAsk      = "approval is needed"
	ReasonRefused  = "approval was refused"
)

// Settle ends an Ask: approved, it allows the call under the same limits; else,
// as in a run that nobody watches, it denies. It changes no other verdict: no
// approval lifts a deny.
func (d Decision) Settle(approved bool) Decision {
	switch {
	case d.Verdict != Ask:
	case approved:
		d.Verdict = Allow
	default:
		d.Verdict, d.Reason, d.Limits = Deny, ReasonRefused, tools.Limits{}
	}
	return d
}
