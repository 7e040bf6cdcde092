package agent

import (
	"errors"

	"chorale/harmony"
)

// ear parses one message of the model while it is being said. Trouble in it
// never stops the stream: the tokens up to the stop token belong to the message
// all the same.
type ear struct {
	parser  *harmony.Parser
	started bool
	done    *harmony.Parsed
	trouble error
}

func newEar(e *harmony.Encoding, d harmony.Dialect) *ear {
	return &ear{parser: harmony.NewParser(e, harmony.ParseOptions{
		Dialect: d, Strictness: harmony.Relaxed, Role: harmony.Assistant,
	})}
}

// hear takes the next token and returns what can be shown.
func (e *ear) hear(t harmony.Token, turn int) []Event {
	if e.trouble != nil {
		return nil
	}
	ev, err := e.parser.Push(t)
	if err != nil {
		e.trouble = err
		return nil
	}
	switch ev.Kind {
	case harmony.HeaderDone:
		return e.start(e.parser.Header(), turn)
	case harmony.Delta:
		return []Event{Delta{ev.Text}}
	case harmony.MessageDone:
		e.done = ev.Message
		if !e.started { // the header never ended, its text is the content
			return append(e.start(ev.Message.Message, turn), Delta{ev.Message.Text()})
		}
	}
	return nil
}

func (e *ear) start(header harmony.Message, turn int) []Event {
	e.started = true
	return []Event{Started{Turn: turn, Channel: header.Channel, Recipient: header.Recipient}}
}

var errNothing = errors.New("it is empty")

// message returns what was said once the stream has ended, whole or cut.
func (e *ear) message() (harmony.Message, error) {
	if e.done == nil && e.trouble == nil {
		ev, err := e.parser.Close()
		e.done, e.trouble = ev.Message, err
	}
	switch {
	case e.trouble != nil:
		return harmony.Message{Role: harmony.Assistant}, e.trouble
	case e.done == nil:
		return harmony.Message{Role: harmony.Assistant}, errNothing
	}
	return e.done.Message, nil
}
