// Command agent carries out tasks with a gpt-oss model on this machine: it runs
// the model, its tools and the policies in one process, without any service.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// version is set by the linker.
var version = "dev"

// grace is how long signals after the first are taken for its echo: a terminal's
// process group and a program such as timeout may each pass it on to us.
const grace = time.Second

func main() {
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as nohup has it
		ends = append(ends, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), ends...)
	go func() {
		<-ctx.Done()
		time.Sleep(grace)
		stop() // the next signal ends the process at once
	}()
	// Caught, a reader that goes away is a write error, and the run still
	// leaves its result behind.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	os.Exit(execute(ctx, os.Args[1:], standardStreams()))
}
