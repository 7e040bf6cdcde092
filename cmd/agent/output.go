package main

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"chorale/runtime"
)

// output remembers the first error of writing to it, and writes no more then. So a
// command need not look at every line that it prints.
type output struct {
	to io.Writer

	mu  sync.Mutex
	err error
}

func (o *output) Write(b []byte) (n int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		n, o.err = o.to.Write(b)
	}
	return n, o.err
}

// settle is the error of a command that ended with err. A reader that has gone is
// none: it had what it wanted. Any other output that is lost is one, unless the
// command has its own.
func (o *output) settle(err error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	lost := o.err != nil && (err == nil || errors.Is(err, o.err))
	switch {
	case !lost:
		return err
	case gone(o.err):
		return nil
	}
	return &exitError{code: runtime.ExitTool, err: fmt.Errorf("write the output: %w", o.err)}
}
