package agent

import "chorale/harmony"

// correct tells the model what was wrong with its last message. The notice is
// the runtime's and speaks as the developer, so it holds no word that the model
// or anybody else has chosen.
func (r *run) correct(m *harmony.Parsed) error {
	notice := r.complaint(m)
	r.emit(Trouble{Turn: r.used.Turns, Notice: notice})
	return r.tell(harmony.NewMessage(harmony.Developer, notice))
}

func (r *run) complaint(m *harmony.Parsed) string {
	switch {
	case m.Role != harmony.Assistant:
		return "You wrote a message in another's name. Call a tool and wait for its result, or answer on the final channel."
	case m.Recipient != "" && m.Recipient != "all" && m.Channel != harmony.Final:
		return "Your last message was addressed to no tool. The tools are: " + r.toolNames() + "."
	case m.Stop == harmony.StopCall:
		return "Your last message was a call without a recipient. Name the tool, or answer on the final channel."
	case r.fault != nil:
		return "Your answer does not have the form that was asked for. Answer again on the final channel, with JSON that the schema accepts and nothing else."
	case m.Text() == "" || m.Channel == harmony.Final:
		return "Your last message was empty. Call a tool, or answer on the final channel."
	case m.Stop == harmony.StopEnd || m.Stop == harmony.StopNext:
		return "You have thought long enough. Call a tool, or answer on the final channel."
	}
	return "You ended your turn without an answer. Give your answer on the final channel."
}
