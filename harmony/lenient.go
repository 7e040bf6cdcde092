package harmony

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// lenient is what a parser keeps in Lenient mode beside the common state.
type lenient struct {
	implied    bool     // the open header began without <|start|>
	marked     bool     // it has a channel or constrain marker
	mark       int      // where the last of them stands in the header's tokens
	fresh      []Repair // since the last event
	repairs    []Repair // since the last finished message
	rawChannel string   // of the open message, like the next
	headerText string
}

// pushLenient is Push for a parser that never fails. The text of all events,
// one after the other, is the text of all tokens that are not special.
func (p *Parser) pushLenient(t Token) Event {
	var ev Event
	switch p.state {
	case ExpectStart:
		ev = p.lenientBetween(t)
	case InHeader:
		ev = p.lenientInHeader(t)
	default:
		ev = p.lenientContent(t)
	}
	ev.Repairs = p.takeFresh()
	return ev
}

// closeLenient ends the stream.
func (p *Parser) closeLenient() Event {
	var ev Event
	switch p.state {
	case InHeader:
		if len(p.pending) > 0 || !p.lenient.implied && p.nextRole == 0 {
			ev = p.recover(StopEOS)
		}
	case InContent:
		p.repair(Truncated)
		ev = p.lenientEnd(StopEOS)
	}
	p.state = ExpectStart
	ev.Repairs = p.takeFresh()
	return ev
}

func (p *Parser) repair(k RepairKind) {
	r := Repair{k, max(0, p.pushed-1)}
	p.lenient.fresh = append(p.lenient.fresh, r)
	p.lenient.repairs = append(p.lenient.repairs, r)
}

// takeFresh returns the repairs that no event has reported.
func (p *Parser) takeFresh() []Repair {
	fresh := p.lenient.fresh
	p.lenient.fresh = nil
	return fresh
}

// lenientBetween reads a token where <|start|> is due.
func (p *Parser) lenientBetween(t Token) Event {
	c := &p.enc.control
	switch {
	case t == c.Start:
		p.openHeader(false)
	case c.isStop(t):
		p.repair(ExtraStop)
	case t == c.Channel, t == c.Constrain, t == c.Message:
		p.repair(MissingStart)
		p.openHeader(true)
		return p.lenientInHeader(t)
	case p.enc.IsSpecial(t):
		p.repair(StrayControl)
	default: // perhaps the header of a message without <|start|>, perhaps stray
		p.openHeader(true)
		p.pending = append(p.pending, t)
	}
	return Event{}
}

func (p *Parser) openHeader(implied bool) {
	p.state = InHeader
	p.pending = p.pending[:0]
	p.lenient.implied, p.lenient.marked, p.lenient.mark = implied, false, 0
	p.start = p.pushed - 1
}

// lenientInHeader reads a token of a header.
func (p *Parser) lenientInHeader(t Token) Event {
	c := &p.enc.control
	switch {
	case t == c.Message:
		return p.lenientHeaderDone()
	case c.isStop(t):
		return p.recover(c.stop(t))
	case t == c.Channel, t == c.Constrain:
		var ev Event
		if t == c.Channel && p.saysSomething() {
			ev = p.breakOff()
		} else if p.isLoose() && len(p.pending) > 0 {
			p.repair(MissingStart)
		}
		p.pushMarker(t)
		return ev
	case t != c.Start:
		p.pending = append(p.pending, t)
		return Event{}
	}
	// A further <|start|>.
	var ev Event
	if p.isLoose() {
		ev = p.stray()
	} else {
		p.repair(RepeatedStart)
		ev = p.recoverText(StopNext)
	}
	p.nextRole = 0
	p.openHeader(false)
	return ev
}

func (p *Parser) pushMarker(t Token) {
	p.lenient.marked, p.lenient.mark = true, len(p.pending)
	p.pending = append(p.pending, t)
}

// saysSomething reports whether the header's text since its last marker is more
// than a header has: two words or more that mean nothing there.
func (p *Parser) saysSomething() bool {
	const enough = 2
	own := 0 // the marker's word, or the author's
	if p.lenient.marked || p.nextRole == 0 && !p.lenient.implied {
		own = 1
	}
	since := p.pending[p.lenient.mark:]
	if p.countWords(since) < own+enough { // the usual case, without allocating
		return false
	}
	words := strings.Fields(p.textOf(since))
	free := 0
	for _, w := range words[min(own, len(words)):] {
		role, _ := nearestRole(w)
		if role == 0 && !isChannel(w) && !isContentType(w) && !isToolName(w) && !strings.HasPrefix(w, "to=") {
			free++
		}
	}
	return free >= enough
}

// countWords counts the words of tokens, which blanks and line ends part.
func (p *Parser) countWords(tokens []Token) (n int) {
	inside := false
	for _, t := range tokens {
		if p.enc.IsSpecial(t) {
			continue
		}
		for _, b := range []byte(p.enc.vocab.of(t)) {
			blank := b <= ' '
			if !blank && !inside {
				n++
			}
			inside = !blank
		}
	}
	return n
}

// breakOff ends what was no header, at the marker that begins one.
func (p *Parser) breakOff() (ev Event) {
	if p.isLoose() {
		ev = p.stray()
		p.repair(MissingStart)
	} else {
		p.repair(MissingEnd)
		ev = p.recoverText(StopNext)
	}
	p.nextRole = 0
	p.openHeader(true)
	return ev
}

// isLoose reports whether what was collected may be no header at all: text
// without <|start|> before it and, so far, without a marker in it.
func (p *Parser) isLoose() bool { return p.lenient.implied && !p.lenient.marked }

// stray reports the collected text as belonging to no message.
func (p *Parser) stray() Event {
	p.repair(StrayText)
	s, bad := p.segments(p.pending)
	if bad {
		p.repair(InvalidText)
	}
	return Event{Kind: Stray, Text: joinText(s)}
}

// lenientHeaderDone reads the collected header.
func (p *Parser) lenientHeaderDone() Event {
	if p.isLoose() && len(p.pending) > 0 {
		p.repair(MissingStart)
	}
	h := p.readLenient()
	h.takeWords()
	p.adopt(h)
	p.state = InContent
	p.nextRole = 0
	p.content = strings.Builder{}
	return Event{Kind: HeaderDone, Text: h.text}
}

// adopt makes the header that of the open message.
func (p *Parser) adopt(h *lenientHeader) {
	h.settle()
	for _, k := range h.repairs {
		p.repair(k)
	}
	p.lenient.rawChannel, p.lenient.headerText = h.rawChannel, h.text
	p.header = h.message
}

// recover makes a message of a header that never ended: its text is the
// content, unchanged.
func (p *Parser) recover(s Stop) Event {
	if p.isLoose() && strings.TrimSpace(p.textOf(p.pending)) == "" {
		ev := p.stray()
		p.state = ExpectStart
		return ev
	}
	if s == StopEOS {
		p.repair(Truncated)
	}
	if p.isLoose() {
		p.repair(MissingStart)
	}
	ev := p.recoverText(s)
	p.state = ExpectStart
	p.nextRole = 0
	return ev
}

// recoverText takes what it can out of an unfinished header and the rest for
// content. Without any there is no message.
func (p *Parser) recoverText(s Stop) Event {
	h := p.readLenient()
	content := h.takeStart()
	if strings.TrimSpace(content) == "" && h.message.Channel == "" && h.message.Recipient == "" && h.message.ContentType == "" {
		if s != StopNext {
			p.repair(EmptyMessage)
		}
		return Event{Text: h.text}
	}
	p.adopt(h)
	p.repair(MissingMessage)
	p.header.Content = []Part{Text(content)}
	ev := p.finish(p.header, s)
	ev.Text = h.text
	return ev
}

// lenientContent reads a token of the content.
func (p *Parser) lenientContent(t Token) Event {
	c := &p.enc.control
	switch {
	case c.isStop(t):
		return p.lenientEnd(c.stop(t))
	case t == c.Start, t == c.Channel:
		p.repair(MissingEnd)
		ev := p.lenientEnd(StopNext)
		p.openHeader(t == c.Channel)
		if t == c.Channel {
			p.pushMarker(t)
		}
		return ev
	case p.enc.IsSpecial(t):
		p.repair(StrayControl)
		return p.emit(p.stream.flush())
	}
	text := p.enc.vocab.of(t)
	if text == "" {
		p.repair(UnknownToken)
		return p.emit(p.stream.flush() + string(utf8.RuneError))
	}
	return p.emit(p.stream.add(text, true))
}

func (p *Parser) emit(text string) Event {
	p.reportInvalid()
	if text == "" {
		return Event{}
	}
	p.content.WriteString(text)
	return Event{Kind: Delta, Text: text}
}

// reportInvalid reports the bytes that the stream had to replace.
func (p *Parser) reportInvalid() {
	if p.stream.replaced {
		p.stream.replaced = false
		p.repair(InvalidText)
	}
}

// lenientEnd closes the open message. The event has the text that waited.
func (p *Parser) lenientEnd(s Stop) Event {
	rest := p.stream.flush()
	p.reportInvalid()
	p.content.WriteString(rest)
	p.header.Content = []Part{Text(p.content.String())}
	p.state = ExpectStart
	ev := p.finish(p.header, s)
	ev.Text = rest
	return ev
}

// textOf returns the text of header tokens without special ones. Between two of
// them bad UTF-8 is replaced.
func (p *Parser) textOf(tokens []Token) string {
	s, _ := p.segments(tokens)
	return joinText(s)
}

func joinText(segments []segment) string {
	if len(segments) == 1 {
		return segments[0].text
	}
	var b strings.Builder
	for _, s := range segments {
		b.WriteString(s.text)
	}
	return b.String()
}

// segment is the text behind a marker of the header; the first one has none.
type segment struct {
	marker Token
	text   string
}

// segments cuts header tokens at the markers among them. Bad tells whether bytes
// had to be replaced.
func (p *Parser) segments(tokens []Token) (out []segment, bad bool) {
	out = []segment{{}}
	var text, run strings.Builder // of the segment, and since the last special token
	flush := func() {
		bad = bad || !utf8.ValidString(run.String())
		text.WriteString(lossy(run.String()))
		run.Reset()
	}
	for _, t := range tokens {
		s := p.enc.vocab.of(t)
		switch c := &p.enc.control; {
		case t == c.Channel, t == c.Constrain:
			flush()
			out[len(out)-1].text = text.String()
			text.Reset()
			out = append(out, segment{marker: t})
		case s == "":
			flush()
			text.WriteRune(utf8.RuneError)
		case p.enc.IsSpecial(t):
			flush()
		default:
			run.WriteString(s)
		}
	}
	flush()
	out[len(out)-1].text = text.String()
	return out, bad
}

// readLenient prepares the collected header for reading.
func (p *Parser) readLenient() *lenientHeader {
	segments, bad := p.segments(p.pending)
	if bad {
		p.repair(InvalidText)
	}
	h := &lenientHeader{
		control: &p.enc.control, segments: segments,
		given: p.nextRole, implied: p.lenient.implied,
	}
	h.text = joinText(h.segments)
	h.channelFollows = slices.ContainsFunc(segments, func(s segment) bool { return s.marker == p.enc.control.Channel })
	for _, t := range p.pending {
		switch c := &p.enc.control; {
		case t == c.Channel, t == c.Constrain:
		case p.enc.vocab.of(t) == "":
			p.repair(UnknownToken)
		case p.enc.IsSpecial(t):
			p.repair(StrayControl)
		}
	}
	return h
}
