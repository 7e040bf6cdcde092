package main

import (
	"io"

	"github.com/charmbracelet/log"
)

// newLogger says on the error stream what is no output of a command: notices,
// and what went wrong. It is the one log of the program; libraries return
// errors and emit events. What a model, a tool or a user says is never logged.
func newLogger(w io.Writer) *log.Logger {
	// Behind a plain writer: a terminal would be asked for its colours, and one
	// that does not answer holds every command up for seconds.
	plain := struct{ io.Writer }{w}
	l := log.NewWithOptions(plain, log.Options{Prefix: "agent", Level: log.InfoLevel})
	styles := log.DefaultStyles()
	styles.Levels = nil // the sentence says how bad it is
	l.SetStyles(styles)
	return l
}
