// Package harmony renders conversations to the tokens of the Harmony response
// format and parses a model's token stream back: roles, channels, recipients,
// tool calls. It holds the o200k_harmony encoding of the gpt-oss models and
// reads the tokenizers of checkpoints that have one of their own.
//
// An [Encoding] is made once, by [O200kHarmony], [FromTokenizerJSON] or
// [FromVocabulary]. Its Render methods turn [Message] values into a prompt, a
// [Parser] turns the tokens that a model samples into messages again, one
// [Event] at a time:
//
//	e := harmony.O200kHarmony()
//	prompt, err := e.RenderForCompletion(messages, harmony.Assistant, harmony.RenderOptions{})
//	p := harmony.NewParser(e, harmony.ParseOptions{Role: harmony.Assistant})
//	for token := range sample(prompt, e.ActionStopTokens()) {
//		event, err := p.Push(token)
//	}
//
// Models slip: they forget <|message|>, repeat a channel, write text between
// messages. A [Lenient] parser never fails and loses no text,
// whatever the tokens are; each thing that it mends is a [Repair] with its kind and
// its token. A call goes by its recipient, whatever the channel.
//
// Two dialects are known. [Compat] is openai-harmony 0.0.8 token for token, its
// errors included. [GptOss], the default, is the order that the models emit
// themselves, as the maintained fork oss-harmony 0.0.11 renders it. The vectors
// in testdata were made by those two libraries.
//
// The package is pure: no I/O, no clock, no log, no goroutines, nothing imported
// but the standard library. Text given by anybody (user, page, tool output) is
// only ever encoded as ordinary text: control tokens come from the renderer and
// from [Message.Sampled] alone. No input makes it panic, and the work grows with
// the length of the input, whatever it holds. Pushing a token that brings no text
// allocates nothing, and reading the content so far costs nothing.
package harmony
