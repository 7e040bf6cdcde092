package pagetext

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html/atom"
)

// layout writes text with its breaks. Breaks and the space between words are
// owed, not written, until something is to be shown, so that those at the ends
// of blocks fall together.
type layout struct {
	out   []byte
	owed  int  // line breaks owed before the next text: 0, 1 or 2
	space bool // whether a space is owed
	// fresh means that what was written last opens a line (the document, a
	// bullet, a quote sign): breaks and spaces owed are void.
	fresh bool

	quotes    int // depth
	lists     []list
	afterList bool // the last tag closed a list
	hidden    int  // depth of head, script and style
	pre       int
	preOpens  bool // nothing of the pre was shown yet
	code      int

	strike strike
	abbr   struct {
		title string
		from  int // where in out its text starts; -1 outside
	}
	notes []string // abbreviations explained below the text
}

type list struct {
	ordered bool
	next    int
	at      int // how far the signs of its items stand from the margin
}

// A page may nest without end, its text may not: deeper quotes and lists look
// like these.
const (
	maxQuotes = 32
	maxIndent = 60
)

// strike is the state of struck-out text, whose outer white space is moved
// out of the signs.
type strike struct {
	opened bool // between the signs
	inside bool // a text between them was shown
}

// layOut shows pieces as text, untrimmed.
func layOut(pieces []piece) string {
	l := &layout{fresh: true}
	l.abbr.from = -1
	n := 0
	for i := range pieces {
		n += len(pieces[i].text)
	}
	l.out = make([]byte, 0, n+n/4+256)
	for i := 0; i < len(pieces); i++ {
		switch p := &pieces[i]; p.kind {
		case opening:
			l.openTag(p)
		case closing:
			l.closeTag(p.tag)
		case words:
			s := p.text
			if i+1 < len(pieces) && pieces[i+1].kind == words {
				j := i + 1
				for j < len(pieces) && pieces[j].kind == words {
					j++
				}
				s = joinText(pieces[i:j])
				i = j - 1
			}
			l.text(s)
		}
	}
	for _, note := range l.notes {
		l.out = append(l.out, note...)
	}
	return string(l.out)
}

func joinText(pieces []piece) string {
	var b strings.Builder
	for _, p := range pieces {
		b.WriteString(p.text)
	}
	return b.String()
}

func (l *layout) openTag(p *piece) {
	if hides(p.tag) {
		l.hidden++
	}
	if l.hidden > 0 {
		return
	}
	afterList := l.afterList
	l.afterList = false
	switch p.tag {
	case atom.P, atom.Div, atom.Dl:
		l.owe(2)
	case atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6:
		l.owe(2)
		l.sign("######"[:headingLevel(p.tag)] + " ")
	case atom.Blockquote:
		l.owe(2)
		l.flushQuoted()
		l.write("> ")
		l.quotes++
		l.fresh = true
	case atom.Ul, atom.Ol:
		if len(l.lists) == 0 && !afterList {
			l.owe(2)
		}
		l.openList(p)
	case atom.Li:
		l.item()
	case atom.Dd:
		l.sign("    ")
	case atom.Pre:
		l.owe(2)
		l.pre++
		l.preOpens = true
	case atom.Br:
		l.lineBreak()
	case atom.Hr:
		l.owe(2)
		l.sign("* * *")
		l.owe(2)
	case atom.Code, atom.Kbd, atom.Tt:
		if l.pre == 0 {
			l.sign("`")
			l.code++
		}
	case atom.Q:
		l.sign(`"`)
	case atom.S, atom.Del, atom.Strike:
		l.strike = strike{opened: true}
		l.sign("~~")
	case atom.Abbr, atom.Acronym:
		if p.has {
			l.abbr.title, l.abbr.from = p.text, len(l.out)
		}
	}
}

func (l *layout) closeTag(tag atom.Atom) {
	if hides(tag) {
		l.hidden--
		return
	}
	if l.hidden > 0 {
		return
	}
	l.afterList = false
	switch tag {
	case atom.P, atom.Div, atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6:
		l.owe(2)
	case atom.Blockquote:
		l.quotes--
		l.owe(2)
	case atom.Ul, atom.Ol:
		l.lists = l.lists[:len(l.lists)-1]
		if len(l.lists) == 0 {
			l.sign("\n")
		}
		l.afterList = true
	case atom.Li, atom.Dt, atom.Dd:
		l.owe(1)
	case atom.Pre:
		l.pre--
		l.preOpens = false
		l.owe(2)
	case atom.Tr:
		l.sign("  \n")
	case atom.Code, atom.Kbd, atom.Tt:
		if l.pre == 0 && l.code > 0 {
			l.sign("`")
			l.code--
		}
	case atom.Q:
		l.sign(`"`)
	case atom.S, atom.Del, atom.Strike:
		l.sign("~~")
		l.strike.opened = false
	case atom.Abbr, atom.Acronym:
		l.endAbbr()
	}
}

func hides(t atom.Atom) bool { return t == atom.Head || t == atom.Script || t == atom.Style }

func headingLevel(t atom.Atom) int {
	return int(t.String()[1] - '0')
}

func (l *layout) openList(p *piece) {
	in := list{ordered: p.tag == atom.Ol, next: 1, at: 2}
	if n, err := strconv.Atoi(strings.TrimSpace(p.text)); err == nil {
		in.next = n
	}
	if n := len(l.lists); n > 0 {
		in.at = min(l.lists[n-1].content(), maxIndent)
	}
	l.lists = append(l.lists, in)
}

// content is how far the text of an item stands from the margin.
func (l list) content() int {
	if l.ordered {
		return l.at + 3
	}
	return l.at + 2
}

func (l *layout) item() {
	l.owe(1)
	sign := "* "
	if n := len(l.lists); n > 0 {
		in := &l.lists[n-1]
		if in.ordered {
			sign = strconv.Itoa(in.next) + ". "
			in.next++
		}
		sign = strings.Repeat(" ", in.at) + sign
	}
	l.sign(sign)
	l.fresh = true
}

func (l *layout) lineBreak() {
	if l.quotes > 0 {
		l.sign("  \n" + l.quoteSign())
		return
	}
	l.sign("  \n")
}

func (l *layout) quoteSign() string {
	if l.quotes == 0 {
		return ""
	}
	return quoteSigns(l.quotes) + " "
}

func quoteSigns(depth int) string { return strings.Repeat(">", min(depth, maxQuotes)) }

func (l *layout) owe(n int) { l.owed = max(l.owed, n) }

func (l *layout) endsIn(c byte) bool { return len(l.out) > 0 && l.out[len(l.out)-1] == c }

// flush writes what is owed.
func (l *layout) flush() {
	if l.fresh {
		l.owed, l.space, l.fresh = 0, false, false
	}
	if l.owed > 0 {
		sign := l.quoteSign()
		for ; l.owed > 0; l.owed-- {
			l.out = append(l.out, '\n')
			l.out = append(l.out, sign...)
		}
		l.space = false
	}
	if l.space && !l.endsIn('\n') {
		l.out = append(l.out, ' ')
	}
	l.space = false
}

// flushQuoted is flush before a quote sign, which follows the outer signs
// without a space.
func (l *layout) flushQuoted() {
	if !l.fresh && l.owed > 0 && l.quotes > 0 {
		for ; l.owed > 0; l.owed-- {
			l.out = append(l.out, '\n')
			l.out = append(l.out, quoteSigns(l.quotes)...)
		}
		l.space = false
	}
	l.flush()
}

func (l *layout) write(s string) { l.out = append(l.out, s...) }

// sign writes a sign of ours.
func (l *layout) sign(s string) {
	l.flush()
	l.write(s)
}

// text shows a text of the page. The three characters that HTML escapes part
// it: a sign that opens a list counts only at the start of a part.
func (l *layout) text(s string) {
	if l.hidden > 0 || s == "" {
		return
	}
	for s != "" {
		i := strings.IndexAny(s, "&<>")
		switch {
		case i < 0:
			l.part(s, true)
			return
		case i > 0:
			l.part(s[:i], true)
		}
		l.part(s[i:i+1], false)
		s = s[i+1:]
	}
}

func (l *layout) part(s string, escape bool) {
	if l.pre > 0 {
		l.preformatted(s)
		return
	}
	switch {
	case l.strike.opened && !l.strike.inside:
		s = strings.TrimFunc(s, isSpace)
		l.strike.inside = true
	case l.strike.inside && !l.strike.opened:
		l.space = l.space || !strings.ContainsRune("][(){}.!?", firstRune(s))
		l.strike = strike{}
	}
	if escape && l.code == 0 {
		s = escapeListSign(s)
	}
	s = oneSpace(s)
	if strings.HasPrefix(s, " ") {
		l.space = true
		s = s[1:]
	}
	if s == "" {
		return
	}
	l.flush()
	l.write(s)
	l.afterList = false
}

func firstRune(s string) rune {
	r, _ := utf8.DecodeRuneInString(s)
	return r
}

// escapeListSign keeps a text from reading as a list: "1. x", "+ x", "- x".
func escapeListSign(s string) string {
	t := strings.TrimLeftFunc(s, isSpace)
	digits := strings.TrimLeft(t, "0123456789")
	sign := len(s) - len(digits)
	switch {
	case len(digits) < len(t) && strings.HasPrefix(digits, "."):
	case len(digits) == len(t) && t != "" && (t[0] == '+' || t[0] == '-'):
	default:
		return s
	}
	if rest := s[sign+1:]; rest == "" || !isSpace(firstRune(rest)) {
		return s
	}
	return s[:sign] + `\` + s[sign:]
}

// preformatted shows text with its own spaces and lines, each line indented.
func (l *layout) preformatted(s string) {
	margin := 4
	if n := len(l.lists); n > 0 {
		margin += l.lists[n-1].content()
	}
	line := "\n" + l.quoteSign() + strings.Repeat(" ", margin)
	if l.preOpens {
		l.preOpens = false
		s = strings.TrimPrefix(s, "\n")
		if !l.fresh || len(l.lists) == 0 {
			s = "\n" + s
			if !l.fresh && l.owed > 0 {
				l.owed--
			}
		}
	}
	l.flush()
	for {
		i := strings.IndexByte(s, '\n')
		if i < 0 {
			l.write(s)
			return
		}
		l.write(s[:i])
		l.write(line)
		s = s[i+1:]
	}
}

// endAbbr notes what an abbreviation stands for, to be shown below the text.
func (l *layout) endAbbr() {
	if l.abbr.from < 0 {
		return
	}
	short := strings.TrimFunc(string(l.out[l.abbr.from:]), isSpace)
	l.notes = append(l.notes, "\n  *["+short+"]: "+l.abbr.title)
	l.abbr.from = -1
}
