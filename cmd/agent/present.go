package main

import (
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/charmbracelet/log"

	"chorale/runtime"
)

// presenter shows a run in one of the three forms of output.
type presenter interface {
	notice(text string)          // what a person may want to know beforehand
	head(about ...string)        // before the run
	watch(runtime.Record)        // during it
	finish(runtime.Result) error // after it, or in place of it when nothing ran
}

func (f *runFlags) presenter(std streams) presenter {
	switch {
	case f.json:
		return &stream{out: std.out, log: std.log}
	case std.terminal && !f.quiet:
		v := newView(std.out, std.width)
		v.links = std.links
		return v
	}
	return answerOnly{out: std.out, log: std.log, quiet: f.quiet}
}

// answerOnly prints the final answer and nothing else, for pipes.
type answerOnly struct {
	out   io.Writer
	log   *log.Logger
	quiet bool
}

func (a answerOnly) notice(text string) {
	if !a.quiet {
		a.log.Info(show(text))
	}
}

func (a answerOnly) head(...string)       {}
func (a answerOnly) watch(runtime.Record) {}

func (a answerOnly) finish(res runtime.Result) error {
	if res.Final == "" {
		return nil
	}
	_, err := fmt.Fprintln(a.out, strings.TrimRight(res.Final, "\n"))
	return err
}

// notices keeps what was told a person until the run's trace has it. They come
// from any goroutine.
type notices struct {
	mu   sync.Mutex
	list []string
}

func (n *notices) add(text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.list = append(n.list, text)
}

func (n *notices) take() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := n.list
	n.list = nil
	return list
}
