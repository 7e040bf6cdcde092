package agent

import (
	"chorale/harmony"
	"chorale/policies"
	"chorale/policies/provenance"
	"chorale/tools"
)

// Event is one thing that happened in a run. The types below are all there
// are; they come in order, on the goroutine that runs the agent.
type Event interface{ event() }

// Rendered is what entered the history from outside the model: the
// conversation's start, a tool's result, a notice, or without messages the
// opening of the model's next message. All Rendered and Sampled tokens in order
// are the history.
type Rendered struct {
	Messages []harmony.Message
	Tokens   []harmony.Token
}

// Started says that the model begins a message: its header is complete.
type Started struct {
	Turn      int
	Channel   string
	Recipient string // the tool that is called, or empty
}

// Delta is the next piece of the message's content.
type Delta struct{ Text string }

// Sampled is a whole message of the model, with its tokens exactly as they came
// and what the parser had to mend in it: the place of a repair is one of Tokens,
// or len(Tokens) if the next message's first token told. Forced of the tokens were
// not sampled: the constraint left no choice.
type Sampled struct {
	Turn    int
	Message harmony.Message
	Tokens  []harmony.Token
	Forced  int
	Repairs []harmony.Repair
}

// Decided is the policy's word on a call.
type Decided struct {
	Call     tools.Call
	Decision policies.Decision
	Leaves   []provenance.Leaf // where the values of the arguments came from
}

// Approved is a person's word on a call that the policy wants asked. Headless
// runs have nobody to ask: Asked is false and so is OK.
type Approved struct {
	Call  tools.Call
	Asked bool
	OK    bool
}

// Returned is what the model is told of its call, whether the call ran or not.
type Returned struct {
	Call   tools.Call
	Result tools.Result
	Ran    bool // false: denied, or no such tool
}

// Trouble is a message of the model that could not be used as it stands, and
// what the model is told about it.
type Trouble struct {
	Turn   int
	Notice string
}

func (Rendered) event() {}
func (Started) event()  {}
func (Delta) event()    {}
func (Sampled) event()  {}
func (Decided) event()  {}
func (Approved) event() {}
func (Returned) event() {}
func (Trouble) event()  {}
