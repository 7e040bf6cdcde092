// Package agent is the loop between a model and its tools.
//
// One turn goes: the model's tokens stream through the Harmony parser; a
// message with a recipient is a call; the policy decides; a person may be
// asked; the tool runs; its result becomes a tool-role message; the model goes
// on. The run ends with a message on the final channel, with a spent budget,
// or when the model repeats a call that was denied.
//
// What it refuses: it opens no files, knows no configuration, writes no log,
// and imports no inference engine and no tool. Sampled tokens stay in the
// history exactly as they were sampled; text from elsewhere enters it only
// through the renderer, as ordinary tokens.
package agent
