package python

import (
	"bytes"
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/experimental/sysfs"
	"github.com/tetratelabs/wazero/sys"

	"chorale/tools/python/internal/scratch"
)

//go:embed prelude.py
var prelude string

// startTime is how long an interpreter may take to start on a busy machine.
const startTime = time.Minute

// instance is one life of the interpreter. Its goroutine runs the guest from
// the first instruction to the last and frees everything at the end.
type instance struct {
	*control
	mem   *memory
	data  *scratch.FS
	ended chan struct{} // closed when the guest is gone and all is freed
	exit  error         // how it ended; read after ended
	full  bool          // whether its memory was nearly used up then
}

// begin starts an interpreter with at most limit bytes of memory.
func (e *Engine) begin(data *scratch.FS, limit int64) (*instance, error) {
	if limit < e.minimum {
		return nil, fmt.Errorf("a memory limit of %d bytes is too low: the interpreter starts with %d", limit, e.minimum)
	}
	mem, err := newMemory(limit)
	if err != nil {
		return nil, err
	}
	in := &instance{control: newControl(newStopFlag()), mem: mem, data: data, ended: make(chan struct{})}
	go in.live(e)
	return in, nil
}

// live is the guest's goroutine.
func (in *instance) live(e *Engine) {
	defer close(in.ended)
	ctx := context.WithValue(context.Background(), stopKey{}, in.stop)
	ctx = experimental.WithMemoryAllocator(ctx, in.mem)
	mod, err := e.runtime.InstantiateModule(ctx, e.module, in.config())
	if err == nil {
		_, err = mod.ExportedFunction("_start").Call(ctx)
		in.full = in.mem.nearlyFull()
		err = errors.Join(err, mod.Close(ctx))
	}
	in.exit = errors.Join(err, in.data.Close(), in.mem.release())
}

// config is all that the guest gets of the world.
func (in *instance) config() wazero.ModuleConfig {
	mounts := wazero.NewFSConfig().(sysfs.FSConfig).WithSysFSMount(&root{control: in.control}, "/")
	mounts = mounts.(sysfs.FSConfig).WithSysFSMount(in.data, dataPath)
	config := wazero.NewModuleConfig().
		WithName(""). // any number at once
		WithStartFunctions().
		WithArgs("python", "-I", "-B", "-X", "utf8", "-X", "no_debug_ranges", "-c", prelude).
		WithEnv("HOME", dataPath).
		WithRandSource(rand.Reader).
		WithStdin(bytes.NewReader(nil)).
		WithStdout(guestOutput(func(p []byte) { in.out.stdout.Write(p); in.out.all.Write(p) })).
		WithStderr(guestOutput(func(p []byte) { in.out.stderr.Write(p); in.out.all.Write(p) })).
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
