package strictyaml

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Error is one complaint about a document.
type Error struct {
	File         string
	Line, Column int    // from 1; columns count characters
	Path         string // "rules[2].match.tool"; empty for the document
	Msg          string
	Excerpt      string // the line with a caret below the column
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: ", e.File, e.Line, e.Column)
	if e.Path != "" {
		b.WriteString(e.Path + ": ")
	}
	b.WriteString(e.Msg)
	if e.Excerpt != "" {
		b.WriteString("\n" + e.Excerpt)
	}
	return b.String()
}

// Errors are the complaints about one document in its order.
type Errors []*Error

func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.As find the single complaints.
func (es Errors) Unwrap() []error {
	out := make([]error, len(es))
	for i, e := range es {
		out[i] = e
	}
	return out
}

// maxErrors bounds what is told of one document; who made more mistakes has
// the wrong file.
const maxErrors = 10

func (d *decoder) fail(n *node, path, format string, args ...any) {
	d.failAt(n.line, n.column, path, fmt.Sprintf(format, args...))
}

func (d *decoder) failAt(line, column int, path, msg string) {
	d.bad++
	if len(d.errs) >= maxErrors {
		return
	}
	line, column = max(line, 1), max(column, 1)
	d.errs = append(d.errs, &Error{File: d.file, Line: line, Column: column,
		Path: path, Msg: msg, Excerpt: excerpt(d.src, line, column)})
}

const maxExcerpt = 100 // characters of a line that are shown

// excerpt is the line of src with its number and a caret below the column.
func excerpt(src []byte, line, column int) string {
	lines := strings.SplitN(string(src), "\n", line+1)
	if line > len(lines) {
		return ""
	}
	text := strings.TrimSuffix(lines[line-1], "\n")
	if text == "" || !utf8.ValidString(text) {
		return ""
	}
	runes := []rune(text)
	if len(runes) > maxExcerpt {
		start := min(max(0, column-maxExcerpt/2), len(runes)-maxExcerpt)
		runes, column = runes[start:start+maxExcerpt], column-start
	}
	for i, r := range runes {
		if r < ' ' || r == 0x7f {
			runes[i] = ' ' // a tab would move the caret, others the terminal
		}
	}
	gutter := fmt.Sprintf("%5d | ", line)
	pad := strings.Repeat(" ", len(gutter)-2) + "| " + strings.Repeat(" ", max(0, column-1))
	return gutter + string(runes) + "\n" + pad + "^"
}

// unknown is the complaint about name where only the keys valid may stand.
func unknown(name string, valid []string) string {
	msg := fmt.Sprintf("unknown key %q", clip(name))
	if near := nearest(name, valid); near != "" {
		return msg + fmt.Sprintf("; did you mean %q?", near)
	}
	if len(valid) == 0 {
		return msg + "; no keys are possible here"
	}
	return msg + "; valid keys are " + strings.Join(valid, ", ")
}

// Nearest is the entry of valid that name was probably meant to be, or "".
func Nearest(name string, valid []string) string { return nearest(name, valid) }

func nearest(name string, valid []string) string {
	best, bestDistance := "", len(name)/3+2
	for _, v := range valid {
		if len(v) > len(name)+bestDistance {
			continue
		}
		if d := distance(strings.ToLower(clip(name)), strings.ToLower(v)); d < bestDistance && d < max(len(v), 2) {
			best, bestDistance = v, d
		}
	}
	return best
}

// distance is the number of edits (insert, delete, replace, swap neighbours)
// between a and b: optimal string alignment.
func distance(a, b string) int {
	before, prev := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, prev = prev, row
	}
	return prev[len(b)]
}

const maxShown = 60

// clip shortens outside text for a message.
func clip(s string) string {
	if len(s) <= maxShown {
		return s
	}
	return strings.ToValidUTF8(s[:maxShown], "") + "…"
}
