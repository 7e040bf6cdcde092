package agent

import (
	"context"
	"fmt"
	"sync"

	"chorale/harmony"
	"chorale/tools"
)

// Guest takes calls that are not our model's, such as those of another program's
// over MCP. They come through the same door: the tools are the declared ones,
// the policy decides on each call, a person may be asked, the budget of calls
// holds and every call is emitted. What moves the other model is not known, so
// only what the task itself says has the user's or the developer's authority.
//
// Model, Encoding and Dialect of the agent are not used.
type Guest struct {
	mu  sync.Mutex // one call at a time, as in a run
	run *run
}

// Guest opens the agent's tools to a guest. The conversation is what the task
// says; the guest is not shown it.
func (a *Agent) Guest(conversation []harmony.Message) *Guest {
	r := newRun(a)
	r.remember(conversation)
	r.origin = harmony.Tool
	return &Guest{run: r}
}

// Serve carries out one call, named as a model would name it. What the caller
// did wrong or was denied is a failed result; an error is ours.
func (g *Guest) Serve(ctx context.Context, recipient, args string) (tools.Result, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.run.used.ToolCalls >= g.run.Budget.ToolCalls {
		return tools.Result{Failed: true, Text: fmt.Sprintf("the budget of tool calls (%d) is spent", g.run.Budget.ToolCalls)}, nil
	}
	_, result, err := g.run.perform(ctx, recipient, args)
	return result, err
}

// Close ends the guest's stay, and says what was used.
func (g *Guest) Close() Outcome {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.run.outcome(Done, "")
}
