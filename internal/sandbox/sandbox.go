// Package sandbox runs a program of the host under limits: in a process group
// of its own that dies with the call, with an environment that is given in
// full, and without ever going through a shell. On Linux the program also dies
// if we are killed.
//
// It bounds time, memory and output, and with a Box also the files, the network
// and the other processes that the program can reach, as far as the system can.
package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"time"

	"chorale/internal/sandbox/confine"
)

// Command is a program to run. Nothing is inherited from this process but what
// is named here.
type Command struct {
	Path   string   // the program's file
	Args   []string // its arguments, without the program's name
	Dir    string
	Env    []string // NAME=value
	Stdin  io.Reader
	Stdout io.Writer // written by one goroutine at a time, also if it is Stderr
	Stderr io.Writer
	Memory int64         // bytes of data that a process may hold (Linux)
	Time   time.Duration // of the processor that a process may use (Linux)
	Box    *confine.Box  // what else it may use; nil: all that we may

	// Proxy, if set, gives the program a network of its own, out of which nothing
	// leads but the HTTP proxy that Proxy starts on the listener. Variables such as
	// HTTP_PROXY name it. It is closed when the program has ended.
	Proxy func(net.Listener) io.Closer
}

// pipeGrace is how long the pipes stay open when the program has ended but a
// descendant that left the group holds them.
const pipeGrace = 500 * time.Millisecond

// Proc is a running program.
type Proc struct {
	done chan struct{}
	pid  int
	code int
	err  error
}

// Start starts the program. When ctx is done its whole process group is
// killed. The caller must Wait.
func Start(ctx context.Context, c Command) (*Proc, error) {
	if !supported {
		return nil, errors.New("running a program under limits is not supported on " + runtime.GOOS)
	}
	if c.Memory <= 0 || c.Time <= 0 {
		return nil, errors.New("run " + c.Path + ": no limits given")
	}
	cmd := exec.CommandContext(ctx, c.Path, c.Args...)
	cmd.Dir, cmd.Env = c.Dir, append([]string{}, c.Env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Stdin, c.Stdout, c.Stderr
	cmd.WaitDelay = pipeGrace
	box, err := c.box()
	if err != nil {
		return nil, fmt.Errorf("run %s: %w", c.Path, err)
	}
	isolate(cmd, box)
	var portal *confine.Portal
	if c.Proxy != nil {
		if portal, err = confine.OpenPortal(cmd); err != nil {
			return nil, fmt.Errorf("run %s: %w", c.Path, err)
		}
		defer portal.Close()
	}
	cmd.Cancel = func() error { return killGroup(cmd.Process.Pid) }

	p := &Proc{done: make(chan struct{})}
	started := make(chan error)
	go onThread(func() {
		defer close(p.done)
		// The kernel ends the program when the thread that started it ends, so
		// that it cannot outlive us (see isolate); the thread is kept till then.
		if box != nil {
			if err := confine.Thread(*box); err != nil {
				started <- fmt.Errorf("run %s: %w", c.Path, err)
				return
			}
		}
		if err := cmd.Start(); err != nil {
			started <- fmt.Errorf("run %s: %w", c.Path, err)
			return
		}
		p.pid = cmd.Process.Pid
		proxy, err := c.release(p.pid, portal)
		if err != nil {
			_ = killGroup(p.pid)
			_, _ = wait(ctx, cmd)
			started <- fmt.Errorf("run %s: %w", c.Path, err)
			return
		}
		defer proxy.Close()
		started <- nil
		p.code, p.err = wait(ctx, cmd)
	})
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// box is what the program is confined to. One with a proxy must be confined, and
// be able to read this program, which it begins as.
func (c *Command) box() (*confine.Box, error) {
	if c.Proxy == nil {
		return c.Box, nil
	}
	if err := confine.CanProxy(); err != nil {
		return nil, fmt.Errorf("no network of its own: %w", err)
	}
	if c.Box == nil {
		return nil, errors.New("no network of its own: it is not confined")
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	box := *c.Box
	box.Proxy, box.Read = true, append(slices.Clone(box.Read), self)
	return &box, nil
}

// release sets the limits of a program that was started. One that waits at a
// portal finds its proxy then and begins.
func (c *Command) release(pid int, portal *confine.Portal) (proxy io.Closer, err error) {
	if portal == nil {
		restrict(pid, *c)
		return io.NopCloser(nil), nil
	}
	l, err := portal.Listener()
	if err != nil {
		return nil, err
	}
	proxy = c.Proxy(l)
	restrict(pid, *c)
	if err := portal.Release(); err != nil {
		return nil, errors.Join(err, proxy.Close())
	}
	return proxy, nil
}

// onThread runs f on a thread that ends with it, for f may confine the thread.
// The process's first thread cannot end, so it is kept out of the way.
func onThread(f func()) {
	runtime.LockOSThread()
	if !firstThread() {
		f()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		onThread(f)
	}()
	<-done
	runtime.UnlockOSThread()
}

// Wait gives the program's exit code, 128 plus the signal's number if a signal
// ended it, once the program has ended, what it left behind in its group is
// killed and its output is written. If ctx ended it, the error is ctx's.
func (p *Proc) Wait() (code int, err error) {
	<-p.done
	return p.code, p.err
}

// Done is closed when Wait would return at once.
func (p *Proc) Done() <-chan struct{} { return p.done }

// Terminate asks the program and what it started to end. It does not wait.
func (p *Proc) Terminate() {
	select {
	case <-p.done: // its number may be another's by now
	default:
		terminateGroup(p.pid)
	}
}

func wait(ctx context.Context, cmd *exec.Cmd) (int, error) {
	// The group is killed before the program is reaped: until then its number
	// cannot be another's.
	if awaitExit(cmd.Process.Pid) {
		_ = killGroup(cmd.Process.Pid) // in most cases nobody is left
	}
	err := cmd.Wait()
	if ctx.Err() != nil {
		return -1, context.Cause(ctx)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) {
		return -1, fmt.Errorf("run %s: %w", cmd.Path, err)
	}
	return exitCode(cmd.ProcessState), nil
}
