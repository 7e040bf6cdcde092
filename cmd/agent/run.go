package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"chorale/agent"
	"chorale/configs"
	"chorale/inference"
	"chorale/inference/store"
	"chorale/internal/strictyaml"
	"chorale/policies"
	"chorale/runtime"
	"chorale/tools/browser"
	"chorale/tools/python"
)

const runHelp = `Carry out a task. On a terminal the run is shown while it happens; into a pipe
or file goes the final answer alone, and with --json every event as a JSON line,
the last one {"type":"run.finished",...}.

What a flag or AGENT_* variable says goes before the task file, and the task
file before the configuration files.

Exit codes:
  0    answered, and all checks of the task passed
  1    ended without an answer, or a check failed
  2    the command line or a file is wrong; nothing ran
  3    stopped by policy: the model kept trying what is denied
  4    stopped because an approval was needed and nobody gave it
  5    a budget is spent: turns, tool calls, tokens, context or time
  6    a tool or its sandbox broke, or the answer could not be printed
  7    the model or its device broke
  130  interrupted`

// runFlags are what the command line says about one run.
type runFlags struct {
	json, quiet bool
	set         []string
	flags       *pflag.FlagSet
	seed        uint64
	maxTurns    int
	timeout     time.Duration
	output      string

	answers        string // who answers questions, as configured
	secret         []byte // that signs questions to a server
	approveTimeout time.Duration
}

func newRun(std streams) *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use: "run TASK.yaml", Short: "Carry out a task", Long: runHelp, Args: one("task file"),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, std, args[0]) },
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
		},
	}
	flags := cmd.Flags()
	f.flags = flags
	flags.SortFlags = false
	flags.StringArrayVar(&f.set, "set", nil, "set an input of the task: `name=value`")
	flags.String("model", "", "model: pocket (embedded), a pulled one as gpt-oss-20b, or the `path` of a folder or GGUF file")
	flags.String("device", "", "where to compute: auto, cpu, software, or an `id` from agent device ls")
	memoryFlags(flags)
	flags.Uint64Var(&f.seed, "seed", 0, "seed of the sampler")
	flags.StringArray("policy", nil, "one more policy `file`; it can only narrow")
	flags.String("approve", "", "who decides what a policy wants asked: `ask|deny|wait`, or the https address of a webhook")
	flags.DurationVar(&f.approveTimeout, "approve-timeout", 10*time.Minute, "how long wait and a webhook have for an answer")
	flags.IntVar(&f.maxTurns, "max-turns", 0, "calls and answers of the model")
	flags.DurationVar(&f.timeout, "timeout", 0, "wall time of the run")
	flags.String("run-dir", "", "`folder` that runs are kept in")
	flags.StringVarP(&f.output, "output", "o", "", "write the answer to a `file` as well")
	flags.BoolVar(&f.json, "json", false, "print every event as a JSON line")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "print the final answer alone, on a terminal too")
	return cmd
}

// run carries the task out and prints what the chosen form of output asks for.
func (f *runFlags) run(cmd *cobra.Command, std streams, path string) error {
	out := f.presenter(std)
	res, err := f.carryOut(cmd, std, path, out)
	if err != nil && res.Status == "" {
		res = runtime.Result{Status: runtime.UsageError, Reason: err.Error()}
	}
	res.ExitCode = runtime.ExitCode(res.Status)
	err = out.finish(res)
	switch {
	case res.ExitCode == 0 && err != nil:
		return &exitError{code: runtime.ExitTool, err: fmt.Errorf("print the answer: %w", err), told: true}
	case res.ExitCode == 0:
		return nil
	case f.json:
		return &exitError{code: res.ExitCode, told: true}
	}
	return &exitError{code: res.ExitCode, err: errors.New(res.Reason), told: true}
}

// carryOut reads everything, wires it, and runs. With an error comes a result
// only if something ran.
func (f *runFlags) carryOut(cmd *cobra.Command, std streams, path string, out presenter) (runtime.Result, error) {
	cfg, sources, err := configs.Load(".", cmd.Flags())
	if err != nil {
		return runtime.Result{}, err
	}
	job, err := f.read(path, cfg, sources)
	if err != nil {
		return runtime.Result{}, err
	}
	gate, err := loadPolicies(job, cfg.Policies)
	if err != nil {
		return runtime.Result{}, err
	}
	manifest, err := loadManifests(job)
	if err != nil {
		return runtime.Result{}, err
	}
	ctx := cmd.Context()
	_, seen := out.(*view)
	servers, err := connectServers(ctx, std, job, gate, seen && std.answers && job.Task.Approvals.Mode == runtime.AskApproval)
	if err != nil {
		return broken(ctx, job, statusOf(err), err), err
	}
	defer servers.Close()
	granted, err := grants(job, gate, &cfg.Search, servers.set)
	if err != nil {
		return runtime.Result{}, err
	}
	if err := f.checkOutput(job); err != nil {
		return runtime.Result{}, err
	}
	var told notices
	say := func(text string) {
		out.notice(text)
		told.add(text)
	}
	for _, text := range unconfined(job) {
		say(text)
	}
	if err := prepare(cmd, std, job, cfg); err != nil {
		return broken(ctx, job, agent.ToolBroke, err), err
	}
	remember := recall(job.Task.Model, cfg)
	engine, err := openEngine(ctx, job.Task.Model, cfg, say, f.opening(std))
	if err != nil {
		return broken(ctx, job, modelStatus(err), err), err
	}
	defer engine.Close()
	remember(engine)
	session, err := engine.session(job.Task.Model)
	if err != nil {
		return broken(ctx, job, agent.ModelBroke, err), err
	}
	vocabulary, err := engine.vocabulary(job.Task.Model)
	if err != nil {
		return broken(ctx, job, agent.ModelBroke, err), err
	}
	out.head(job.Task.Name, engine.String(), toolWords(granted))
	s := &runtime.Session{
		Job: job, Encoding: engine.encoding, Dialect: engine.dialect, Model: session, Context: engine.model.Info().Context,
		Vocabulary: vocabulary, Grants: granted, Manifest: manifest, Gate: gate, Approver: f.approver(std, job, out), Wait: f.wait(job),
		Runs: cfg.Runs, Output: f.output, Now: time.Now, Watch: f.watch(job, out), Notices: told.take, Work: workOf(session), Version: version, Engine: engine.String(), Weights: engine.place.digest,
	}
	return s.Run(ctx)
}

// opening shows how far the opening of the model is, where there is somebody to see.
func (f *runFlags) opening(std streams) opening {
	if f.quiet || f.json {
		return opening{}
	}
	return showOpening(std)
}

// modelStatus tells a model or a device that is not there from one that broke.
func modelStatus(err error) agent.Status {
	if wrong := (*inference.ChoiceError)(nil); errors.As(err, &wrong) || errors.Is(err, store.ErrNotPulled) {
		return runtime.UsageError
	}
	return agent.ModelBroke
}

// modelError gives the error of a model or a device its exit code.
func modelError(err error) error {
	return &exitError{code: runtime.ExitCode(modelStatus(err)), err: err}
}

// broken is the result of a run that could not begin.
func broken(ctx context.Context, job *runtime.Job, status agent.Status, err error) runtime.Result {
	if ctx.Err() != nil {
		status = agent.Interrupted
	}
	return runtime.Result{Status: status, Reason: err.Error(), Task: job.Task.Name}
}

// read reads the task and puts what was said elsewhere over or under it.
func (f *runFlags) read(path string, cfg configs.Config, sources *configs.Sources) (*runtime.Job, error) {
	values, err := parseSet(f.set)
	if err != nil {
		return nil, err
	}
	job, err := runtime.Read(path)
	if err != nil {
		return nil, err
	}
	if err := job.Set(values); err != nil {
		return nil, err
	}
	t := &job.Task
	choose := func(key string, at *string, configured string) {
		if *at == "" || sources.Insists(key) {
			*at = configured
		}
	}
	choose("model", &t.Model.Ref, cfg.Model)
	choose("device", &t.Model.Device, cfg.Device)
	f.answers = cfg.Approve
	if f.secret, err = runtime.ParseSecret(os.Getenv(configs.ApproveSecret)); err != nil {
		return nil, fmt.Errorf("%s: %w", configs.ApproveSecret, err)
	}
	if cfg.Approve == runtime.DenyApproval {
		t.Approvals.Mode = runtime.DenyApproval // nobody can be made to ask by a task
	}
	if f.flags.Changed("seed") {
		t.Model.Seed = &f.seed
	}
	if f.maxTurns < 0 || f.timeout < 0 {
		return nil, errors.New("--max-turns and --timeout must be positive")
	}
	if f.approveTimeout <= 0 {
		return nil, errors.New("--approve-timeout must be positive: nobody could answer in no time")
	}
	if f.maxTurns > 0 {
		t.Limits.Turns = f.maxTurns
	}
	if f.timeout > 0 {
		t.Limits.WallTime = strictyaml.Duration(f.timeout)
	}
	if t.Model.Temperature == nil && t.Model.Ref != inference.Pocket {
		one := 1.0 // OpenAI's recommendation for gpt-oss; pocket is meant to be read greedily
		t.Model.Temperature = &one
	}
	return job, nil
}

// checkOutput says before the work, not after it, that its answer could not be kept.
func (f *runFlags) checkOutput(job *runtime.Job) error {
	if err := job.CheckOutput(); err != nil {
		return err
	}
	if f.output == "" {
		return nil
	}
	if err := job.CheckCopy(f.output); err != nil {
		return fmt.Errorf("--output: %w", err)
	}
	return nil
}

// prepare sets up what the task needs and the machine does not have yet.
func prepare(cmd *cobra.Command, std streams, job *runtime.Job, cfg configs.Config) error {
	if b := job.Task.Tools.Browser; b != nil && b.JavaScript {
		if _, err := browser.FindChromium(); err != nil {
			return fmt.Errorf("set up the browser: %w", err)
		}
	}
	if job.Task.Tools.Python == nil {
		return nil
	}
	r, err := python.ParseRuntime(job.Task.Tools.Python.Runtime)
	if err != nil {
		return err
	}
	if python.Prepared("", r) {
		return nil
	}
	if r == python.Auto {
		r = python.Basic // what takes minutes is set up when somebody asks for it
	}
	return preparePython(cmd, std, python.PrepareOptions{Runtime: r, Index: cfg.PythonIndex})
}

// approver is who may be asked: a webhook, or the person at the terminal, if
// there is one.
func (f *runFlags) approver(std streams, job *runtime.Job, out presenter) agent.Approver {
	switch {
	case job.Task.Approvals.Mode != runtime.AskApproval || f.answers == configs.ApproveWait:
		return nil
	case configs.IsWebhook(f.answers):
		return runtime.Webhook{URL: f.answers, Wait: f.approveTimeout, Secret: f.secret}
	}
	if v, ok := out.(*view); ok && std.answers {
		return newApprover(std.in, v)
	}
	return nil
}

// wait is how long questions lie in the run's folder for agent approve.
func (f *runFlags) wait(job *runtime.Job) time.Duration {
	if f.answers != configs.ApproveWait || job.Task.Approvals.Mode != runtime.AskApproval {
		return 0
	}
	return f.approveTimeout
}

// watch shows what happens in a run. Of one that waits for an answer from
// elsewhere it says how to give it.
func (f *runFlags) watch(job *runtime.Job, out presenter) func(runtime.Record) {
	if f.wait(job) == 0 {
		return out.watch
	}
	run := ""
	return func(r runtime.Record) {
		out.watch(r)
		switch {
		case r.Kind == runtime.KindStarted:
			run = r.Run
		case r.Decision != nil && r.Decision.Verdict == policies.Ask.String():
			out.notice(fmt.Sprintf("%s waits for an answer; give it with: agent approve %s --yes (or --no)", run, run))
		}
	}
}

func toolWords(granted []runtime.Grant) string {
	var names []string
	for _, g := range granted {
		name := g.Namespace.Name
		if g.About != "" {
			name += " (" + g.About + ")"
		}
		names = append(names, name)
	}
	if names == nil {
		return "no tools"
	}
	return strings.Join(names, ", ")
}
