package agent

import (
	"testing"

	"chorale/policies"
)

func TestDenialNamesRuleAndMessage(t *testing.T) {
	for want, d := range map[string]policies.Decision{
		"Denied by policy: Payments are off.\nRule: no-pay": {Rule: "no-pay", Reason: "Payments are off.", Rules: []string{"developer:no-pay", "user:above-500"}, Charges: []string{"secret"}},
		"Denied by policy: tool is not allowed":             {Reason: policies.ReasonTool},
		"Denied by policy: approval was refused\nRule: big": policies.Decision{Verdict: policies.Ask, Rule: "big", Reason: "a big order"}.Settle(false),
	} {
		if got := denial(d); got != want {
			t.Errorf("the model is told %q, want %q", got, want)
		}
	}
}

// The key of a call follows from the run's name and the call's id, so that
// whoever goes on with the run sends the same.
func TestKeys(t *testing.T) {
	a, again, other, none := &run{Agent: &Agent{Name: "a"}}, &run{Agent: &Agent{Name: "a"}}, &run{Agent: &Agent{Name: "b"}}, &run{Agent: &Agent{}}
	first := a.call("functions.pay", "{}").Key
	if len(first) != 32 || again.call("functions.pay", "{}").Key != first || other.call("functions.pay", "{}").Key == first || none.call("functions.pay", "{}").Key != "" {
		t.Errorf("the key is %q", first)
	}
	if a.used.ToolCalls++; a.call("functions.pay", "{}").Key == first {
		t.Error("two calls have one key")
	}
}
