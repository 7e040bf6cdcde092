package provenance

import (
	"fmt"
	"slices"
	"strings"

	"chorale/internal/strictjson"
	"chorale/tools"
)

// Ledger keeps what a run's context is made of: each text with its origin. It
// only grows. It is for one goroutine.
type Ledger struct {
	manifest *Manifest

	user, developer *index
	echo            *index            // the user's text in lower case
	approved        map[approval]bool // values that a person said yes to
	directory       map[string]string // whole values of trusted lookups, with their source
	minted          map[string]string
	payees          map[string]string
	untrusted       *index
	prose           *index   // texts in untrusted records, without their keys
	sources         []source // of the untrusted texts
	wrote           []string // what the model wrote into its calls, in lower case
	said            *index   // what members of the boundary wrote
}

// source is where an untrusted text came from.
type source struct {
	name  string // "functions.read_mail (call-3)", "browser.open (call-4), https://shop.example"
	sent  bool   // the user gave the address
	plain bool   // computed by the run itself from text that nobody tainted
	made  bool   // computed by code that the model wrote, or from its arguments
	wrote int    // how much of what the model wrote it may repeat
}

// NewLedger begins a context for tools that the manifest describes.
func NewLedger(m *Manifest) *Ledger {
	if m == nil {
		m = &Manifest{}
	}
	return &Ledger{
		manifest: m, user: newIndex(), echo: newIndex(), developer: newIndex(), untrusted: newIndex(), prose: newIndex(), said: newIndex(),
		approved: map[approval]bool{}, directory: map[string]string{}, minted: map[string]string{}, payees: map[string]string{},
	}
}

// UserSaid adds the user's own words.
func (l *Ledger) UserSaid(text string) {
	l.user.add(text)
	l.echo.add(strings.ToLower(text))
}

// DeveloperSaid adds the developer's words.
func (l *Ledger) DeveloperSaid(text string) { l.developer.add(text) }

// approval is a value that a person let a tool have as an argument.
type approval struct{ tool, arg, value string }

// Approved gives the values of a call that a person said yes to that person's
// word for the rest of the run, in the same argument of the same tool.
func (l *Ledger) Approved(c tools.Call, leaves []Leaf) {
	for _, leaf := range leaves {
		if leaf.Class == Destination || leaf.Class == Selector || leaf.Class == URL {
			l.approved[approval{c.Name(), leaf.Arg, leaf.Text}] = true
		}
	}
}

// Tainted reports whether text that anybody may have written is in the context.
func (l *Ledger) Tainted() bool {
	return slices.ContainsFunc(l.sources, func(s source) bool { return !s.plain })
}

// Returned adds what a tool gave back for a call. Leaves are the call's own, as
// Leaves gave them. A failed call names nobody: what it says is untrusted.
func (l *Ledger) Returned(c tools.Call, leaves []Leaf, r tools.Result) {
	text := r.Text
	t := l.manifest.Tools[c.Name()]
	asked := l.written(c, t)
	from := source{name: c.Name(), made: t.Output == Derived || c.Function == "", wrote: len(l.wrote)}
	if c.ID != "" {
		from.name = fmt.Sprintf("%s (%s)", c.Name(), c.ID)
	}
	if r.Origin != "" {
		from.name += ", " + r.Origin
	}
	if t.Output == Derived {
		from.plain = !l.Tainted()
		l.observe(text, from)
		return
	}
	address := slices.IndexFunc(leaves, func(leaf Leaf) bool { return leaf.Class == URL })
	if address >= 0 {
		from.sent = leaves[address].Label >= Developer
	}
	root := parseRecords(text)
	if t.Output == Untrusted {
		l.observe(text, from)
		l.speaks(text, root, leaves)
	}
	// Fields count only where the service itself writes them. What is fetched
	// from an address is written by whoever owns the address.
	if r.Failed || address >= 0 || t.Output == Untrusted && len(t.Minted)+len(t.Author)+len(t.Payees) == 0 {
		return
	}
	if root != nil {
		l.records(root, t, from.name, asked)
	}
	if t.Output == Trusted && len(t.Fields) == 0 && (root == nil || root.scalar) {
		l.lines(text, from.name, asked)
	}
}

// written keeps what the model wrote into a call, and returns it. An address that
// was asked for was judged as one, and a page may well link to itself.
func (l *Ledger) written(c tools.Call, t Tool) []string {
	before := len(l.wrote)
	keep := func(text string) { l.wrote = append(l.wrote, strings.ToLower(text)) }
	v, err := strictjson.Parse(c.Args)
	args, ok := v.(map[string]any)
	if c.Function == "" || err != nil || !ok {
		keep(c.Args)
		return l.wrote[before:]
	}
	for _, name := range sortedKeys(args) {
		if t.Args[name] != URL {
			eachText(args[name], keep)
		}
	}
	return l.wrote[before:]
}

// repeats reports whether a value says no more than what was asked, with other
// marks around it perhaps: "no such contact: <eve@evil.example>" names nobody.
func repeats(asked []string, value string) bool {
	value = strings.ToLower(strings.TrimFunc(value, func(r rune) bool { return !isWord(r) }))
	return slices.ContainsFunc(asked, func(text string) bool {
		return text == value || !vague(value) && strings.Contains(text, value)
	})
}

// speaks keeps the prose of an untrusted output: all of it, or the texts of its
// records but for those that only repeat the call's own arguments.
func (l *Ledger) speaks(text string, root *record, leaves []Leaf) {
	if root == nil {
		l.prose.add(text)
		return
	}
	root.scalars("", func(_, text string) {
		if !slices.ContainsFunc(leaves, func(leaf Leaf) bool { return leaf.Text == text }) {
			l.prose.add(text)
		}
	})
}

// lines takes a directory that is plain text: a name a line, perhaps behind a
// bullet or a label.
func (l *Ledger) lines(text, from string, asked []string) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(strings.TrimLeft(strings.TrimSpace(line), "-*• "))
		_, behind, labelled := strings.Cut(line, ": ")
		if line != "" && !repeats(asked, line) {
			l.directory[line] = from
		}
		if behind = strings.TrimSpace(behind); labelled && behind != "" && !repeats(asked, behind) {
			l.directory[behind] = from
		}
	}
}

func (l *Ledger) observe(text string, from source) {
	l.untrusted.add(text)
	l.sources = append(l.sources, from)
}

// records takes what a structured output vouches for. That an answer repeats
// what was asked vouches for nothing, but for identifiers: with a made-up one
// the service would do nothing.
func (l *Ledger) records(n *record, t Tool, from string, asked []string) {
	if t.Output == Trusted {
		n.scalars("", func(field, value string) {
			if len(t.Fields) == 0 && !repeats(asked, field) {
				l.directory[field] = from // a mapping by name; "" is nobody's
			}
			if (len(t.Fields) == 0 || slices.Contains(t.Fields, field)) && !repeats(asked, value) {
				l.directory[value] = from
			}
		})
	}
	n.each(func(r *record) {
		for field, value := range r.fields {
			if slices.Contains(t.Minted, field) {
				l.minted[value] = from
			}
			if slices.Contains(t.Payees, field) && !repeats(asked, value) {
				l.payees[value] = from
			}
			if slices.Contains(t.Author, field) && l.inside(value) {
				r.scalars("", func(_, text string) {
					if !repeats(asked, text) {
						l.said.add(text)
					}
				})
			}
		}
	})
}

// maxTraced bounds the texts that are looked up as a whole: longer ones are
// prose.
const maxTraced = 4096

// trace finds out where a leaf came from.
func (l *Ledger) trace(leaf *Leaf) {
	leaf.Label, leaf.Source = l.label(leaf.Text, leaf.Class)
	if leaf.Label == Composed && len(leaf.Text) <= maxTraced {
		l.seen(leaf)
		leaf.Echo = l.echo.echoes(strings.ToLower(leaf.Text))
	}
	switch leaf.Class {
	case Selector, Destination:
		leaf.Steered = (leaf.Label == Directory || leaf.Label == Minted) && l.spokenOf(leaf.Text)
	case URL:
		leaf.Links = []Link{l.link(leaf.Text, leaf.Label)}
	case Text:
		addresses, all := linksIn(leaf.Text)
		for _, address := range addresses {
			label, _ := l.label(address, URL)
			leaf.Links = append(leaf.Links, l.link(address, label))
		}
		if !all {
			leaf.Links = append(leaf.Links, Link{}) // nobody vouches for what is not looked at
		}
	}
}

// spokenOf reports whether untrusted prose holds a value as a part of it. A
// table that lists the value speaks of nothing.
func (l *Ledger) spokenOf(value string) bool {
	ok := false
	l.prose.find(value, func(n, at int) bool {
		text := l.prose.texts[n]
		ok = len(text) > len(value) && (!vague(value) || introduced(text, at, at+len(value)))
		return !ok
	})
	return ok
}

// label is who vouches for a value; Composed if nobody does.
func (l *Ledger) label(text string, class Class) (Label, string) {
	switch {
	case len(text) <= maxTraced && l.names(l.user, text, class):
		return User, "user"
	case len(text) <= maxTraced && l.names(l.developer, text, class):
		return Developer, "developer"
	}
	if from, ok := l.directory[text]; ok {
		return Directory, from
	}
	if l.inside(text) {
		return Member, "boundary"
	}
	if from, ok := l.payees[text]; ok {
		return Member, from
	}
	if from, ok := l.minted[text]; ok {
		return Minted, from
	}
	return Composed, ""
}

// names reports whether a value stands whole in somebody's text. A short
// number or word stands everywhere: as the name of a thing it counts only where
// the text says that it is one.
func (l *Ledger) names(x *index, text string, class Class) bool {
	ok := false
	strict := (class == Selector || class == Destination) && vague(text)
	x.find(text, func(n, at int) bool {
		ok = !strict || introduced(x.texts[n], at, at+len(text))
		return !ok
	})
	if !ok && class == URL {
		return x.holds(bare(text))
	}
	return ok
}

// holds reports whether an address without its scheme stands whole in a text.
func (x *index) holds(address string) bool {
	ok := false
	x.find(address, func(int, int) bool { ok = true; return false })
	for _, scheme := range []string{"https://", "http://"} {
		if !ok {
			x.find(scheme+address, func(int, int) bool { ok = true; return false })
		}
	}
	return ok
}

// vague reports whether a value is too short to mean one thing.
func vague(text string) bool {
	digits := strings.IndexFunc(text, func(r rune) bool { return r < '0' || r > '9' }) < 0
	return digits && len(text) < 6 || len(text) < 3
}

// introductions are words that say that a name follows.
var introductions = []string{"id", "ids", "number", "no", "nr", "file", "event", "mail", "email", "message", "document", "order", "invoice", "account", "user", "channel", "ticket", "transaction"}

// introduced reports whether text[start:end] is quoted, stands behind # or
// behind a word that says what it names.
func introduced(text string, start, end int) bool {
	before := strings.TrimRight(text[:start], " ")
	if before == "" {
		return false
	}
	switch last := before[len(before)-1]; {
	case last == '#':
		return true
	case strings.IndexByte("'\"`", last) >= 0:
		return end < len(text) && text[end] == last && len(before) == start
	}
	before = strings.TrimRight(before, ".:=")
	word := before[strings.LastIndexFunc(before, func(r rune) bool { return !isWord(r) })+1:]
	return slices.Contains(introductions, strings.ToLower(word))
}

// inside reports whether a value belongs to the boundary.
func (l *Ledger) inside(text string) bool {
	b := l.manifest.Boundary
	return slices.Contains(b.Members, text) || slices.Contains(b.Domains, Domain(text)) && Domain(text) != ""
}

// quoteWidth is the number of bytes shown on each side of an observed value.
const quoteWidth = 60

// seen looks for a value in untrusted text. That the user sent us there counts
// only if it stands nowhere else.
func (l *Ledger) seen(leaf *Leaf) {
	l.untrusted.find(leaf.Text, func(n, at int) bool {
		from := l.sources[n]
		if from.plain {
			return true
		}
		if leaf.Label != Observed {
			text := l.untrusted.texts[n]
			leaf.Label, leaf.Source, leaf.Sent = Observed, from.name, true
			leaf.Quote = strings.ToValidUTF8(text[max(0, at-quoteWidth):min(len(text), at+len(leaf.Text)+quoteWidth)], "")
		}
		leaf.Sent = leaf.Sent && from.sent
		return leaf.Sent
	})
}
