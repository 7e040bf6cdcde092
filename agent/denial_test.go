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
