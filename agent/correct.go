package agent

import "chorale/harmony"

// correct tells the model what was wrong with its last message. The notice is
// the runtime's and speaks as the developer, so it holds no word that the model
// or anybody else has chosen.
func (r *run) correct(said saying) error {
	notice := r.complaint(said)
	r.emit(Trouble{Turn: r.used.Turns, Notice: notice, Cause: said.trouble})
	return r.tell(harmony.NewMessage(harmony.Developer, notice))
}

func (r *run) complaint(said saying) string {
	m, control := said.message, r.Encoding.Control()
	switch {
	case said.trouble == errNothing:
		return "Your last message was empty. Call a tool, or answer on the final channel."
	case said.trouble != nil:
		return "The header of your last message could not be read. Write the message again."
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
