// Package harmony renders conversations to the tokens of the Harmony response
// format and parses the model's token stream back: roles, channels,
// recipients, tool calls. It is pure: no I/O, no clock, no log, and it imports
// nothing of this module.
//
// Text given by anybody (user, page, tool output) is only ever encoded as
// ordinary text. Control tokens come from the renderer alone.
package harmony
