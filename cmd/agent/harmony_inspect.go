package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/charmbracelet/lipgloss"
	"github.com/mattn/go-runewidth"
	"github.com/spf13/cobra"

	"chorale/harmony"
)

func newHarmonyInspect(std streams, f *harmonyFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use: "inspect [FILE]", Short: "Show tokens, ids, roles, channels and repairs", Args: cobra.MaximumNArgs(1),
		Long: `Show each token with its place, its id, the role and channel of its message, and
below it what had to be mended there. The input is tokens, conversations (which are
rendered first), or text with special tokens by their names. Colours are for
terminals; in a pipe, or with NO_COLOR set, it is plain.`,
		RunE: f.command(std, func(e *harmony.Encoding, in []byte, w io.Writer) error {
			i := newInspector(std, e, w)
			show := i.show
			if f.json {
				show = i.showJSON
			}
			return f.eachReading(e, in, show)
		}),
	}
	f.parserFlags(cmd)
	cmd.Flags().BoolVar(&f.json, "json", false, "a JSON object for each token, and one for each message")
	return cmd
}

// inspector shows streams token by token.
type inspector struct {
	out   io.Writer
	e     *harmony.Encoding
	width int // of the terminal, or 0
	style struct{ plain, head, dim, control, header, repair lipgloss.Style }
}

func newInspector(std streams, e *harmony.Encoding, out io.Writer) *inspector {
	i := &inspector{out: out, e: e}
	r := lipgloss.NewRenderer(io.Discard) // no terminal: plain
	if std.terminal {
		r, i.width = lipgloss.NewRenderer(std.out), std.width
	}
	i.style.plain = r.NewStyle()
	i.style.head = r.NewStyle().Bold(true)
	i.style.dim = r.NewStyle().Faint(true)
	i.style.control = r.NewStyle().Foreground(lipgloss.Color("6"))
	i.style.header = r.NewStyle().Foreground(lipgloss.Color("3"))
	i.style.repair = r.NewStyle().Foreground(lipgloss.Color("1"))
	return i
}

// place is a token with the message that it belongs to, if any.
type place struct {
	pos     int
	token   harmony.Token
	part    string // control, header, content or stray
	message int    // counted from 0, or -1
	repairs []harmony.Repair
}

// places joins tokens, messages and repairs.
func (i *inspector) places(r *reading) []place {
	places := make([]place, len(r.tokens))
	for pos, t := range r.tokens {
		part := "stray"
		if i.e.IsSpecial(t) {
			part = "control"
		}
		places[pos] = place{pos: pos, token: t, part: part, message: -1}
	}
	put := func(repairs []harmony.Repair) {
		for _, rep := range repairs {
			if rep.Token < len(places) {
				places[rep.Token].repairs = append(places[rep.Token].repairs, rep)
			}
		}
	}
	for n := range r.messages {
		m := &r.messages[n]
		put(m.Repairs)
		for pos := m.Start; pos < m.End; pos++ {
			p := &places[pos]
			p.message = n
			switch {
			case p.part == "control":
			case r.content[pos]:
				p.part = "content"
			default:
				p.part = "header"
			}
		}
	}
	put(r.loose)
	return places
}

// show prints a stream as a table, a paragraph for each message.
func (i *inspector) show(stream int, r *reading) error {
	if stream > 1 {
		fmt.Fprintln(i.out)
	}
	places := i.places(r)
	id := len(fmt.Sprint(i.e.VocabSize()))
	pos := max(3, len(fmt.Sprint(len(places))))
	before := -2
	for _, p := range places {
		if p.message != before {
			i.title(r, p, before != -2)
			before = p.message
		}
		role, channel := "", ""
		if p.message >= 0 {
			m := &r.messages[p.message]
			role, channel = m.Role.String(), m.Channel
		}
		row := fmt.Sprintf("%*d  %*d  %-9s  %-10s  ", pos, p.pos, id, p.token, role, channel)
		text := i.cut(spellToken(i.e, p.token), runewidth.StringWidth(row))
		if _, err := fmt.Fprintln(i.out, i.style.dim.Render(row)+i.styleOf(p).Render(text)); err != nil {
			return err
		}
		for _, rep := range p.repairs {
			fmt.Fprintln(i.out, i.style.repair.Render(strings.Repeat(" ", pos-1)+"! "+rep.Kind.String()))
		}
	}
	if r.err != nil {
		fmt.Fprintln(i.out, i.style.repair.Render("error: "+show(r.err.Error())))
	}
	repairs := len(r.loose)
	for n := range r.messages {
		repairs += len(r.messages[n].Repairs)
	}
	_, err := fmt.Fprintln(i.out, "\n"+i.style.dim.Render(strings.Join([]string{count(len(places), "token"), count(len(r.messages), "message"), count(repairs, "repair")}, ", ")))
	return err
}

// title says of a message what its tokens come to.
func (i *inspector) title(r *reading, p place, gap bool) {
	if gap {
		fmt.Fprintln(i.out)
	}
	if p.message < 0 {
		fmt.Fprintln(i.out, i.style.head.Render("no message"))
		return
	}
	m := &r.messages[p.message]
	title := m.Role.String()
	if m.Name != "" {
		title += " " + m.Name
	}
	if m.Channel != "" {
		title += " on " + m.Channel
	}
	if raw := rawChannel(m); raw != "" {
		title += fmt.Sprintf(" (spelled %q)", raw)
	}
	if m.Recipient != "" {
		title += " to " + m.Recipient
	}
	if m.ContentType != "" {
		title += ", " + m.ContentType
	}
	fmt.Fprintln(i.out, i.style.head.Render(fmt.Sprintf("message %d: %s", p.message, show(title)))+i.style.dim.Render(", ended by "+m.Stop.String()))
}

func (i *inspector) styleOf(p place) lipgloss.Style {
	switch p.part {
	case "control":
		return i.style.control
	case "header":
		return i.style.header
	case "stray":
		return i.style.repair
	}
	return i.style.plain
}

// cut shortens text to what is left of a terminal's line.
func (i *inspector) cut(text string, used int) string {
	if i.width == 0 {
		return text
	}
	return runewidth.Truncate(text, max(8, i.width-used), "…")
}

// spellToken is a token's text with nothing in it that moves the cursor: a
// control token by its name, the rest in quotes.
func spellToken(e *harmony.Encoding, t harmony.Token) string {
	switch text := e.TokenText(t); {
	case text == "":
		return "(no such token)"
	case e.IsSpecial(t):
		return text
	default:
		return show(strconv.Quote(text))
	}
}

// tokenLine is a line of agent harmony inspect --json.
type tokenLine struct {
	Type    string       `json:"type"`
	Stream  int          `json:"stream"`
	Pos     int          `json:"pos"`
	ID      uint32       `json:"id"`
	Text    string       `json:"text"`
	Part    string       `json:"part"`
	Message *int         `json:"message"`
	Role    string       `json:"role,omitempty"`
	Channel string       `json:"channel,omitempty"`
	Repairs []repairLine `json:"repairs,omitempty"`
}

// showJSON prints the tokens as lines of type "token", then the messages as agent
// harmony parse does, of type "message".
func (i *inspector) showJSON(stream int, r *reading) error {
	for _, p := range i.places(r) {
		line := tokenLine{
			Type: "token", Stream: stream, Pos: p.pos, ID: p.token, Text: i.e.TokenText(p.token),
			Part: p.part, Repairs: repairLines(p.repairs),
		}
		if p.message >= 0 {
			m := &r.messages[p.message]
			line.Message, line.Role, line.Channel = &p.message, m.Role.String(), m.Channel
		}
		if err := writeLine(i.out, line); err != nil {
			return err
		}
	}
	for _, line := range r.lines(stream) {
		typed := struct {
			Type string `json:"type"`
			parsedLine
		}{"message", line}
		if err := writeLine(i.out, typed); err != nil {
			return err
		}
	}
	return nil
}
