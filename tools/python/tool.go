// Package python runs a model's Python code: CPython compiled to WebAssembly,
// inside this process, with nothing of the host but one scratch folder and those
// that are mounted.
//
// A Session is a notebook. Its cells share their variables; the last
// expression of a cell is shown; what is printed comes back in order. Code that
// loops for ever, fills the memory, recurses without end or breaks the
// interpreter costs the session its variables and nothing else: the next cell
// finds a new interpreter and the same files in /mnt/data.
//
// The code can reach no file of the host outside of these folders, and no link
// out of them; no network, process, thread, environment variable or
// terminal; no clock finer than a millisecond. Time, memory, output, disk
// space, files and open handles are bounded, and a zero bound permits nothing.
// This is a sandbox within a process: against a flaw of the WebAssembly engine
// itself it is no defence.
//
// The interpreter is not part of the program. Prepare fetches it once for a
// machine, checks it against a pinned hash, makes its loops interruptible (see
// internal/wasmpass) and compiles it into the user's cache. Tool offers a
// session to the agent as the namespace "python".
package python

import (
	"context"
	"fmt"

	"chorale/harmony"
	"chorale/tools"
)

// Tool is a session as a tools.Tool.
type Tool struct{ session *Session }

var _ tools.Tool = (*Tool)(nil)

// Open makes the tool. The interpreter is loaded and started by the first
// call; that it is prepared is checked here: ErrNotPrepared.
func Open(_ context.Context, o Options) (*Tool, error) {
	s, err := open(o)
	if err != nil {
		return nil, fmt.Errorf("open the python tool: %w", err)
	}
	return &Tool{s}, nil
}

// Namespace implements tools.Tool: that of the session's runtime.
func (t *Tool) Namespace() harmony.Namespace {
	return Namespace(t.session.options.Runtime, t.session.options.Mounts...)
}

// Call implements tools.Tool. The arguments are the source text itself.
func (t *Tool) Call(ctx context.Context, c tools.Call) (tools.Result, error) {
	if why := refuse(c); why != "" {
		return tools.Result{Text: why, Failed: true}, nil
	}
	out, err := t.session.run(ctx, c.Args, c.Limits)
	if err != nil {
		return tools.Result{}, fmt.Errorf("python: %w", err)
	}
	return tools.Result{Text: out.Text, Failed: out.Failed(), Artifacts: out.Artifacts}, nil
}

// refuse says why a call can't be made at all.
func refuse(c tools.Call) string {
	switch {
	case c.Function != "":
		return fmt.Sprintf("python has no function %q; send the code to python itself", c.Function)
	case c.Limits.Time <= 0, c.Limits.Output <= 0, c.Limits.Memory <= 0:
		return fmt.Sprintf("python was given no right to run: time %s, output %d bytes, memory %d bytes", c.Limits.Time, c.Limits.Output, c.Limits.Memory)
	}
	return ""
}

// Close implements tools.Tool.
func (t *Tool) Close() error { return t.session.Close() }
