package runtime

import (
	"context"
	"sync"

	"chorale/agent"
	"chorale/harmony"
	"chorale/tools"
)

// Service is a run whose calls another program makes: the same grants, policy,
// budget of calls, run directory, trace and audit, without a model of ours.
type Service struct {
	works   *works
	guest   *agent.Guest
	stopped context.Context // done when a record cannot be written
	stop    context.CancelCauseFunc
	once    sync.Once
	result  Result
	err     error
}

// Serve makes the run directory of a service. The session's Model, Dialect and
// Vocabulary are not used. The caller must Close.
func (s *Session) Serve() (*Service, error) {
	dir, err := newFolder(s.Runs, s.Job.Task.Name, s.Now())
	if err != nil {
		return nil, err
	}
	v := &Service{}
	v.stopped, v.stop = context.WithCancelCause(context.Background())
	if v.works, err = s.open(dir, v.stop); err != nil {
		return nil, err
	}
	v.works.log.write(Record{Kind: KindStarted, Task: s.Job.Task.Name, Run: dir.id})
	v.guest = v.works.agent.Guest(s.conversation())
	return v, nil
}

// Declared are the tools that can be called.
func (v *Service) Declared() []harmony.Namespace { return v.works.agent.Declared }

// Do carries out a call, named as a model would name it, after the policy's
// decision. A failed result says what the caller did wrong or may not; an error
// is ours. Calls are carried out one at a time.
func (v *Service) Do(ctx context.Context, recipient, args string) (tools.Result, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(v.stopped, func() { cancel(context.Cause(v.stopped)) })()
	if err := context.Cause(v.stopped); err != nil {
		return tools.Result{}, err
	}
	return v.guest.Serve(ctx, recipient, args)
}

// Close ends the tools and writes the result: that the service was interrupted, if
// ctx was cancelled. No call may be under way.
func (v *Service) Close(ctx context.Context) (Result, error) {
	v.once.Do(func() {
		o, err := v.guest.Close(), context.Cause(ctx)
		if err != nil {
			o.Status, o.Reason = agent.Interrupted, "interrupted"
		}
		v.result, v.err = v.works.end(v.works.stop(o, err))
		v.stop(nil)
	})
	return v.result, v.err
}
