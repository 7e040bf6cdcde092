package policies

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"chorale/harmony"
	"chorale/policies/provenance"
	"chorale/tools"
)

var layers = []harmony.Role{harmony.System, harmony.Developer, harmony.User}

// A drawn policy file is kept as lines, so that a rule can be added to it.
type drawn struct {
	layer    harmony.Role
	defaults string
	rules    []string
}

func (d drawn) parse(t *rapid.T) *Policy {
	src := fmt.Sprintf("apiVersion: agent/v1\nkind: Policy\nlayer: %s\n%srules: [\n%s]\n", d.layer, d.defaults, strings.Join(d.rules, ",\n"))
	p, err := Parse("p.yaml", []byte(src), d.layer)
	if err != nil {
		t.Fatalf("%v\n%s", err, src)
	}
	return p
}

var verdicts = rapid.SampledFrom([]string{"deny", "ask", "allow"})

func drawRule(t *rapid.T, id int, decisions *rapid.Generator[string]) string {
	tool := rapid.SampledFrom([]string{`"*"`, "python", "functions", `"functions.*"`, "functions.a", "[functions.b, python]"}).Draw(t, "tool")
	match := rapid.SampledFrom([]string{"", ", except: functions.a", ", args: {x: {min: 2}}", ", args: {x: {not: {max: 2}}}",
		", args: {x: [1, a, true]}", ", args: {x: a*}", `, args: {"x[0]": 1}`, ", args: {$: {regexp: a}}", ", code: {not: a}"}).Draw(t, "match")
	limits := rapid.SampledFrom([]string{"", ", limits: {time: 5s}", ", limits: {output: 10, memory: 1Mi}", ", budget: {calls: 0}", ", budget: {calls: 1, bytes: 6}"}).Draw(t, "limits")
	when := rapid.SampledFrom([]string{"", "", ", when: args.x > 1", `, when: 'has(args.x)'`, ", when: 'effect == \"read\"'",
		`, when: 'tool.endsWith("a")'`, ", when: 'args.x.all(v, v == 1)'"}).Draw(t, "when")
	return fmt.Sprintf("{id: r%d, match: {tool: %s%s}%s, decision: %s%s}", id, tool, match, when, decisions.Draw(t, "decision"), limits)
}

func drawFile(t *rapid.T, from ...harmony.Role) drawn {
	d := drawn{layer: rapid.SampledFrom(from).Draw(t, "layer")}
	if rapid.Bool().Draw(t, "has defaults") {
		d.defaults = fmt.Sprintf("defaults: {read: %s, sideEffect: %s}\n", verdicts.Draw(t, "read"), verdicts.Draw(t, "side effect"))
	}
	if rapid.Bool().Draw(t, "has origins") {
		d.defaults += fmt.Sprintf("origins: {%s: %s, irreversible: %s, newHost: %s}\n", rapid.SampledFrom([]string{"destination", "selector", "secret", "unanchored"}).Draw(t, "origin"),
			verdicts.Draw(t, "of origin"), verdicts.Draw(t, "irreversible"), verdicts.Draw(t, "new host"))
	}
	d.defaults += rapid.SampledFrom([]string{"", "", "hosts: []\n", "hosts: [a.example]\n", "hosts: [\"*.example\", \"*\"]\n", "hosts: [b.example]\n"}).Draw(t, "hosts")
	for i := range rapid.IntRange(0, 4).Draw(t, "rules") {
		d.rules = append(d.rules, drawRule(t, i, verdicts))
	}
	return d
}

func drawRequest(t *rapid.T) Request {
	return Request{
		Call: tools.Call{
			Tool:     rapid.SampledFrom([]string{"python", "functions", "browser"}).Draw(t, "tool"),
			Function: rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "function"),
			Args: rapid.SampledFrom([]string{`{"x":1}`, `{"x":2.5}`, `{"x":"a"}`, `{"x":[1,"a"]}`, `{"x":[]}`, `{}`, `{"x":null}`,
				`a = 1`, ``, `{"x":1,"x":3}`, `[]`}).Draw(t, "args"),
		},
		Effect:       rapid.SampledFrom([]Effect{Unknown, SideEffect, Read}).Draw(t, "effect"),
		Irreversible: rapid.Bool().Draw(t, "irreversible"),
		Leaves: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) provenance.Leaf {
			return provenance.Leaf{Arg: "x", Text: rapid.SampledFrom([]string{"1", "https://a.example/x"}).Draw(t, "text"), Class: provenance.Class(rapid.IntRange(0, 6).Draw(t, "class")),
				Label: provenance.Label(rapid.IntRange(0, 6).Draw(t, "label")), Sent: rapid.Bool().Draw(t, "sent"),
				Links: []provenance.Link{{Host: "a.example", Standing: provenance.Standing(rapid.IntRange(0, 4).Draw(t, "standing"))}}}
		}), 0, 3).Draw(t, "leaves"),
	}
}

func stack(t *rapid.T, files []drawn) *Policy {
	p := &Policy{}
	for _, f := range files {
		p = p.Narrow(f.parse(t))
	}
	return p
}

// permitsMore reports whether b permits what a does not.
func permitsMore(b, a Decision) bool {
	return b.Verdict > a.Verdict || b.Verdict != Deny && b.Limits != b.Limits.Meet(a.Limits)
}

// drawFiles draws a stack that can permit something: it has a system layer.
func drawFiles(t *rapid.T) []drawn {
	files := []drawn{drawFile(t, harmony.System)}
	for range rapid.IntRange(0, 3).Draw(t, "more files") {
		files = append(files, drawFile(t, layers...))
	}
	return files
}

// Adding a file to any layer never turns deny into ask or allow, nor ask into
// allow, and widens no limit. The order in which files are added is no matter.
func TestAddedFileOnlyNarrows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		files, added, r := drawFiles(t), drawFile(t, layers...), drawRequest(t)
		before := stack(t, files)
		after, reversed := before.Narrow(added.parse(t)).Decide(r), added.parse(t).Narrow(before).Decide(r)
		if permitsMore(after, before.Decide(r)) {
			t.Fatalf("%+v became %+v", before.Decide(r), after)
		}
		if after.Verdict != reversed.Verdict || after.Limits != reversed.Limits || len(after.Charges) != len(reversed.Charges) {
			t.Fatalf("%+v, but in the other order %+v", after, reversed)
		}
	})
}

// Nor does a rule that is added to a file; but in the system layer a rule that
// allows takes the place of its own file's default, which is how the machine's
// owner grants.
func TestAddedRuleOnlyNarrows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		files, r := drawFiles(t), drawRequest(t)
		before := stack(t, files).Decide(r)
		i := rapid.IntRange(0, len(files)-1).Draw(t, "file")
		decisions := verdicts
		if files[i].layer == harmony.System {
			decisions = rapid.SampledFrom([]string{"deny", "ask"})
		}
		files[i].rules = append(files[i].rules, drawRule(t, 99, decisions))
		if after := stack(t, files).Decide(r); permitsMore(after, before) {
			t.Fatalf("%+v became %+v", before, after)
		}
	})
}

// Whatever a system file grants, no other file's word is lifted.
func TestGrantLiftsNoOtherFile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		files, r := drawFiles(t), drawRequest(t)
		granting := drawFile(t, harmony.System)
		granting.rules = append(granting.rules, drawRule(t, 99, rapid.Just("allow")))
		if d := stack(t, append(files, granting)).Decide(r); permitsMore(d, stack(t, files).Decide(r)) {
			t.Fatalf("%+v became %+v", stack(t, files).Decide(r), d)
		}
	})
}

func TestNothingIsPermittedWithoutSystemLayer(t *testing.T) {
	user, err := Parse("u", []byte("apiVersion: agent/v1\nkind: Policy\nlayer: user\ndefaults: {read: allow, unknownTool: allow}\n"), harmony.User)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []*Policy{nil, {}, user, (*Policy)(nil).Narrow(user, nil)} {
		if d := p.Decide(Request{Call: tools.Call{Tool: "python"}, Effect: Read}); d.Verdict != Deny || d.Limits != (tools.Limits{}) || d.Reason != ReasonTool {
			t.Errorf("got %+v", d)
		}
	}
}

func TestParseKnowsThreeLayers(t *testing.T) {
	for _, from := range []harmony.Role{0, harmony.Assistant, harmony.Tool} {
		if _, err := Parse("p", []byte("apiVersion: agent/v1\nkind: Policy\nlayer: "+from.String()+"\n"), from); err == nil {
			t.Errorf("%s: no error", from)
		}
	}
}

func TestSettle(t *testing.T) {
	limits := tools.Limits{Time: time.Second, Output: 1, Memory: 1}
	for _, c := range []struct {
		verdict  Verdict
		approved bool
		want     Decision
	}{
		{Ask, true, Decision{Verdict: Allow, Reason: "r", Limits: limits}},
		{Ask, false, Decision{Verdict: Deny, Reason: ReasonRefused}},
		{Allow, false, Decision{Verdict: Allow, Reason: "r", Limits: limits}},
		{Deny, true, Decision{Verdict: Deny, Reason: "r", Limits: limits}},
	} {
		if got := (Decision{Verdict: c.verdict, Reason: "r", Limits: limits}).Settle(c.approved); !cmp.Equal(got, c.want) {
			t.Errorf("%s settled with %v: %+v, want %+v", c.verdict, c.approved, got, c.want)
		}
	}
}

func TestExplain(t *testing.T) {
	dev, err := Parse("dev.yaml", []byte(`apiVersion: agent/v1
kind: Policy
layer: developer
defaults: {sideEffect: ask}
rules:
- {id: one, match: {tool: functions.send}, decision: ask, message: One.}
- {id: other, match: {tool: functions.other}, decision: deny}
- {id: two, match: {tool: "functions.*"}, decision: deny}
`), harmony.Developer)
	if err != nil {
		t.Fatal(err)
	}
	got := Default().Narrow(dev).Explain(Request{Call: tools.Call{Tool: "functions", Function: "send", Args: "{}"}, Effect: SideEffect})
	want := Explanation{
		Decision: Decision{Verdict: Deny, Layer: harmony.Developer, Rule: "two", Reason: ReasonTool, Rules: []string{"developer:one", "developer:two"}},
		Findings: []Finding{
			{Layer: harmony.System, File: "policies/default/system.yaml", Verdict: Ask, Reason: ReasonAsk},
			{Layer: harmony.Developer, File: "dev.yaml", Line: 6, Rule: "one", Verdict: Ask, Reason: "One."},
			{Layer: harmony.Developer, File: "dev.yaml", Line: 8, Rule: "two", Verdict: Deny, Reason: ReasonTool},
			{Layer: harmony.Developer, File: "dev.yaml", Verdict: Ask, Reason: ReasonAsk},
		},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Finding{})); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true}, {"", "a", false}, {"*", "", true}, {"*", "a/b.c", true}, {"a*c", "abbc", true}, {"a*c", "abbd", false},
		{"?", "é", true}, {"?", "", false}, {"*.*", "a.b", true}, {"a**b", "ab", true}, {"*ab", "aab", true}, {"a?", "a", false},
		{strings.Repeat("*a", 1000) + "b", strings.Repeat("a", 20000), false}, // takes no exponential time
	} {
		if got := glob(c.pattern, c.s); got != c.want {
			t.Errorf("glob(%.20q, %.20q) = %v", c.pattern, c.s, got)
		}
	}
}

func FuzzDecide(f *testing.F) {
	p, err := Parse("p", []byte(`apiVersion: agent/v1
kind: Policy
layer: system
defaults: {unknownTool: allow}
rules:
- {id: a, match: {tool: "*", args: {x: {below: 5}, "y[*].z": "a*"}}, decision: deny}
`), harmony.System)
	if err != nil {
		f.Fatal(err)
	}
	f.Add("functions", "f", `{"x":1,"y":[{"z":"abc"}]}`)
	f.Add("functions", "f", `{"x":{}}`)
	f.Fuzz(func(t *testing.T, tool, function, args string) {
		r := Request{Call: tools.Call{Tool: tool, Function: function, Args: args}}
		if a, b := p.Decide(r), p.Decide(r); !cmp.Equal(a, b) {
			t.Errorf("%+v, then %+v", a, b)
		}
	})
}

// BenchmarkDecide is one decision with a hundred rules and a context of 200 kB,
// the search for the origins of all values included. The goal is at most 50 µs.
func BenchmarkDecide(b *testing.B) {
	var rules strings.Builder
	for i := range 95 {
		fmt.Fprintf(&rules, "- {id: r%d, match: {tool: functions.order, args: {amount: {above: %d}}}, decision: ask}\n", i, 1000+i)
	}
	for i := range 5 {
		fmt.Fprintf(&rules, "- {id: w%d, match: {tool: functions.order}, when: 'args.amount > %d && prov.to[args.to] != \"user\"', decision: ask}\n", i, 1000+i)
	}
	dev, err := Parse("p", []byte("apiVersion: agent/v1\nkind: Policy\nlayer: developer\norigins: {destination: ask, selector: ask, textLink: ask, steered: ask, unanchored: ask}\nhosts: [shop.example, \"*.acme.example\", \"shop77.example\"]\negress: {maxUrlQuery: 256}\nrules:\n"+rules.String()), harmony.Developer)
	if err != nil {
		b.Fatal(err)
	}
	p := Default().Narrow(dev)
	ledger := provenance.NewLedger(&provenance.Manifest{Tools: map[string]provenance.Tool{
		"functions.order": {Args: map[string]provenance.Class{"to": provenance.Destination, "note": provenance.Text, "amount": provenance.Amount, "ref": provenance.URL}}}})
	ledger.UserSaid("Look at https://shop77.example/x and order 12 boxes from orders@shop.example and tell them hello.")
	var page strings.Builder
	for i := 0; page.Len() < 200_000; i++ {
		fmt.Fprintf(&page, "Line %d of a long page speaks of order %d at https://shop%d.example/%x and of hello.\n", i, i*7, i, i*i)
	}
	ledger.Returned(tools.Call{Tool: "functions", Function: "read"}, nil, tools.Result{Text: page.String()})
	call := tools.Call{Tool: "functions", Function: "order", Args: `{"to": "orders@shop.example", "amount": 12, "note": "hello, a long page speaks of it", "ref": "https://shop77.example/x"}`}
	b.ReportAllocs()
	var took []time.Duration
	for b.Loop() {
		start := time.Now()
		d := p.Decide(Request{Call: call, Effect: Read, Leaves: ledger.Leaves(call)})
		took = append(took, time.Since(start))
		if d.Verdict != Allow {
			b.Fatalf("%+v", d)
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2])/1e3, "µs-p50")
	b.ReportMetric(float64(took[len(took)*95/100])/1e3, "µs-p95")
}
