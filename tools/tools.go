// Package tools is the vocabulary that the agent loop and every sandbox share:
// what a tool declares, what a call is, and what comes back. It runs nothing.
package tools

import (
	"context"
	"time"

	"chorale/harmony"
)

// Tool is a sandbox behind one namespace of the prompt. Implementations are
// safe for one call at a time; Close may come at any moment, also twice.
type Tool interface {
	// Namespace is what the prompt declares to the model.
	Namespace() harmony.Namespace
	// Call runs one call. A Result with Failed set is the model's to read and
	// mend; an error is ours and stops the task (the sandbox itself broke).
	// Call returns soon after ctx is done, with ctx's error.
	Call(ctx context.Context, c Call) (Result, error)
	// Close ends everything the tool owns: processes, goroutines, files.
	Close() error
}

// Call is one tool call as the model made it, with the rights that the policy
// left it.
type Call struct {
	ID       string // unique in the run
	Key      string // unique everywhere; equal if a run that was taken up again makes the call again
	Tool     string // namespace: "python", "functions"
	Function string // empty where the namespace itself is called, as python is
	Args     string // the message's content: JSON for functions, source text for python
	Limits   Limits
}

// Name is the recipient as the model addressed it: "functions.get_price".
func (c Call) Name() string {
	if c.Function == "" {
		return c.Tool
	}
	return c.Tool + "." + c.Function
}

// Limits bound one call. The zero value permits nothing: a tool refuses a call
// without a time limit.
type Limits struct {
	Time   time.Duration // wall time of the call
	Output int           // bytes of text given back to the model
	Memory int64         // bytes of the sandbox's memory
}

// Meet returns the stricter of each limit.
func (l Limits) Meet(m Limits) Limits {
	return Limits{Time: min(l.Time, m.Time), Output: min(l.Output, m.Output), Memory: min(l.Memory, m.Memory)}
}

// Result is what a call gave. Text is data: it is encoded as ordinary text and
// has no authority.
type Result struct {
	Text   string
	Failed bool // the call did not do what was asked; Text says why
	// Origin says who wrote Text, where the tool knows it: the origin of a page,
	// "https://shop.example".
	Origin    string
	Artifacts []Artifact
}

// Artifact is a file that a call left for the user.
type Artifact struct {
	Name string // as the model knows it: "/mnt/data/plot.png"
	Path string // where it lies on the host
	Size int64
}

// Citation is a source that an answer names.
type Citation struct {
	Cursor int    `json:"cursor"` // of the display that is cited, as the model knows it
	Title  string `json:"title"`
	URL    string `json:"url"`
	Lines  string `json:"lines,omitempty"` // of that display: "L8" or "L9-L11"
}
