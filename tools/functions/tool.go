package functions

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"chorale/harmony"
	"chorale/internal/sandbox"
	"chorale/tools"
)

// tool is an open set. Calls may run side by side.
type tool struct {
	set    *Set
	ctx    context.Context // done when the tool is closed
	cancel context.CancelCauseFunc

	mu      sync.Mutex // guards adding to running against Close
	running sync.WaitGroup
}

var errClosed = errors.New("functions: the tool is closed")

// Open makes the set callable. It reports commands whose program is missing.
func (s *Set) Open() (tools.Tool, error) {
	for _, f := range s.functions {
		if f.ready == nil {
			continue
		}
		if err := f.ready(); err != nil {
			return nil, fmt.Errorf("function %s: %w", f.name, err)
		}
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	return &tool{set: s, ctx: ctx, cancel: cancel}, nil
}

// Namespace implements tools.Tool.
func (t *tool) Namespace() harmony.Namespace { return t.set.Namespace() }

// Close ends the calls that run, and waits for their processes to be gone.
func (t *tool) Close() error {
	t.mu.Lock()
	t.cancel(errClosed)
	t.mu.Unlock()
	t.running.Wait()
	return nil
}

// Call implements tools.Tool.
func (t *tool) Call(ctx context.Context, c tools.Call) (tools.Result, error) {
	if c.Limits.Time <= 0 || c.Limits.Output <= 0 || c.Limits.Memory <= 0 {
		return tools.Result{}, fmt.Errorf("functions: call %s without limits", c.Name())
	}
	if err := t.begin(); err != nil {
		return tools.Result{}, err
	}
	defer t.running.Done()
	if err := ctx.Err(); err != nil {
		return tools.Result{}, err
	}
	f, ok := t.set.find(c.Function)
	if !ok {
		return failed(t.set.unknown(c.Function), c.Limits), nil
	}
	args, err := f.schema.read(c.Args)
	if err != nil {
		return failed(err, c.Limits), nil
	}
	args.fence, args.key = t.set.fence, c.Key
	return t.run(ctx, f, args, c.Limits)
}

func (t *tool) begin() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ctx.Err() != nil {
		return errClosed
	}
	t.running.Add(1)
	return nil
}

// run runs a checked call under the stricter of its own and the function's
// limits. Of the three things that can end it early, only the time limit is
// the model's to know.
func (t *tool) run(ctx context.Context, f Function, args arguments, l tools.Limits) (tools.Result, error) {
	if f.timeout > 0 {
		l.Time = min(l.Time, f.timeout)
	}
	if f.output > 0 {
		l.Output = min(l.Output, f.output)
	}
	limited, cancel := context.WithTimeoutCause(ctx, l.Time, errTimeout)
	defer cancel()
	both, stop := context.WithCancelCause(limited)
	defer stop(nil)
	defer context.AfterFunc(t.ctx, func() { stop(errClosed) })()

	result, err := f.run(both, args, l)
	switch {
	case ctx.Err() != nil:
		return tools.Result{}, ctx.Err()
	case t.ctx.Err() != nil:
		return tools.Result{}, errClosed
	case limited.Err() != nil && err != nil:
		return failed(fmt.Errorf("timed out after %s", l.Time.Round(time.Millisecond)), l), nil
	case err != nil:
		return tools.Result{}, fmt.Errorf("functions.%s: %w", f.name, err)
	}
	result.Text = sandbox.Cut(result.Text, l.Output)
	return result, nil
}

var errTimeout = errors.New("time limit")

// failed is a result that tells the model what to mend.
func failed(err error, l tools.Limits) tools.Result {
	return tools.Result{Failed: true, Text: sandbox.Cut("Error: "+err.Error(), l.Output)}
}
