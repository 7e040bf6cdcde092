package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"chorale/agent"
	"chorale/harmony"
	"chorale/harmony/constrain"
	"chorale/internal/strictyaml"
	"chorale/policies/provenance"
)

// Session is everything that one run of a job needs.
type Session struct {
	Job      *Job
	Encoding *harmony.Encoding
	Dialect  harmony.Dialect
	Model    agent.Model
	Context  int // tokens of history that the model can hold

	// Vocabulary constrains the model, unless the task turns that off; nil: it is
	// free.
	Vocabulary *constrain.Vocabulary

	Grants   []Grant              // opened when first called, closed at the end
	Manifest *provenance.Manifest // what functions mean; the built-in tools say it themselves
	Gate     agent.Gate
	Approver agent.Approver   // nil: nobody can be asked
	Wait     time.Duration    // how long a question waits for agent approve where there is no Approver; 0: not at all
	Runs     string           // the folder that run directories are made in
	Output   string           // a file that the answer is written to besides the task's own; empty: none
	Now      func() time.Time // the clock, also of the prompt's date
	Watch    func(Record)     // sees every record as it happens; may be nil

	// Notices returns what is to be told of the model's device since it was last
	// asked; nil: nothing ever.
	Notices func() []string

	// Work returns what the model's engine has done for the session; nil: not known.
	Work func() Work

	spotlight spotlight // made when the run begins

	Version string // of the program, for the lock
	Engine  string // model and device in words, for the lock
	Weights string // hash of the model's files, for the lock; empty: not known
}

// Run carries out the job and leaves a run directory behind. The Result says
// how it ended, whatever happened; the error is what broke, if something did.
func (s *Session) Run(ctx context.Context) (Result, error) {
	dir, err := newFolder(s.Runs, s.Job.Task.Name, s.Now())
	if err != nil {
		return Result{Status: UsageError, ExitCode: ExitUsage, Reason: err.Error(), Task: s.Job.Task.Name}, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w, err := s.open(dir, cancel)
	if err != nil {
		return s.broke(dir, fmt.Errorf("run directory: %w", err))
	}
	if err := s.form(w.agent); err != nil {
		return s.broke(dir, fmt.Errorf("constrain the model: %w", errors.Join(err, w.trace.close(), w.audit.close())))
	}
	w.log.write(Record{Kind: KindStarted, Task: s.Job.Task.Name, Run: dir.id, Model: s.Job.Task.Model.Ref})
	res, err := w.stop(w.agent.Run(ctx, s.conversation()))
	if res.Status == agent.Done {
		s.conclude(&res, dir)
	}
	return w.end(res, err)
}

// broke ends a run that could not begin.
func (s *Session) broke(dir folder, err error) (Result, error) {
	var res Result
	res.breaks(err)
	dir.describe(&res, s.Now())
	return dir.keep(res, err)
}

// works are what a run goes on: the agent, its tools, and the records of both.
type works struct {
	session *Session
	dir     folder
	agent   *agent.Agent
	box     *toolbox
	trace   *journal
	log     *tracer
	audit   *auditor
}

// open writes the run's lock and makes its works. stop is called when a record
// cannot be written: what leaves no record does not go on.
func (s *Session) open(dir folder, stop context.CancelCauseFunc) (*works, error) {
	lock := Lock{APIVersion: strictyaml.APIVersion, Kind: "TaskLock", Agent: s.Version, Model: s.Engine, Weights: s.Weights, Task: s.Job.Task, Files: s.Job.Files}
	if err := dir.writeLock(lock); err != nil {
		return nil, err
	}
	trace, err := openJournal(dir.file("trace.jsonl"))
	if err != nil {
		return nil, err
	}
	audit, err := openAudit(dir.file("audit.jsonl"), s.Now)
	if err != nil {
		return nil, errors.Join(err, trace.close())
	}
	s.spotlight = newSpotlight(s.Job.Task.Spotlight)
	log := &tracer{recorder: recorder{now: s.Now, encoding: s.Encoding}, journal: trace, watch: s.Watch, notices: s.Notices, work: s.Work, stop: stop}
	box := newToolbox(s.Grants, Place{Scratch: dir.artifacts(), Encoding: s.Encoding})
	return &works{session: s, dir: dir, box: box, trace: trace, log: log, audit: audit, agent: &agent.Agent{
		Name:  dir.id,
		Model: s.Model, Encoding: s.Encoding, Dialect: s.Dialect,
		Tools: box, Declared: box.declared(), Effect: box.effect,
		Manifest: Manifest(s.Manifest, s.Grants), Mark: s.spotlight.mark(), Gate: grantGate{s.Gate, box}, Approver: s.approver(dir),
		Budget: s.budget(),
		Emit: func(e agent.Event) {
			log.write(log.of(e))
			if audit.hear(e); audit.err != nil {
				stop(fmt.Errorf("write audit.jsonl: %w", audit.err))
			}
		},
	}}, nil
}

// stop closes the tools, and says how the agent ended.
func (w *works) stop(o agent.Outcome, err error) (Result, error) {
	cited := w.box.citations(o.Final)
	if e := w.box.close(); e != nil && err == nil {
		o.Status, o.Reason, err = agent.ToolBroke, e.Error(), e
	}
	return Result{Status: o.Status, Reason: o.Reason, Final: o.Final, Citations: cited, Used: o.Used, Audit: w.audit.last}, err
}

// end closes the records. What the trace says at its end is what result.json says.
func (w *works) end(res Result, err error) (Result, error) {
	w.dir.describe(&res, w.session.Now())
	w.log.write(Record{Kind: KindFinished, Result: &res})
	if e := errors.Join(w.trace.close(), w.audit.close()); e != nil {
		err = fmt.Errorf("write trace.jsonl and audit.jsonl: %w", e)
		res.breaks(err)
	}
	return w.dir.keep(res, err)
}

// form gives the agent the form of what the model may say: the grammar of the
// conversation, and the answer's schema.
func (s *Session) form(a *agent.Agent) error {
	t, f := &s.Job.Task, s.Job.form
	if f != nil {
		a.Answer = func(final string) error { _, err := f.read(final); return err }
	}
	if s.Vocabulary == nil || t.Model.Constrain == ConstrainOff {
		return nil
	}
	c := constrain.Conversation{Tools: a.Declared}
	if f != nil {
		c.Answer, c.LenientAnswer = f.schema, t.Output.Validate == ValidateAfter
	}
	grammar, err := s.Vocabulary.Harmony(c)
	if err != nil {
		return err
	}
	a.Constrain = func() agent.Constraint { return grammar.Start() }
	return nil
}

func (s *Session) budget() agent.Budget {
	l := s.Job.Task.Limits
	return agent.Budget{
		Turns: l.Turns, ToolCalls: l.ToolCalls, Tokens: l.Tokens,
		Context: s.Context, WallTime: l.WallTime.Std(), RepeatDenied: l.RepeatDenied,
	}
}

// conversation is what the model is told first: the system message that the
// models were trained with, the developer's instructions and functions if there
// are any, and the user's prompt.
func (s *Session) conversation() []harmony.Message {
	t := &s.Job.Task
	var builtin []harmony.Namespace
	var functions []harmony.Function
	for _, g := range s.Grants {
		if g.BuiltIn {
			builtin = append(builtin, g.Namespace)
		} else {
			functions = append(functions, g.Namespace.Functions...)
		}
	}
	effort, err := harmony.ParseEffort(t.Model.Effort)
	if err != nil {
		panic("runtime: " + err.Error()) // the task file was checked
	}
	conv := []harmony.Message{harmony.NewSystemContent(effort, s.Now().Format(time.DateOnly), builtin...).Message()}
	if developer := s.developer(functions); len(developer.Content) > 0 {
		conv = append(conv, developer)
	}
	return append(conv, harmony.NewMessage(harmony.User, t.Prompt))
}

// developer is what the developer says: instructions, functions, and last the
// form of the answer.
func (s *Session) developer(functions []harmony.Function) harmony.Message {
	m := harmony.Message{Role: harmony.Developer}
	t := &s.Job.Task
	text := t.Developer.Text
	if note := s.spotlight.note(); note != "" {
		text = strings.TrimSpace(text + "\n\n" + note)
	}
	if text != "" || len(functions) > 0 {
		m = harmony.NewDeveloperContent(text, functions...).Message()
	}
	if f := s.Job.form; f != nil {
		m.Content = append(m.Content, f.part(t.Name, len(m.Content) > 0))
	}
	return m
}

// conclude grades an answer and writes it where the task wants it.
func (s *Session) conclude(res *Result, dir folder) {
	t := &s.Job.Task
	if f := s.Job.form; f != nil {
		res.Value, _ = f.read(res.Final) // the agent took it for that
	}
	if t.Output.File != "" {
		if err := s.Job.writeFile(t.Output.File, res.Final); err != nil {
			res.Status, res.Reason = CheckFailed, "write the answer: "+err.Error()
		}
	}
	if s.Output != "" {
		if err := os.WriteFile(s.Output, []byte(res.Final+"\n"), 0o644); err != nil {
			res.Status, res.Reason = CheckFailed, "write the answer: "+err.Error()
		}
	}
	res.Checks = grade(t.Checks, res.Final, dir.artifacts())
	for _, c := range res.Checks {
		if !c.Passed && res.Status == agent.Done {
			res.Status, res.Reason = CheckFailed, fmt.Sprintf("check failed: %s: %s", c.Check, c.Reason)
		}
	}
}
