package agent

import "chorale/harmony"

// ear parses what the model says while it is being said. Faults in it never
// stop the stream: the parser mends what it can and reports it.
type ear struct {
	parser  *harmony.Parser
	started bool // the open message was announced
}

func newEar(e *harmony.Encoding, d harmony.Dialect) *ear {
	return &ear{parser: harmony.NewParser(e, harmony.ParseOptions{
		Dialect: d, Strictness: harmony.Lenient, Role: harmony.Assistant,
	})}
}

// hear takes the next token and returns what can be shown.
func (e *ear) hear(t harmony.Token, turn int) []Event {
	ev, _ := e.parser.Push(t) // a lenient parser never fails
	return e.events(ev, turn)
}

// end takes the end of the stream and returns the messages that came.
func (e *ear) end(turn int) ([]harmony.Parsed, []Event) {
	ev, _ := e.parser.Close()
	return e.parser.Messages(), e.events(ev, turn)
}

func (e *ear) events(ev harmony.Event, turn int) []Event {
	switch ev.Kind {
	case harmony.HeaderDone:
		return e.start(e.parser.Header(), turn)
	case harmony.Delta:
		return []Event{Delta{ev.Text}}
	case harmony.MessageDone:
		defer func() { e.started = false }()
		if !e.started { // the header never ended, its text is the content
			return append(e.start(ev.Message.Message, turn), Delta{ev.Message.Text()})
		}
		if ev.Text != "" {
			return []Event{Delta{ev.Text}}
		}
	}
	return nil
}

func (e *ear) start(header harmony.Message, turn int) []Event {
	e.started = true
	return []Event{Started{Turn: turn, Channel: header.Channel, Recipient: header.Recipient}}
}
