package main

import (
	"strings"
	"testing"

	"chorale/runtime"
	"chorale/tools"
)

// TestViewShowsAll: what the model says and what the tools answer is on the
// terminal, long results in part, and nothing can steer the terminal.
func TestViewShowsAll(t *testing.T) {
	yes, no := true, false
	var b strings.Builder
	v := newView(&b, 60)
	for _, r := range []runtime.Record{
		{Kind: runtime.KindBegun, Channel: "analysis"},
		{Kind: runtime.KindDelta, Text: "I call."},
		{Kind: runtime.KindMessage},
		{Kind: runtime.KindBegun, Recipient: "python"},
		{Kind: runtime.KindDelta, Text: "print('\x1b[2J')"},
		{Kind: runtime.KindMessage},
		{Kind: runtime.KindPolicy, Decision: &runtime.Decision{Verdict: "ask", Reason: "approval is needed"}},
		{Kind: runtime.KindResult, Text: strings.Repeat("line\n", 30), Ran: &yes, OK: &no},
		{Kind: runtime.KindTrouble, Text: "Say it again."},
	} {
		v.watch(r)
	}
	if err := v.finish(runtime.Result{Status: "budget", ExitCode: 5, Dir: "/runs/x", Citations: []tools.Citation{{Cursor: 2, Lines: "L8", Title: "A\x1b[2J page", URL: "http://a.example/"}}, Checks: []runtime.CheckResult{{Check: "answer equals 1", Reason: "got 2"}}}); err != nil {
		t.Fatal(err)
	}
	out := b.String()
	for _, want := range []string{"  I call.\n", "╭ python\n", "│ print('·[2J')\n", "├ the policy asks: approval is needed\n", "… 10 lines more in the trace", "╰ failed", "! Say it again.", "[2] L8 · A·[2J page · http://a.example/\n", "✗ answer equals 1  got 2", "budget · 0 turns"} {
		if !strings.Contains(out, want) {
			t.Errorf("the view lacks %q:\n%s", want, out)
		}
	}
	if strings.Count(out, "│ line") != maxLines {
		t.Errorf("%d lines of the result are shown, want %d", strings.Count(out, "│ line"), maxLines)
	}
	if strings.Contains(out, "\x1b[2J") {
		t.Error("an escape sequence of the model's reached the terminal")
	}
}
