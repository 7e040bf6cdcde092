package agent

import (
	"fmt"

	"chorale/harmony"
)

// correct tells the model what was wrong with its last message. The notice is
// the runtime's, so it speaks as the developer.
func (r *run) correct(said saying) error {
	notice := r.complaint(said)
	r.emit(Trouble{Turn: r.used.Turns, Notice: notice})
	return r.tell(harmony.NewMessage(harmony.Developer, notice))
}

func (r *run) complaint(said saying) string {
	m, control := said.message, r.Encoding.Control()
	switch {
	case said.trouble != nil:
		return fmt.Sprintf("Your last message could not be read: %v. Write it again.", said.trouble)
	case m.Recipient != "" && m.Channel != harmony.Final:
		return "Your last message was addressed to no tool. The tools are: " + r.toolNames() + "."
	case said.stop == control.Call:
		return "Your last message was a call without a recipient. Name the tool, or answer on the final channel."
	case said.stop == control.End:
		return "You have thought long enough. Call a tool, or answer on the final channel."
	case m.Channel == harmony.Final:
		return "Your last message was empty. Give your answer on the final channel."
	}
	return "You ended your turn without an answer. Give your answer on the final channel."
}
