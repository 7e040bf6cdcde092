package agent

import (
	"context"
	"slices"
	"strings"

	"chorale/harmony"
)

// saying is one message of the model as it came out of the parser.
type saying struct {
	message harmony.Message
	stop    harmony.Token // what ended it; meaningless if cut
	cut     bool          // it ended without a stop token
	trouble error         // the parser's complaint, if any
}

// listen lets the model say one message, streams it to the watcher, and keeps
// its tokens exactly as sampled.
func (r *run) listen(ctx context.Context) (saying, error) {
	turn, start := r.used.Turns+1, len(r.history)
	room := min(r.Budget.Tokens-r.used.Tokens, r.Budget.Context-start)
	ear := newEar(r.Encoding, r.Dialect)
	said := saying{cut: true}
	for token, err := range r.Model.Generate(ctx, r.history[:start:start], r.Encoding.StopTokens()) {
		if err != nil {
			return saying{}, err
		}
		r.history = append(r.history, token)
		for _, e := range ear.hear(token, turn) {
			r.emit(e)
		}
		if slices.Contains(r.Encoding.StopTokens(), token) {
			said.stop, said.cut = token, false
			break
		}
		if room--; room <= 0 {
			break
		}
	}
	if err := ctx.Err(); err != nil {
		return saying{}, err
	}
	tokens := slices.Clone(r.history[start:])
	r.used.Tokens += len(tokens)
	said.message, said.trouble = ear.message()
	r.emit(Sampled{Turn: turn, Message: said.message, Tokens: tokens})
	return said, nil
}

// verdict is what follows from a message of the model.
type verdict int

const (
	answers verdict = iota // on the final channel: the run is done
	calls                  // a tool is asked for
	thinks                 // analysis, or a preamble: the model goes on
	cutOff                 // it ended in the middle
	puzzles                // it cannot be used as it stands
)

// judge counts what the model said and says what follows from it. A call goes
// by its recipient, on any channel but final; an answer goes by its channel.
func (r *run) judge(said saying) verdict {
	m, control := said.message, r.Encoding.Control()
	v := puzzles
	switch {
	case said.cut:
		return cutOff
	case said.trouble != nil:
	case m.Channel == harmony.Final:
		if strings.TrimSpace(m.Text()) != "" && said.stop != control.Call {
			v = answers
		}
	case callable(m.Recipient):
		v = calls
	case m.Recipient != "" && m.Recipient != "all":
	case said.stop == control.End && r.thoughts < maxThoughts:
		r.thoughts++
		return thinks
	}
	r.used.Turns++
	r.thoughts = 0
	if v != puzzles {
		r.malformed = 0
		return v
	}
	r.malformed++
	r.used.Malformed++
	return v
}
