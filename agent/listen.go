package agent

import (
	"context"
	"slices"
	"strings"

	"chorale/harmony"
)

// saying is what the model says from one opening to its stop token: a message,
// or several where it forgot to stop between them.
type saying struct {
	messages []harmony.Parsed
	cut      bool // a budget, or the engine, ended it before a stop token
}

// listen opens the model's next message, lets it speak, streams that to the
// watcher, and keeps its tokens exactly as sampled.
func (r *run) listen(ctx context.Context) (saying, error) {
	r.open()
	turn, start, stops := r.used.Turns+1, len(r.history), r.Encoding.StopTokens()
	room := min(r.Budget.Tokens-r.used.Tokens, r.Budget.Context-start)
	ear := newEar(r.Encoding, r.Dialect)
	said := saying{cut: true}
	rein := r.rein()
	for token, err := range r.Model.Generate(ctx, r.history[:start:start], stops, rein.constraint()) {
		if err != nil {
			return saying{}, err
		}
		r.history = append(r.history, token)
		r.emit(ear.hear(token, turn)...)
		if said.cut = !slices.Contains(stops, token); !said.cut {
			break
		}
		if room--; room <= 0 {
			break
		}
	}
	if err := ctx.Err(); err != nil {
		return saying{}, err
	}
	var last []Event
	said.messages, last = ear.end(turn)
	r.emit(last...)
	tokens := slices.Clone(r.history[start:])
	r.used.Tokens += len(tokens)
	r.used.Forced += rein.forced
	r.report(said.messages, tokens, ear.parser.Loose(), rein.forced, turn)
	return said, nil
}

// report emits each message with its tokens and repairs, those between two
// messages with the later one, and the loose ones, behind the last, with that.
// There is one message where tokens were forced: a constraint has the model stop
// between two.
func (r *run) report(messages []harmony.Parsed, tokens []harmony.Token, loose []harmony.Repair, forced, turn int) {
	if len(messages) == 0 { // it said nothing
		messages = []harmony.Parsed{{Message: harmony.Message{Role: harmony.Assistant}}}
	}
	from := 0
	for i, m := range messages {
		end, repairs := m.End, slices.Clone(m.Repairs)
		if i == len(messages)-1 {
			end, repairs = len(tokens), append(repairs, loose...)
		}
		for k := range repairs {
			repairs[k].Token -= from
		}
		r.used.Repaired += len(repairs)
		r.emit(Sampled{Turn: turn, Message: m.Message, Tokens: tokens[from:end], Forced: forced, Repairs: repairs})
		from, forced = end, 0
	}
}

// meaning is what follows from a message of the model.
type meaning int

const (
	answers meaning = iota // on the final channel: the run is done
	calls                  // a tool is asked for
	thinks                 // analysis, or a preamble: the model goes on
	puzzles                // it cannot be used as it stands
)

// judge says what follows from a message. A call goes by its recipient, whatever
// the channel, unless a final message ends the model's turn; an answer goes by
// its channel, or by ending the turn where it has none, as refusals do.
func (r *run) judge(m *harmony.Parsed) meaning {
	r.fault = nil
	final := m.Channel == harmony.Final || m.Channel == "" && m.Stop == harmony.StopReturn
	switch {
	case m.Role != harmony.Assistant:
		return puzzles
	case callable(m.Recipient) && !(m.Channel == harmony.Final && m.Stop == harmony.StopReturn):
		return calls
	case m.Recipient != "" && m.Recipient != "all" && !final:
		return puzzles
	case final && m.Stop != harmony.StopCall && strings.TrimSpace(m.Text()) != "":
		if r.fault = r.answerFault(m.Text()); r.fault != nil {
			return puzzles
		}
		return answers
	case !final && (m.Stop == harmony.StopEnd || m.Stop == harmony.StopNext) && r.thoughts < maxThoughts:
		return thinks
	}
	return puzzles
}

// answerFault says what is wrong with an answer, nil if nothing is.
func (r *run) answerFault(final string) error {
	if r.Answer == nil {
		return nil
	}
	return r.Answer(final)
}

// count keeps the books on a message: a turn ends when the model hands over.
func (r *run) count(m meaning) {
	switch m {
	case thinks:
		r.thoughts++
		return
	case puzzles:
		r.malformed++
		r.used.Malformed++
	default:
		r.malformed = 0
	}
	r.used.Turns++
	r.thoughts = 0
}
