package python

import (
	"bytes"
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/experimental/sysfs"
	"github.com/tetratelabs/wazero/sys"

	"chorale/tools/python/internal/linear"
)

// prelude is the Python code that stays underneath all cells, and serve what
// sets it going.
//
//go:embed prelude.py
var prelude string

const serve = "\n_serve()\n"

// startTime is how long an interpreter may take to start on a busy machine.
const startTime = time.Minute

// instance is one life of the interpreter. Its goroutine runs the guest from
// the first instruction to the last and frees everything at the end.
type instance struct {
	*control
	mem   *linear.Memory
	files folders
	ended chan struct{} // closed when the guest is gone and all is freed
	exit  error         // how it ended; read after ended
	full  bool          // whether its memory was nearly used up then
}

// begin starts an interpreter with at most limit bytes of memory. It serves
// cells; or it is warmed up and then handed to save, on its own goroutine.
func (e *Engine) begin(files folders, limit int64, save func(*instance) error) (*instance, error) {
	if limit < e.minimum {
		return nil, fmt.Errorf("a memory limit of %d bytes is too low: the interpreter starts with %d", limit, e.minimum)
	}
	mem, err := linear.New(limit, e.warm)
	if err != nil {
		return nil, err
	}
	in := &instance{control: newControl(newStopFlag()), mem: mem, files: files, ended: make(chan struct{})}
	go in.live(e, save)
	return in, nil
}

// live is the guest's goroutine.
func (in *instance) live(e *Engine, save func(*instance) error) {
	defer close(in.ended)
	ctx := context.WithValue(context.Background(), stopKey{}, in.stop)
	ctx = experimental.WithMemoryAllocator(ctx, in.mem)
	mod, err := e.runtime.InstantiateModule(ctx, e.module, in.config(e))
	if err == nil {
		switch {
		case save != nil:
			if err = warm(ctx, mod, e.image.warm); err == nil {
				err = save(in)
			}
		case e.image.warm != "":
			err = resume(ctx, mod, e.minimum)
		default:
			_, err = mod.ExportedFunction("_start").Call(ctx)
		}
		in.full = in.mem.NearlyFull()
		err = errors.Join(err, mod.Close(ctx))
	}
	in.exit = errors.Join(err, in.files.close(), in.mem.Release())
}

// The exports of a reactor, a guest that runs a piece of code at a time.
const (
	loadExport  = "chorale_load" // fills the memory as the module would have it; ours
	allocExport = "host_alloc"   // bytes of guest memory, which the next turn frees
	turnExport  = "turn"         // runs code that lies there; not 0 if it failed
)

// warm starts a reactor from nothing and brings it to where it can be saved.
func warm(ctx context.Context, mod api.Module, code string) error {
	if _, err := mod.ExportedFunction(loadExport).Call(ctx); err != nil {
		return err
	}
	if err := runTurn(ctx, mod, prelude); err != nil {
		return err
	}
	return runTurn(ctx, mod, code)
}

// resume lets a reactor whose memory is a copy of a saved one serve cells.
func resume(ctx context.Context, mod api.Module, size int64) error {
	mem := mod.Memory()
	if _, ok := mem.Grow(uint32(size/linear.Page) - mem.Size()/linear.Page); !ok {
		return errors.New("the interpreter's memory can't grow to what was saved")
	}
	return runTurn(ctx, mod, serve)
}

func runTurn(ctx context.Context, mod api.Module, code string) error {
	at, err := mod.ExportedFunction(allocExport).Call(ctx, uint64(len(code)))
	if err != nil {
		return err
	}
	if !mod.Memory().WriteString(uint32(at[0]), code) {
		return errors.New("the interpreter has no memory for code")
	}
	status, err := mod.ExportedFunction(turnExport).Call(ctx, at[0], uint64(len(code)))
	if err == nil && status[0] != 0 {
		err = fmt.Errorf("the interpreter's own code failed with status %d", status[0])
	}
	return err
}

// config is all that the guest gets of the world.
func (in *instance) config(e *Engine) wazero.ModuleConfig {
	files := &root{control: in.control, mounts: append(slices.Clone(e.library), in.files.mounts()...)}
	mounts := wazero.NewFSConfig().(sysfs.FSConfig).WithSysFSMount(files, "/")
	config := wazero.NewModuleConfig().
		WithName(""). // any number at once
		WithStartFunctions().
		WithArgs("python", "-I", "-B", "-X", "utf8", "-X", "no_debug_ranges", "-c", prelude+serve).
		WithEnv("HOME", dataPath).
		WithRandSource(stoppable{rand.Reader, in.stop}).
		WithStdin(bytes.NewReader(nil)).
		WithStdout(guestOutput(func(p []byte) { in.stop.check(); in.out.stdout.Write(p); in.out.all.Write(p) })).
		WithStderr(guestOutput(func(p []byte) { in.stop.check(); in.out.stderr.Write(p); in.out.all.Write(p) })).
		WithFSConfig(mounts)
	return withClocks(config)
}

// guestOutput takes what the guest writes to its stdout or stderr.
type guestOutput func(p []byte)

func (o guestOutput) Write(p []byte) (int, error) {
	o(p)
	return len(p), nil
}

// waitReady waits until the first cell can be sent.
func (in *instance) waitReady(ctx context.Context) error {
	late := time.NewTimer(startTime)
	defer late.Stop()
	select {
	case <-in.ready:
		return nil
	case <-in.ended:
		text, _ := in.out.all.text(startOutput)
		return fmt.Errorf("the interpreter ended before it was ready (%v): %s", in.exit, strings.TrimSpace(text))
	case <-late.C:
		in.close()
		return fmt.Errorf("the interpreter did not start within %s", startTime)
	case <-ctx.Done():
		in.close()
		return context.Cause(ctx)
	}
}

// close ends the guest and waits for it.
func (in *instance) close() {
	in.stop.stop()
	<-in.ended
}

// reason says in a few words why a guest that nobody stopped has ended.
func (in *instance) reason() string {
	var exit *sys.ExitError
	switch isExit := errors.As(in.exit, &exit); {
	case in.full:
		return "it ran out of memory"
	case in.exit == nil:
		return "the code ended it"
	case isExit && exit.ExitCode() == exitUnfit:
		return "the code damaged it"
	case isExit:
		return fmt.Sprintf("the code ended it with exit code %d", exit.ExitCode())
	case strings.Contains(in.exit.Error(), "stack overflow"):
		return "its stack overflowed"
	}
	first, _, _ := strings.Cut(in.exit.Error(), "\n")
	return "it crashed: " + first
}

// exitUnfit is the exit code with which the prelude gives an interpreter up
// that it could not mend after a cell.
const exitUnfit = 120
