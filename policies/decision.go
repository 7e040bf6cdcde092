package policies

import (
	"chorale/harmony"
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

// Request is one call that waits for a decision.
type Request struct {
	Call   tools.Call
	Origin harmony.Role // the lowest role whose text is in the context
}

// Decision is what the layers say of a request. Rule and Reason may be told to
// the model; they hold no thresholds, lists or secrets.
type Decision struct {
	Verdict Verdict
	Layer   harmony.Role // of the rule that decided; 0 where no rule matched
	Rule    string
	Reason  string
	Limits  tools.Limits // zero unless the verdict is Allow or Ask
}
