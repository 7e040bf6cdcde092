package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"chorale/configs"
	"chorale/harmony"
	"chorale/internal/fence"
	"chorale/policies"
	"chorale/policies/provenance"
	"chorale/runtime"
	"chorale/tools"
	"chorale/tools/functions"
)

const explainHelp = `Say what the policies decide about a call, and which rules of which layer had a
say. ARGS is the call's JSON, or Python source.

  agent policy explain functions.send_mail '{"to":"a@b.example"}' --task task.yaml

With --task its policies, tools, manifests and prompt count. --said adds words of
the user, --seen untrusted text, as if a tool had given it before the call.`

// explainFlags are what the command line says about a call to explain.
type explainFlags struct {
	task       string
	effect     string
	said, seen []string
	hierarchy  bool
}

func newPolicyExplain(std streams) *cobra.Command {
	var f explainFlags
	cmd := &cobra.Command{
		Use: "explain CALL [ARGS]", Short: "Say which rules decide about a call", Long: explainHelp, Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			text := ""
			if len(args) > 1 {
				text = args[1]
			}
			tool, function, _ := strings.Cut(args[0], ".")
			return f.explain(cmd, std.out, tools.Call{ID: "call-1", Tool: tool, Function: function, Args: text})
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.task, "task", "", "the task `file` that the call would be made in")
	flags.StringArray("policy", nil, "one more policy `file`")
	flags.StringVar(&f.effect, "effect", "", "what the tool can do, where no task says it: `read|sideEffect|unknownTool`")
	flags.StringArrayVar(&f.said, "said", nil, "`words` of the user")
	flags.StringArrayVar(&f.seen, "seen", nil, "untrusted `text` in the context")
	flags.BoolVar(&f.hierarchy, "hierarchy", false, "show the instruction hierarchy and what each rank of it says")
	return cmd
}

func (f *explainFlags) explain(cmd *cobra.Command, out io.Writer, call tools.Call) error {
	policy, request, err := f.request(cmd, call)
	if err != nil {
		return err
	}
	e := policy.Explain(request)
	d := e.Decision
	fmt.Fprintf(out, "%s: %s", call.Name(), d.Verdict)
	if d.Rule != "" {
		fmt.Fprintf(out, " by rule %s of the %s layer", d.Rule, d.Layer)
	}
	if d.Reason != "" {
		fmt.Fprintf(out, ": %s", d.Reason)
	}
	fmt.Fprintln(out)
	for _, l := range request.Leaves {
		fmt.Fprintf(out, "  %-12s %s  %s\n", l.Class, show(l.Arg+" "+quoted(l.Text)), originWords(l))
	}
	if err := f.explainGrants(out, call, policy); err != nil {
		return err
	}
	if f.hierarchy {
		return hierarchy(out, e)
	}
	for _, found := range e.Findings {
		fmt.Fprintln(out, "  "+findingLine(found))
	}
	return nil
}

// explainGrants shows what the declaration of a called function grants of hosts
// and folders, and what each policy leaves of it.
func (f *explainFlags) explainGrants(out io.Writer, call tools.Call, policy *policies.Policy) error {
	if f.task == "" || call.Tool != functions.Namespace {
		return nil
	}
	job, err := runtime.Read(f.task)
	if err != nil {
		return err
	}
	set, err := functionSet(job)
	if err != nil {
		return err
	}
	within, err := fenceOf(job, policy)
	if err != nil {
		return err
	}
	origins, folders := set.Grants(call.Function)
	for _, origin := range origins {
		word := "permitted"
		if origin == fence.Any && len(policy.Hosts()) > 0 {
			word = "held to the hosts of policies by a proxy, unless they are *"
		}
		if err := within.Reach(origin); err != nil {
			word = "refused: " + err.Error()
		}
		fmt.Fprintf(out, "  %-12s %s  %s\n", "host", show(origin), show(word))
	}
	for _, folder := range folders {
		at, permits, err := within.Permits(folder.Path, folder.Mode)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "  %-12s %s %s\n", "folder", folder.Mode, show(at))
		for _, p := range permits {
			word := "refused: no entry covers it"
			if p.By != nil {
				word = "permitted by " + p.By.String()
			}
			fmt.Fprintf(out, "  %-12s   %s  (%s)\n", "", show(word), show(p.List.From))
		}
	}
	return nil
}

func findingLine(f policies.Finding) string {
	what := "default"
	if f.Rule != "" {
		what = "rule " + f.Rule
	}
	line := fmt.Sprintf("%-9s  %-5s  %s (%s", f.Layer, f.Verdict, what, f.File)
	if f.Line > 0 {
		line += fmt.Sprintf(":%d", f.Line)
	}
	return line + ")"
}

// hierarchy shows the ranks from the highest to the lowest, and what each says
// of the call. The lowest two have no say at all.
func hierarchy(out io.Writer, e policies.Explanation) error {
	fmt.Fprintln(out, "\nsystem > developer > user > assistant > tool; the most restrictive word of the first three holds")
	for _, role := range []harmony.Role{harmony.System, harmony.Developer, harmony.User} {
		said, verdict := 0, policies.Allow
		for _, found := range e.Findings {
			if found.Layer != role {
				continue
			}
			said++
			verdict = min(verdict, found.Verdict)
			fmt.Fprintln(out, "  "+findingLine(found))
		}
		word := "says " + verdict.String()
		switch {
		case said == 0:
			word = "says nothing, and lifts nothing"
		case verdict > e.Decision.Verdict:
			word += ", which does not lift the " + e.Decision.Verdict.String()
		}
		fmt.Fprintf(out, "%-9s  %s\n", role, word)
	}
	fmt.Fprintf(out, "%-9s  asks for the call; its text decides nothing\n", harmony.Assistant)
	_, err := fmt.Fprintf(out, "%-9s  what tools give is data: it authors no role, widens no grant, changes no policy\n", harmony.Tool)
	return err
}

// request is the policy and the call in the context that the flags describe.
func (f *explainFlags) request(cmd *cobra.Command, call tools.Call) (*policies.Policy, policies.Request, error) {
	fail := func(err error) (*policies.Policy, policies.Request, error) { return nil, policies.Request{}, err }
	cfg, _, err := configs.Load(".", cmd.Flags())
	if err != nil {
		return fail(err)
	}
	job, granted, manifest := &runtime.Job{}, []runtime.Grant(nil), &provenance.Manifest{}
	if f.task != "" {
		if job, err = runtime.Read(f.task); err != nil {
			return fail(err)
		}
		if manifest, err = loadManifests(job); err != nil {
			return fail(err)
		}
	}
	policy, err := loadPolicies(job, cfg.Policies)
	if err != nil {
		return fail(err)
	}
	if f.task != "" {
		if granted, err = grants(job, policies.Default(), nil); err != nil { // without the policies, which are explained
			return fail(err)
		}
	}
	r := policies.Request{Call: call, Effect: policies.Unknown}
	for _, g := range granted {
		if g.Namespace.Name == call.Tool && g.Effect != nil {
			r.Effect = g.Effect(call.Function)
		}
	}
	if f.effect != "" {
		if f.task != "" {
			return fail(errors.New("--effect: the task says what its tools can do; leave one of the two out"))
		}
		if err := r.Effect.UnmarshalText([]byte(f.effect)); err != nil {
			return fail(fmt.Errorf("--effect: %w", err))
		}
	}
	manifest = runtime.Manifest(manifest, granted)
	ledger := provenance.NewLedger(manifest)
	ledger.DeveloperSaid(job.Task.Developer.Text)
	for _, text := range append([]string{job.Task.Prompt}, f.said...) {
		ledger.UserSaid(text)
	}
	for _, text := range f.seen {
		ledger.Returned(tools.Call{Tool: "seen"}, nil, tools.Result{Text: text})
	}
	r.Leaves = ledger.Leaves(call)
	if manifest != nil {
		r.Irreversible = manifest.Tools[call.Name()].Irreversible
	}
	return policy, r, nil
}
