package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"chorale/harmony"
	"chorale/policies"
	"chorale/policies/provenance"
	"chorale/tools"
)

// DenialPrefix begins what the model is told of a denied call; the rule's message
// follows, and on a line of its own the rule's id.
const DenialPrefix = "Denied by policy: "

// denial is what the model is told of a denied call. It holds what the author of
// the rule wrote for it to read, and nothing of what the rule compares with.
func denial(d policies.Decision) string {
	text := DenialPrefix + d.Reason
	if d.Rule != "" {
		text += "\nRule: " + d.Rule
	}
	return text
}

// serve answers one call: whatever becomes of it, the model is told. An error
// means that a sandbox broke, and ends the run.
func (r *run) serve(ctx context.Context, m *harmony.Parsed) error {
	if r.used.ToolCalls >= r.Budget.ToolCalls {
		r.overCalled = true
		return nil
	}
	call, result, err := r.perform(ctx, m.Recipient, m.Text())
	if err != nil {
		return err
	}
	return r.tell(harmony.NewToolResult(call.Name(), replyChannel(m.Channel), r.marked(call, result.Text)))
}

// marked is a tool's output as the model is shown it.
func (r *run) marked(call tools.Call, text string) string {
	if r.Mark == nil || r.Manifest != nil && r.Manifest.Tools[call.Name()].Output != provenance.Untrusted {
		return text
	}
	return r.Mark(text)
}

// perform counts a call, carries it out if it may be, and puts it on record.
func (r *run) perform(ctx context.Context, recipient, args string) (tools.Call, tools.Result, error) {
	r.used.ToolCalls++
	call := r.call(recipient, args)
	result, ran, err := r.attempt(ctx, call)
	if err != nil {
		return call, result, fmt.Errorf("tool %s: %w", call.Name(), err)
	}
	if result.Failed && ran {
		r.used.Failures++
	}
	result.Text = strings.TrimSuffix(result.Text, "\n") // a line's end says nothing to the model
	r.emit(Returned{Call: call, Result: result, Ran: ran})
	return call, result, nil
}

// call reads a recipient: the namespace, and after the first dot the function.
func (r *run) call(recipient, args string) tools.Call {
	tool, function, _ := strings.Cut(recipient, ".")
	id := fmt.Sprintf("call-%d", r.used.ToolCalls)
	return tools.Call{ID: id, Key: r.key(id), Tool: tool, Function: function, Args: args}
}

// key is what a service knows a call by, so that a second try of it does nothing
// twice: the same in every process that goes on with the run.
func (r *run) key(id string) string {
	if r.Name == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(r.Name + "\x00" + id))
	return hex.EncodeToString(sum[:16])
}

// attempt runs a call if it exists and is permitted, and says what to tell the
// model.
func (r *run) attempt(ctx context.Context, call tools.Call) (result tools.Result, ran bool, err error) {
	if !r.declares(call) {
		r.used.Failures++
		return tools.Result{Failed: true, Text: fmt.Sprintf("There is no tool %s. The tools are: %s.", call.Name(), r.toolNames())}, false, nil
	}
	request := r.request(call)
	decision := r.Gate.Decide(request)
	r.emit(Decided{Call: call, Decision: decision, Leaves: request.Leaves})
	couldAsk := decision.Verdict == policies.Ask
	if couldAsk {
		approved, err := r.ask(ctx, Question{call, decision, request.Leaves})
		if err != nil {
			return tools.Result{}, false, err
		}
		decision = decision.Settle(approved)
	}
	if decision.Verdict != policies.Allow {
		r.denied(call, couldAsk)
		return tools.Result{Failed: true, Text: denial(decision)}, false, nil
	}
	r.tally.Charge(decision, request)
	call.Limits = decision.Limits
	result, err = r.invoke(ctx, call)
	given := result
	given.Failed = result.Failed || err != nil
	r.ledger.Returned(call, request.Leaves, given)
	return result, true, err
}

// request is what the gate decides on: the call, what it can do, where each of
// its values came from, and what the run has spent.
func (r *run) request(call tools.Call) policies.Request {
	q := policies.Request{Call: call, Origin: r.origin, Effect: r.effect(call), Leaves: r.ledger.Leaves(call), Tally: &r.tally}
	if r.Manifest != nil {
		q.Irreversible = r.Manifest.Tools[call.Name()].Irreversible
	}
	return q
}

// ask puts the call before a person. With nobody there the answer is no. A yes
// gives the call's values that person's word; where the rule says so it holds
// for equal calls of the run as well.
func (r *run) ask(ctx context.Context, q Question) (bool, error) {
	key := q.Call.Name() + "\x00" + q.Call.Args
	if r.yes[key] && q.Decision.Remember == policies.ForRun {
		r.emit(Approved{Call: q.Call, Asked: true, OK: true})
		return true, nil
	}
	if r.Approver == nil {
		r.emit(Approved{Call: q.Call})
		return false, nil
	}
	ok, err := r.Approver.Approve(ctx, q)
	if err != nil {
		return false, fmt.Errorf("ask for approval: %w", err)
	}
	r.emit(Approved{Call: q.Call, Asked: true, OK: ok})
	if ok {
		r.yes[key] = r.yes[key] || q.Decision.Remember == policies.ForRun
		r.ledger.Approved(q.Call, q.Leaves)
	}
	return ok, nil
}

// denied counts equal denials of equal calls.
func (r *run) denied(call tools.Call, couldAsk bool) {
	r.used.Denials++
	key := call.Name() + "\x00" + call.Args
	r.denials[key]++
	if n := r.denials[key]; n >= r.Budget.RepeatDenied {
		r.stuck = &stuck{call: call.Name(), couldAsk: couldAsk, times: n}
	}
}

// invoke is the one door: the only place in the module that calls a tool. It is
// reached after the policy's decision alone.
func (r *run) invoke(ctx context.Context, call tools.Call) (tools.Result, error) {
	tool, err := r.Tools.Tool(ctx, call.Tool)
	if err != nil {
		return tools.Result{}, err
	}
	return tool.Call(ctx, call)
}

// declares reports whether the prompt told the model of such a tool.
func (r *run) declares(c tools.Call) bool {
	for _, ns := range r.Declared {
		if ns.Name != c.Tool {
			continue
		}
		if len(ns.Functions) == 0 {
			return c.Function == ""
		}
		return slices.ContainsFunc(ns.Functions, func(f harmony.Function) bool { return f.Name == c.Function })
	}
	return false
}

func (r *run) effect(c tools.Call) policies.Effect {
	if r.Effect == nil {
		return policies.Unknown
	}
	return r.Effect(c)
}

func (r *run) toolNames() string {
	var names []string
	for _, ns := range r.Declared {
		if len(ns.Functions) == 0 {
			names = append(names, ns.Name)
		}
		for _, f := range ns.Functions {
			names = append(names, ns.Name+"."+f.Name)
		}
	}
	if names == nil {
		return "none"
	}
	return strings.Join(names, ", ")
}

// maxRecipient bounds what becomes an author's name.
const maxRecipient = 128

var recipientPattern = regexp.MustCompile(`^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$`)

// callable reports whether a recipient can be answered: the answer bears it as
// its author. A role's name cannot, or the model could have us speak as one.
func callable(recipient string) bool {
	_, role := harmony.ParseRole(recipient)
	return !role && recipient != "all" && len(recipient) <= maxRecipient && recipientPattern.MatchString(recipient)
}

// replyChannel is the channel that a call is answered on: its own.
func replyChannel(of string) string {
	if of == harmony.Analysis {
		return harmony.Analysis
	}
	return harmony.Commentary
}
