package harmony

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// State is what a parser waits for.
type State uint8

// The three states.
const (
	ExpectStart State = iota // <|start|>
	InHeader                 // the rest of a header, up to <|message|>
	InContent                // text, up to a stop token
)

var stateNames = [...]string{"ExpectStart", "Header", "Content"}

func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// Strictness says what happens to a message that stops before its header is
// complete.
type Strictness uint8

const (
	// Strict takes stop tokens in a header for header text, as openai-harmony
	// does by default.
	Strict Strictness = iota
	// Relaxed is openai-harmony's strict=false: a stop token ends the message
	// there too, and in the first message its text becomes the content.
	Relaxed
	// Lenient never fails and loses no text, whatever the tokens are. What it
	// mends it reports as repairs. It is for models at work; the other two are
	// for agreement with openai-harmony.
	Lenient
)

// ParseOptions says how tokens are read. The zero value reads a stream that
// begins with <|start|> in the models' dialect, strictly.
type ParseOptions struct {
	Dialect    Dialect
	Strictness Strictness
	// Role is the author of the first message if the prompt ended in <|start|>
	// and that role's word, so that the model's tokens begin behind it.
	Role Role
}

// Stop tells what ended a message.
type Stop uint8

// The ends of a message.
const (
	StopEOS    Stop = iota // the stream ended inside it
	StopEnd                // <|end|>
	StopReturn             // <|return|>: the model is done
	StopCall               // <|call|>: the model waits for a tool
	StopNext               // the next message began without a stop token (Lenient only)
)

var stopNames = [...]string{"eos", "end", "return", "call", "next"}

func (s Stop) String() string {
	if int(s) < len(stopNames) {
		return stopNames[s]
	}
	return fmt.Sprintf("stop(%d)", uint8(s))
}

// stop tells which end of a message a stop token is.
func (c *Control) stop(t Token) Stop {
	switch t {
	case c.End:
		return StopEnd
	case c.Return:
		return StopReturn
	}
	return StopCall
}

// Parsed is a message with where it stood in the stream.
type Parsed struct {
	Message
	// Start and End are the first token of the message and the one behind its
	// last, counted from the first that was pushed: <|start|> (if the stream had
	// it) and the stop token included.
	Start, End int
	Stop       Stop
	// The rest is known in Lenient mode only. RawChannel is the channel as it
	// was spelled, HeaderText the header's text with its special tokens left
	// out, Repairs what was mended in this message and before it.
	RawChannel string
	HeaderText string
	Repairs    []Repair
}

// EventKind tells what a token brought.
type EventKind uint8

// The kinds of events.
const (
	// Nothing that can be shown yet: part of a header or of a character.
	Nothing EventKind = iota
	// HeaderDone means that role, recipient, channel and content type are known.
	HeaderDone
	// Delta is new text of the content.
	Delta
	// MessageDone means that the message is complete.
	MessageDone
	// Stray is text that belongs to no message (Lenient only).
	Stray
)

// Event is what one token brought.
type Event struct {
	Kind EventKind
	// Text is the new text of a Delta. In Lenient mode it is also the text of a
	// header, of stray tokens, and what the end of a message freed, so that the
	// texts of all events are the text of all tokens that are not special.
	Text string
	// Message is the finished message of a MessageDone.
	Message *Parsed
	// Repairs is what this token made clear to be wrong (Lenient only).
	Repairs []Repair
}

// Parser reads the tokens of messages one by one. It knows the control tokens by
// their ids: content that spells one is content. (In a header, Strict and
// Relaxed look for the channel and constrain markers in the decoded text, as
// openai-harmony does.) It does not stop at an error: the next token can be
// pushed after it.
type Parser struct {
	enc      *Encoding
	o        ParseOptions
	state    State
	nextRole Role // in force for the next header; 0 if the header names it
	header   Message
	pending  []Token // of the header
	content  strings.Builder
	stream   textStream // between the tokens' bytes and content
	unknown  bool       // an id outside the vocabulary came; the rest of the message is lost
	delta    string
	hasDelta bool
	pushed   int
	start    int
	messages []Parsed
	lenient  lenient
}

// usualHeader is how many tokens a header rarely exceeds. With the memory made
// at the start, a token that brings no text costs none.
const usualHeader = 64

// NewParser returns a parser for one stream.
func NewParser(e *Encoding, o ParseOptions) *Parser {
	p := &Parser{enc: e, o: o, nextRole: o.Role}
	p.pending = make([]Token, 0, usualHeader)
	p.stream.buf = make([]byte, 0, utf8.UTFMax*4)
	if o.Role != 0 {
		p.state = InHeader
	}
	return p
}

// Parse reads all tokens at once. At the first error it returns the messages
// before it.
func (e *Encoding) Parse(tokens []Token, o ParseOptions) ([]Parsed, error) {
	p := NewParser(e, o)
	for i, t := range tokens {
		if _, err := p.Push(t); err != nil {
			return p.messages, fmt.Errorf("parse: token %d: %w", i, err)
		}
	}
	if _, err := p.Close(); err != nil {
		return p.messages, fmt.Errorf("parse: end of stream: %w", err)
	}
	return p.messages, nil
}

// Push reads the next token.
func (p *Parser) Push(t Token) (Event, error) {
	p.pushed++
	if p.o.Strictness == Lenient {
		return p.pushLenient(t), nil
	}
	c := &p.enc.control
	switch p.state {
	case ExpectStart:
		if t != c.Start {
			return Event{}, fmt.Errorf("Unexpected token %d while expecting start token %d", t, c.Start)
		}
		p.state = InHeader
		p.pending = p.pending[:0]
		p.start = p.pushed - 1
		return Event{}, nil
	case InHeader:
		switch {
		case t == c.Message:
			return p.endHeader()
		case p.o.Strictness == Relaxed && c.isStop(t):
			return p.endInHeader(t)
		}
		p.pending = append(p.pending, t)
		return Event{}, nil
	}
	if c.isStop(t) {
		return p.endMessage(c.stop(t)), nil
	}
	return p.pushContent(t), nil
}

// Close tells the parser that the stream is over. An open message ends with it;
// an open header is an error, and stays open, unless the parser is lenient.
func (p *Parser) Close() (Event, error) {
	if p.o.Strictness == Lenient {
		return p.closeLenient(), nil
	}
	switch p.state {
	case InHeader:
		return Event{}, errOpenHeader
	case InContent:
		return p.endMessage(StopEOS), nil
	}
	return Event{}, nil
}

// endHeader reads the collected header. After an error the role given at the
// start stays in force.
func (p *Parser) endHeader() (Event, error) {
	p.state = ExpectStart
	h, err := p.readHeader(p.pending)
	if err != nil {
		return Event{}, err
	}
	p.nextRole = 0
	p.state = InContent
	p.header = h
	p.content = strings.Builder{}
	p.unknown = false
	return Event{Kind: HeaderDone}, nil
}

// endInHeader ends a message whose header never did, as Relaxed has it.
func (p *Parser) endInHeader(t Token) (Event, error) {
	var ev Event
	if p.nextRole != 0 && len(p.pending) > 0 {
		text, err := p.headerText(p.pending)
		if err != nil {
			return Event{}, err
		}
		h, words, err := parseHeader(text, p.nextRole, p.o.Dialect, false)
		if err != nil {
			return Event{}, err
		}
		h.Content = []Part{Text(strings.Join(words, " "))}
		ev = p.finish(h, p.enc.control.stop(t))
	}
	p.state = ExpectStart
	p.nextRole = 0
	return ev, nil
}

// pushContent adds the token's text, special tokens by name. Bytes that are no
// UTF-8 wait for the next token; of bad sequences one is replaced a token.
func (p *Parser) pushContent(t Token) Event {
	p.delta, p.hasDelta = "", false
	text := p.enc.vocab.of(t)
	if text == "" {
		p.unknown = true
	}
	if p.unknown {
		return Event{}
	}
	if text = p.stream.add(text, false); text == "" {
		return Event{}
	}
	p.content.WriteString(text)
	p.delta, p.hasDelta = text, true
	return Event{Kind: Delta, Text: text}
}

// endMessage closes the open message. What is left undecoded is replaced there,
// first an unknown token and all behind it, then bytes that wait.
func (p *Parser) endMessage(s Stop) Event {
	if p.unknown {
		p.content.WriteRune(utf8.RuneError)
	}
	p.content.WriteString(p.stream.flush())
	p.header.Content = []Part{Text(p.content.String())}
	p.state = ExpectStart
	p.delta, p.hasDelta = "", false
	return p.finish(p.header, s)
}

func (p *Parser) finish(m Message, s Stop) Event {
	end := p.pushed
	if s == StopNext { // the last token opens the next message
		end--
	}
	l := &p.lenient
	p.messages = append(p.messages, Parsed{
		Message: m, Start: p.start, End: end, Stop: s,
		RawChannel: l.rawChannel, HeaderText: l.headerText, Repairs: l.repairs,
	})
	l.repairs = nil
	return Event{Kind: MessageDone, Message: &p.messages[len(p.messages)-1]}
}

// State returns what the parser waits for.
func (p *Parser) State() State { return p.state }

// Header returns the open message without its content. Before the header is
// complete only the role can be set, to the one given at the start.
func (p *Parser) Header() Message {
	if p.state == InContent {
		return p.header
	}
	return Message{Role: p.nextRole}
}

// Content returns the text of the open message so far, without bytes that wait
// to become a character. It costs nothing.
func (p *Parser) Content() string {
	if p.state != InContent {
		return ""
	}
	return p.content.String()
}

// LastDelta returns the text that the last content token brought.
func (p *Parser) LastDelta() (string, bool) { return p.delta, p.hasDelta }

// Loose returns the repairs that are in no finished message: those since the last
// one. After Close they belong to none.
func (p *Parser) Loose() []Repair { return p.lenient.repairs }

// Messages returns the finished messages.
func (p *Parser) Messages() []Parsed { return p.messages }
