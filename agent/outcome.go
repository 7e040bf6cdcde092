package agent

import "time"

// Status says how a run ended.
type Status string

// The ways a run ends.
const (
	Done           Status = "done"            // the model answered on the final channel
	NoAnswer       Status = "no_answer"       // the model stopped making sense
	Denied         Status = "denied"          // it kept repeating a call that the policy denies
	ApprovalNeeded Status = "approval_needed" // the same, and a person could have allowed it
	Exhausted      Status = "budget"          // a budget is spent
	ToolBroke      Status = "tool_error"      // a sandbox itself broke, not the call in it
	ModelBroke     Status = "model_error"     // the inference engine broke
	Interrupted    Status = "interrupted"     // the context was cancelled
)

// Outcome is how a run ended and what it took.
type Outcome struct {
	Status Status
	Reason string // one line for a person; empty when Done
	Final  string // the model's answer, when Done
	Used   Used
}

// Budget bounds a run. The zero value permits nothing.
type Budget struct {
	Turns        int           // times that the model hands over: a call or an answer
	ToolCalls    int           // calls, also denied and failed ones
	Tokens       int           // tokens that the model says
	Context      int           // tokens of history that the model can hold
	WallTime     time.Duration // of the whole run
	RepeatDenied int           // equal denials of an equal call
}

// Used counts what a run has spent, and what went wrong on the way.
type Used struct {
	Turns     int `json:"turns"`
	ToolCalls int `json:"toolCalls"`
	Tokens    int `json:"tokens"`    // that the model said
	Forced    int `json:"forced"`    // those of them that a constraint left no choice about
	Context   int `json:"context"`   // tokens of history at the end
	Denials   int `json:"denials"`   // calls that the policy or a person denied
	Failures  int `json:"failures"`  // calls that failed or had no such tool
	Malformed int `json:"malformed"` // messages of the model that could not be used
	Repaired  int `json:"repaired"`  // faults in its messages that the parser mended
}
