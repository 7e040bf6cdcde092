package harmony

import (
	"fmt"
	"slices"
	"strings"
)

// AnalysisPolicy says which of the model's earlier reasoning is left out of a
// prompt.
type AnalysisPolicy uint8

const (
	// KeepAnalysis renders every message.
	KeepAnalysis AnalysisPolicy = iota
	// DropAnalysisCompat is openai-harmony's auto_drop_analysis: if the last
	// assistant message is on the final channel, every message on analysis goes
	// that comes before the first final one.
	DropAnalysisCompat
	// DropAnalysisGuide is what the Harmony guide asks for: if the last
	// assistant message is on the final channel, every message on analysis goes
	// that comes before the last final one. An open tool loop keeps them all.
	DropAnalysisGuide
)

// RenderOptions says how a conversation is written. The zero value is the
// models' own dialect with all messages.
type RenderOptions struct {
	Dialect  Dialect
	Analysis AnalysisPolicy
}

// Render returns the tokens of the conversation. It fails for a tool message
// without a name, for system or developer content in a message of another role,
// and for a role that does not exist.
func (e *Encoding) Render(messages []Message, o RenderOptions) ([]Token, error) {
	return e.AppendRender(nil, messages, o)
}

// RenderForCompletion renders the conversation and opens the next message:
// <|start|> and the word of the role that speaks next.
func (e *Encoding) RenderForCompletion(messages []Message, next Role, o RenderOptions) ([]Token, error) {
	tokens, err := e.AppendRender(nil, messages, o)
	if err != nil {
		return nil, err
	}
	return e.AppendStart(tokens, next), nil
}

// RenderForTraining renders the conversation, and lets it end in <|return|> if
// its last message is the assistant's on the final channel.
func (e *Encoding) RenderForTraining(messages []Message, o RenderOptions) ([]Token, error) {
	tokens, err := e.AppendRender(nil, messages, o)
	if err != nil || len(messages) == 0 {
		return tokens, err
	}
	if last := &messages[len(messages)-1]; last.Role == Assistant && last.Channel == Final && len(tokens) > 0 {
		tokens[len(tokens)-1] = e.control.Return
	}
	return tokens, nil
}

// AppendRender appends what Render returns to dst.
func (e *Encoding) AppendRender(dst []Token, messages []Message, o RenderOptions) ([]Token, error) {
	functions := slices.ContainsFunc(messages, func(m Message) bool { return m.declaresFunctions() })
	dropBefore := o.Analysis.dropBefore(messages)
	var err error
	for i := range messages {
		if i < dropBefore && messages[i].Channel == Analysis {
			continue
		}
		if dst, err = e.AppendMessage(dst, &messages[i], o.Dialect, functions); err != nil {
			return nil, fmt.Errorf("render message %d: %w", i, err)
		}
	}
	return dst, nil
}

// dropBefore returns the index before which analysis messages are left out.
func (a AnalysisPolicy) dropBefore(messages []Message) int {
	if a == KeepAnalysis {
		return 0
	}
	finished := false
	for i := len(messages) - 1; i >= 0; i-- {
		if messages[i].Role == Assistant {
			finished = messages[i].Channel == Final
			break
		}
	}
	if !finished {
		return 0
	}
	first, last := -1, 0
	for i := range messages {
		if messages[i].Channel == Final {
			if first < 0 {
				first = i
			}
			last = i
		}
	}
	if a == DropAnalysisGuide {
		return last
	}
	return first
}

// declaresFunctions reports whether the message has developer tools under the
// key "functions".
func (m *Message) declaresFunctions() bool {
	return slices.ContainsFunc(m.Content, func(p Part) bool {
		d, ok := p.(*DeveloperContent)
		return ok && len(d.Tools[FunctionsNamespace].Functions) > 0
	})
}

// AppendStart opens a message of the role, for the model to go on from.
func (e *Encoding) AppendStart(dst []Token, r Role) []Token {
	return e.AppendEncode(append(dst, e.control.Start), r.String())
}

// AppendMessage appends the tokens of one message. Functions tells a system
// message that the conversation declares functions, which it then mentions. It
// is the way to extend a prompt of which the tokens so far must stay as they
// are.
func (e *Encoding) AppendMessage(dst []Token, m *Message, d Dialect, functions bool) ([]Token, error) {
	start := len(dst)
	if len(m.Sampled) > 0 && m.Sampled[0] == e.control.Start {
		return e.appendSampled(dst, m.Sampled), nil
	}
	dst = append(dst, e.control.Start)
	var err error
	if dst, err = e.appendAuthor(dst, m); err != nil {
		return dst[:start], err
	}
	if len(m.Sampled) > 0 {
		return e.appendSampled(dst, m.Sampled), nil
	}
	dst = e.appendHeader(dst, m, d)
	dst = append(dst, e.control.Message)
	for _, p := range m.Content {
		text, err := partText(p, m.Role, d, functions)
		if err != nil {
			return dst[:start], err
		}
		dst = e.AppendEncode(dst, text)
	}
	if m.IsCall() {
		return append(dst, e.control.Call), nil
	}
	return append(dst, e.control.End), nil
}

// appendSampled appends the model's own tokens. A message that ended the
// model's turn is, once it is history, a message like any other.
func (e *Encoding) appendSampled(dst, sampled []Token) []Token {
	dst = append(dst, sampled...)
	last := &dst[len(dst)-1]
	switch {
	case *last == e.control.Return:
		*last = e.control.End
	case !e.control.isStop(*last): // cut short by a budget
		dst = append(dst, e.control.End)
	}
	return dst
}

func (e *Encoding) appendAuthor(dst []Token, m *Message) ([]Token, error) {
	named := m.Blank.has(m.Name, BlankName)
	switch {
	case m.Role == Tool && !named:
		return dst, fmt.Errorf("a tool message needs the tool's name")
	case m.Role == Tool:
		return e.AppendEncode(dst, m.Name), nil
	case m.Role == 0 || m.Role > Tool:
		return dst, fmt.Errorf("unknown %v", m.Role)
	}
	dst = e.AppendEncode(dst, m.Role.String())
	if named {
		dst = e.AppendEncode(dst, ":"+m.Name)
	}
	return dst, nil
}

// appendHeader appends recipient, channel and content type, each tokenised on
// its own.
func (e *Encoding) appendHeader(dst []Token, m *Message, d Dialect) []Token {
	channelFirst := d == GptOss && m.Channel == Commentary
	if channelFirst {
		dst = e.appendChannel(dst, m)
	}
	if m.Blank.has(m.Recipient, BlankRecipient) && m.Recipient != "all" {
		dst = e.AppendEncode(dst, " to="+m.Recipient)
	}
	if !channelFirst {
		dst = e.appendChannel(dst, m)
	}
	if !m.Blank.has(m.ContentType, BlankContentType) {
		return dst
	}
	kind, constrained := strings.CutPrefix(m.ContentType, constrainName)
	if !constrained && d == Compat {
		return e.AppendEncode(dst, " "+kind)
	}
	dst = append(e.AppendEncode(dst, " "), e.control.Constrain)
	return e.AppendEncode(dst, kind)
}

func (e *Encoding) appendChannel(dst []Token, m *Message) []Token {
	if !m.Blank.has(m.Channel, BlankChannel) {
		return dst
	}
	return e.AppendEncode(append(dst, e.control.Channel), m.Channel)
}

// partText returns the text of a part in a message of the role.
func partText(p Part, r Role, d Dialect, functions bool) (string, error) {
	switch p := p.(type) {
	case Text:
		return string(p), nil
	case *SystemContent:
		if r != System {
			return "", fmt.Errorf("system content in a message of role %v; it belongs in a system message", r)
		}
		return p.text(d, functions)
	case *DeveloperContent:
		if r != Developer {
			return "", fmt.Errorf("developer content in a message of role %v; it belongs in a developer message", r)
		}
		return p.text(d)
	}
	return "", fmt.Errorf("a content part of type %T", p)
}

// text renders the system message's blocks, a blank line between them.
func (s *SystemContent) text(d Dialect, functions bool) (string, error) {
	var blocks, top []string
	if s.Blank.has(s.Identity, BlankIdentity) {
		top = append(top, s.Identity)
	}
	if s.Blank.has(s.KnowledgeCutoff, BlankCutoff) {
		top = append(top, "Knowledge cutoff: "+s.KnowledgeCutoff)
	}
	if s.Blank.has(s.CurrentDate, BlankDate) {
		top = append(top, "Current date: "+s.CurrentDate)
	}
	if len(top) > 0 {
		blocks = append(blocks, strings.Join(top, "\n"))
	}
	if s.Effort != 0 {
		blocks = append(blocks, "Reasoning: "+s.Effort.String())
	}
	if len(s.Tools) > 0 {
		tools, err := s.Tools.text(d)
		if err != nil {
			return "", err
		}
		blocks = append(blocks, tools)
	}
	if len(s.Channels) > 0 {
		line := "# Valid channels: " + strings.Join(s.Channels, ", ") + "."
		if s.ChannelRequired {
			line += " Channel must be included for every message."
		}
		if functions {
			line += "\nCalls to these tools must go to the commentary channel: 'functions'."
		}
		blocks = append(blocks, line)
	}
	return strings.Join(blocks, "\n\n"), nil
}

// text renders instructions and tools, a blank line between them.
func (c *DeveloperContent) text(d Dialect) (string, error) {
	var blocks []string
	if c.Blank.has(c.Instructions, BlankInstructions) {
		blocks = append(blocks, "# Instructions", c.Instructions)
	}
	if len(c.Tools) > 0 {
		tools, err := c.Tools.text(d)
		if err != nil {
			return "", err
		}
		blocks = append(blocks, tools)
	}
	return strings.Join(blocks, "\n\n"), nil
}
