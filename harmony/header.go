package harmony

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// The errors of headers are worded as openai-harmony words them.
var (
	errHeaderText = errors.New("could not decode header")
	errNoChannel  = errors.New("channel marker present but no channel value found in header")
	errNoRole     = errors.New("message header did not contain a role")
	errOpenHeader = errors.New("Unexpected EOS while waiting for message header to complete")
)

// readHeader reads the tokens between <|start|> and <|message|>.
func (p *Parser) readHeader(tokens []Token) (Message, error) {
	text, err := p.headerText(tokens)
	if err != nil {
		return Message{}, errHeaderText
	}
	m, rest, err := parseHeader(text, p.nextRole, p.o.Dialect, true)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("unexpected tokens remaining in message header: Some(%s)", rustQuote(strings.Join(rest, " ")))
	}
	return m, err
}

// headerText decodes header tokens; the markers in it are found by name, so
// text that spells one is one, in a header.
func (p *Parser) headerText(tokens []Token) (string, error) {
	text, err := p.enc.Decode(tokens)
	if err != nil {
		return "", fmt.Errorf("Could not decode tokens: Invalid token error: %w", err)
	}
	switch good, bad, cut := badUTF8(text); {
	case cut:
		return "", fmt.Errorf("Could not decode tokens: Invalid utf-8 sequence: incomplete utf-8 byte sequence from index %d", good)
	case bad > 0:
		return "", fmt.Errorf("Could not decode tokens: Invalid utf-8 sequence: invalid utf-8 sequence of %d bytes from index %d", bad, good)
	}
	return text, nil
}

// parseHeader reads a header's text. The words that it cannot place come back
// as rest; without addressed, which is for headers that were never finished,
// recipient and content type are not looked for and all words come back.
func parseHeader(text string, given Role, d Dialect, addressed bool) (m Message, rest []string, err error) {
	channel, text, found := cutChannel(text)
	if found {
		if channel == "" {
			return m, nil, errNoChannel
		}
		m.Channel = channel
		// Small models repeat the marker; the fork of openai-harmony cuts the
		// further ones out, whatever their value.
		for found && d == GptOss {
			_, text, found = cutChannel(text)
		}
	}
	text = strings.TrimFunc(text, unicode.IsSpace)
	text = strings.ReplaceAll(text, constrainName, " "+constrainName)
	words := strings.FieldsFunc(text, isASCIISpace)
	if words, err = m.takeAuthor(words, given); err != nil {
		return m, nil, err
	}
	if addressed {
		words = m.takeAddress(words)
	}
	return m, words, nil
}

// cutChannel cuts the first channel marker and its value out of the text.
func cutChannel(text string) (channel, rest string, found bool) {
	before, after, found := strings.Cut(text, channelName)
	if !found {
		return "", text, false
	}
	end := strings.IndexFunc(after, func(r rune) bool { return unicode.IsSpace(r) || r == '<' })
	if end < 0 {
		end = len(after)
	}
	return after[:end], before + after[end:], true
}

// takeAuthor reads the role word, unless the role was given. An unknown word is
// the name of a tool if something follows it.
func (m *Message) takeAuthor(words []string, given Role) ([]string, error) {
	m.Role = given
	if given == 0 {
		if len(words) == 0 {
			return nil, errNoRole
		}
		word := words[0]
		role, known := ParseRole(word)
		if !known {
			if len(words) == 1 && !strings.HasPrefix(word, "to=") {
				return nil, fmt.Errorf("Unknown role: %s", word)
			}
			role = Tool
			words = words[1:]
		}
		m.Role = role
		if role == Tool {
			m.Name = word
		}
	}
	if len(words) > 0 && words[0] == m.Role.String() {
		words = words[1:]
	}
	return words, nil
}

// takeAddress reads recipient and content type off the end. A single word is
// the recipient, whatever it looks like.
func (m *Message) takeAddress(words []string) []string {
	if len(words) == 0 {
		return nil
	}
	n := len(words)
	last, addressed := strings.CutPrefix(words[n-1], "to=")
	if addressed || n == 1 {
		m.setRecipient(last)
		return words[:n-1]
	}
	m.ContentType = last
	m.setRecipient(strings.TrimPrefix(words[n-2], "to="))
	return words[:n-2]
}

func (m *Message) setRecipient(to string) {
	m.Recipient = to
	if to == "" {
		m.Blank |= BlankRecipient
	}
}

// isASCIISpace is Rust's split_ascii_whitespace: without the vertical tab.
func isASCIISpace(r rune) bool {
	return r == ' ' || r == '\t' || r == '\n' || r == '\f' || r == '\r'
}

// rustQuote quotes like Rust's {:?}, as openai-harmony's messages do.
func rustQuote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch r {
		case '"', '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case 0:
			b.WriteString(`\0`)
		case '\t':
			b.WriteString(`\t`)
		case '\n':
			b.WriteString(`\n`)
		case '\r':
			b.WriteString(`\r`)
		default:
			if !unicode.In(r, unicode.Mn, unicode.Me, unicode.Other_Grapheme_Extend) && unicode.IsPrint(r) || classes()[r]&(letter|number) != 0 {
				b.WriteRune(r)
			} else {
				fmt.Fprintf(&b, `\u{%x}`, r)
			}
		}
	}
	b.WriteByte('"')
	return b.String()
}
