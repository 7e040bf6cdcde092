package main

import (
	"encoding/json"
	"io"

	"github.com/charmbracelet/log"

	"chorale/harmony"
	"chorale/runtime"
)

// stream writes a run as JSON lines, one record a line. Its last line is always
// of type run.finished, also when nothing could run.
type stream struct {
	out io.Writer
	log *log.Logger
	err error // the first write error: nobody listens any more
}

// streamRecord is a record as it goes over the wire: with its kind as type and
// without the token ids, which the trace file has.
type streamRecord struct {
	Type string `json:"type"`
	runtime.Record
	Kind   string          `json:"kind,omitempty"`
	Tokens []harmony.Token `json:"tokens,omitempty"`
	Result *runtime.Result `json:"result,omitempty"`
}

// streamResult is the last line: the result itself, not wrapped.
type streamResult struct {
	Type string `json:"type"`
	runtime.Result
}

func (s *stream) notice(text string) { s.log.Info(show(text)) }
func (s *stream) head(...string)     {}

func (s *stream) watch(rec runtime.Record) {
	if rec.Kind == runtime.KindFinished {
		return // finish writes it, whatever happened
	}
	s.line(streamRecord{Type: rec.Kind, Record: rec})
}

func (s *stream) finish(res runtime.Result) error {
	s.line(streamResult{Type: runtime.KindFinished, Result: res})
	return s.err
}

func (s *stream) line(v any) {
	if s.err != nil {
		return
	}
	e := json.NewEncoder(s.out)
	e.SetEscapeHTML(false)
	s.err = e.Encode(v)
}
