package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"

	"chorale/agent"
	"chorale/policies"
)

// approver asks the person at the terminal. The view has already shown the
// call with its arguments.
type approver struct {
	view   *view
	lines  chan string     // what the person types; closed at the end of input
	asking atomic.Bool     // what is typed while nothing is asked is no answer
	again  map[string]bool // equal calls that may run for the rest of the run
}

func newApprover(in io.Reader, v *view) *approver {
	a := &approver{view: v, lines: make(chan string, 16), again: map[string]bool{}}
	go func() { // ends with the input, which a terminal gives up only at exit
		defer close(a.lines)
		for s := bufio.NewScanner(in); s.Scan(); {
			if !a.asking.Load() {
				continue
			}
			select {
			case a.lines <- s.Text():
			default: // nobody answers in so many lines
			}
		}
	}()
	return a
}

// Approve implements agent.Approver. Anything but a clear yes is a no.
func (a *approver) Approve(ctx context.Context, q agent.Question) (bool, error) {
	key := q.Call.Name() + "\x00" + q.Call.Args
	if a.again[key] && q.Decision.Remember != policies.ForOnce {
		return true, nil
	}
	for len(a.lines) > 0 {
		<-a.lines // left from an earlier question
	}
	a.asking.Store(true)
	defer a.asking.Store(false)
	for _, line := range originLines(q) {
		a.view.frameLine("│", line)
	}
	said, err := a.ask(ctx, q.Decision.Remember)
	a.again[key] = said == again && q.Decision.Remember != policies.ForOnce
	return said != no, err
}

// ask asks until there is an answer. The end of input is a no.
func (a *approver) ask(ctx context.Context, remember policies.Remember) (reply, error) {
	choices := "[y] this once  [a] also if asked again with equal arguments  [n] no:"
	switch remember {
	case policies.ForOnce:
		choices = "[y] this once  [n] no:"
	case policies.ForRun:
		choices = "[y] yes, for equal arguments in this run too  [n] no:"
	}
	for {
		fmt.Fprintf(a.view.out, "  %s allow it? %s ", a.view.style.frame.Render("│"), a.view.style.dim.Render(choices))
		select {
		case <-ctx.Done():
			fmt.Fprintln(a.view.out)
			return no, context.Cause(ctx)
		case line, ok := <-a.lines:
			if !ok {
				fmt.Fprintln(a.view.out)
				return no, nil
			}
			if said, err := parseReply(line); err == nil {
				return said, nil
			}
		}
	}
}

type reply int

const (
	no reply = iota
	once
	again
)

func parseReply(line string) (reply, error) {
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes", "once":
		return once, nil
	case "a", "again":
		return again, nil
	case "n", "no":
		return no, nil
	}
	return no, errors.New("answer y, a or n")
}
