package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/charmbracelet/lipgloss"

	"chorale/runtime"
	"chorale/tools"
)

// view shows a run to a person while it happens: thoughts dimmed, calls and
// their results in a frame, the answer plain.
type view struct {
	out   io.Writer
	width int
	links bool // addresses are written as hyperlinks
	style styles

	text  *wrapper // what is being streamed
	kind  string   // "thought", "call", "answer" or ""
	begun time.Time
}

type styles struct{ bold, dim, frame, good, warn, bad lipgloss.Style }

func newView(out io.Writer, width int) *view {
	r := lipgloss.NewRenderer(out)
	return &view{out: out, width: min(width, 100), style: styles{
		bold:  r.NewStyle().Bold(true),
		dim:   r.NewStyle().Faint(true),
		frame: r.NewStyle().Foreground(lipgloss.Color("6")),
		good:  r.NewStyle().Foreground(lipgloss.Color("2")),
		warn:  r.NewStyle().Foreground(lipgloss.Color("3")),
		bad:   r.NewStyle().Foreground(lipgloss.Color("1")),
	}}
}

func (v *view) notice(text string) {
	fmt.Fprintln(v.out, v.style.dim.Render(show(text)))
}

// head says what is about to run.
func (v *view) head(about ...string) {
	fmt.Fprintf(v.out, "%s%s\n\n", v.style.bold.Render(show(about[0])), v.style.dim.Render(" · "+show(strings.Join(about[1:], " · "))))
}

// watch shows one record.
func (v *view) watch(rec runtime.Record) {
	switch rec.Kind {
	case runtime.KindBegun:
		v.begin(rec)
	case runtime.KindDelta:
		if v.text != nil {
			v.text.write(rec.Text)
		}
	case runtime.KindMessage:
		v.endText()
	case runtime.KindPolicy:
		if rec.Decision.Verdict == "ask" {
			v.frameLine("├", v.style.warn.Render("the policy asks")+v.style.dim.Render(because(rec.Decision.Reason)))
		}
		v.begun = time.Now()
	case runtime.KindApproval:
		v.begun = time.Now()
	case runtime.KindResult:
		v.result(rec)
	case runtime.KindTrouble:
		v.endText()
		fmt.Fprintf(v.out, "  %s\n\n", v.style.warn.Render("! "+show(firstLine(rec.Text))))
	}
}

func (v *view) begin(rec runtime.Record) {
	v.endText()
	plain := func(s string) string { return s }
	switch {
	case rec.Recipient != "":
		v.kind = "call"
		v.frameLine("╭", v.style.bold.Render(show(rec.Recipient)))
		v.text = &wrapper{out: v.out, prefix: "  " + v.style.frame.Render("│") + " ", style: plain, width: v.width - 4}
	case rec.Channel == "final":
		v.kind = "answer"
		v.text = &wrapper{out: v.out, style: plain, width: v.width}
	default:
		v.kind = "thought"
		v.text = &wrapper{out: v.out, prefix: "  ", width: v.width - 2, style: func(s string) string { return v.style.dim.Render(s) }}
	}
}

func (v *view) endText() {
	if v.text == nil {
		return
	}
	v.text.close()
	v.text = nil
	if v.kind == "thought" {
		fmt.Fprintln(v.out)
	}
}

// What a result may take of the terminal; the trace has all of it.
const (
	maxLines = 20
	maxBytes = 4000
)

// excerpt is the beginning of a result, and in words how much it leaves out.
func excerpt(text string) (shown, left string) {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	shown = strings.Join(lines[:min(len(lines), maxLines)], "\n")
	switch {
	case len(shown) > maxBytes:
		return strings.ToValidUTF8(shown[:maxBytes], ""), count(len(text)-maxBytes, "byte")
	case len(lines) > maxLines:
		return shown, count(len(lines)-maxLines, "line")
	}
	return shown, ""
}

func (v *view) result(rec runtime.Record) {
	v.endText()
	if rec.Text != "" {
		v.frameLine("├", "")
		w := &wrapper{out: v.out, prefix: "  " + v.style.frame.Render("│") + " ", style: func(s string) string { return s }, width: v.width - 4}
		text, left := excerpt(rec.Text)
		w.write(text)
		w.close()
		if left != "" {
			v.frameLine("│", v.style.dim.Render("… "+left+" more in the trace"))
		}
	}
	for _, name := range rec.Artifacts {
		v.frameLine("│", v.style.dim.Render("file ")+show(name))
	}
	switch {
	case !*rec.Ran:
		v.frameLine("╰", v.style.bad.Render("not run"))
	case !*rec.OK:
		v.frameLine("╰", v.style.warn.Render("failed")+v.style.dim.Render(" · "+span(time.Since(v.begun))))
	default:
		v.frameLine("╰", v.style.dim.Render(span(time.Since(v.begun))))
	}
	fmt.Fprintln(v.out)
}

func (v *view) frameLine(corner, text string) {
	fmt.Fprintln(v.out, strings.TrimRight("  "+v.style.frame.Render(corner)+" "+text, " "))
}

// source shows a page that the answer cites.
func (v *view) source(c tools.Citation) {
	mark := fmt.Sprintf("[%d]", c.Cursor)
	if c.Lines != "" {
		mark += " " + c.Lines
	}
	address := v.style.dim.Render(show(c.URL))
	if v.links {
		address = hyperlink(c.URL, address)
	}
	fmt.Fprintln(v.out, mark+v.style.dim.Render(" · "+show(firstLine(c.Title))+" · ")+address)
}

// finish says how the run ended.
func (v *view) finish(res runtime.Result) error {
	v.endText()
	if res.Dir == "" {
		return nil // nothing ran; the error says why
	}
	if v.kind == "answer" {
		fmt.Fprintln(v.out)
	}
	for _, c := range res.Citations {
		v.source(c)
	}
	for _, c := range res.Checks {
		mark := v.style.good.Render("✓")
		if !c.Passed {
			mark = v.style.bad.Render("✗")
		}
		fmt.Fprintf(v.out, "%s %s\n", mark, v.style.dim.Render(show(strings.TrimSpace(firstLine(c.Check)+"  "+c.Reason))))
	}
	word := v.style.good.Render("done")
	if res.ExitCode != 0 {
		word = v.style.bad.Render(strings.ReplaceAll(string(res.Status), "_", " "))
	}
	parts := []string{count(res.Used.Turns, "turn"), count(res.Used.ToolCalls, "call"), count(res.Used.Tokens, "token"), span(time.Duration(res.Seconds * float64(time.Second)))}
	fmt.Fprintf(v.out, "%s%s\n", word, v.style.dim.Render(" · "+strings.Join(parts, " · ")))
	_, err := fmt.Fprintln(v.out, v.style.dim.Render(shortPath(res.Dir)))
	return err
}
