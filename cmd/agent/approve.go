package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"chorale/policies"
	"chorale/tools"
)

// approver asks the person at the terminal. The view has already shown the
// call with its arguments.
type approver struct {
	view  *view
	lines chan string     // what the person types; closed at the end of input
	again map[string]bool // equal calls that may run for the rest of the run
}

func newApprover(in io.Reader, v *view) *approver {
	a := &approver{view: v, lines: make(chan string), again: map[string]bool{}}
	go func() { // ends with the input, which a terminal gives up only at exit
		defer close(a.lines)
		for s := bufio.NewScanner(in); s.Scan(); {
			a.lines <- s.Text()
		}
	}()
	return a
}

// Approve implements agent.Approver. Anything but a clear yes is a no.
func (a *approver) Approve(ctx context.Context, c tools.Call, _ policies.Decision) (bool, error) {
	key := c.Name() + "\x00" + c.Args
	if a.again[key] {
		return true, nil
	}
	for {
		fmt.Fprintf(a.view.out, "  %s allow it? %s ", a.view.style.frame.Render("│"),
			a.view.style.dim.Render("[y] this once  [a] also if asked again with equal arguments  [n] no:"))
		select {
		case <-ctx.Done():
			fmt.Fprintln(a.view.out)
			return false, context.Cause(ctx)
		case line, ok := <-a.lines:
			if !ok {
				fmt.Fprintln(a.view.out)
				return false, nil
			}
			said, err := parseReply(line)
			if err != nil {
				continue
			}
			a.again[key] = said == again
			return said != no, nil
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
