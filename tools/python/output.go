package python

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// clip keeps the head and the tail of what is written to it, at most limit
// bytes in all, and counts the rest. It is an io.Writer that never fails, so a
// guest can't tell where the cut is, and a flood costs no memory.
type clip struct {
	limit int
	head  []byte // the first limit/2 bytes
	tail  []byte // ring of the last bytes
	at    int    // where the ring goes on
	total int64
}

func newClip(limit int) *clip { return &clip{limit: max(0, limit)} }

// Write implements io.Writer.
func (c *clip) Write(p []byte) (int, error) {
	n := len(p)
	c.total += int64(n)
	if room := (c.limit+1)/2 - len(c.head); room > 0 {
		take := min(room, len(p))
		c.head = append(c.head, p[:take]...)
		p = p[take:]
	}
	size := c.limit / 2
	if len(p) >= size { // the ring will hold the end of p alone
		c.tail = append(c.tail[:0], p[len(p)-size:]...)
		c.at = 0
		return n, nil
	}
	if room := size - len(c.tail); room > 0 {
		take := min(room, len(p))
		c.tail = append(c.tail, p[:take]...)
		p = p[take:]
	}
	for len(p) > 0 {
		done := copy(c.tail[c.at:], p)
		c.at = (c.at + done) % size
		p = p[done:]
	}
	return n, nil
}

// last returns the last byte written, 0 if there is none or it was not kept.
func (c *clip) last() byte {
	switch {
	case len(c.tail) > 0:
		return c.tail[(c.at+len(c.tail)-1)%len(c.tail)]
	case len(c.head) > 0 && c.total == int64(len(c.head)):
		return c.head[len(c.head)-1]
	}
	return 0
}

// text returns what was kept, as valid UTF-8 of at most limit bytes, and how
// many of the written bytes it lacks. Where some are missing, a line says so.
func (c *clip) text(limit int) (string, int64) {
	kept := append(append(append([]byte(nil), c.head...), c.tail[c.at:]...), c.tail[:c.at]...)
	if c.total == int64(len(kept)) {
		if s := strings.ToValidUTF8(string(kept), "\uFFFD"); len(s) <= limit {
			return s, 0
		}
	}
	// The number of missing bytes has a width of its own; leave room for any.
	const notice, width = "\n... %d bytes left out ...\n", 40
	room := max(0, limit-width)
	head, tail := kept[:min(len(c.head), (room+1)/2)], kept[max(len(c.head), len(kept)-room/2):]
	if c.total == int64(len(kept)) {
		head, tail = kept[:min(len(kept), (room+1)/2)], kept[max(0, len(kept)-room/2):]
	}
	for len(head) > 0 && !wholeEnd(head) { // the cut may go through a rune
		head = head[:len(head)-1]
	}
	for len(tail) > 0 && !utf8.RuneStart(tail[0]) {
		tail = tail[1:]
	}
	cut := c.total - int64(len(head)+len(tail))
	s := strings.ToValidUTF8(string(head), "\uFFFD") + fmt.Sprintf(notice, cut) + strings.ToValidUTF8(string(tail), "\uFFFD")
	if len(s) > limit { // bytes that were no text have grown
		s = strings.ToValidUTF8(s[:max(0, limit)], "")
	}
	return s, cut
}

// wholeEnd reports whether b ends with a whole rune, or with something that is
// no beginning of one.
func wholeEnd(b []byte) bool {
	for n := 1; n <= utf8.UTFMax && n <= len(b); n++ {
		if utf8.RuneStart(b[len(b)-n]) {
			return utf8.FullRune(b[len(b)-n:])
		}
	}
	return true
}

// capture is everything that one cell gives. Its owner is the guest's
// goroutine until the cell ends.
type capture struct {
	all    *clip // in order: what the model will read
	stdout *clip
	stderr *clip
	value  *clip // repr of the last expression
	trace  *clip // traceback
	err    *Exception
}

func newCapture(limit int) *capture {
	return &capture{all: newClip(limit), stdout: newClip(limit), stderr: newClip(limit), value: newClip(limit), trace: newClip(limit)}
}

// Values, tracebacks and notes begin on a line of their own.
func (c *capture) addValue(p []byte) { c.add(c.value, p) }
func (c *capture) addTrace(p []byte) { c.add(c.trace, p) }
func (c *capture) addNote(p []byte)  { c.ownLine(); c.all.Write(p) }

func (c *capture) add(to *clip, p []byte) {
	if to.total == 0 {
		c.ownLine()
	}
	to.Write(p)
	c.all.Write(p)
}

func (c *capture) ownLine() {
	if c.all.total > 0 && c.all.last() != '\n' {
		c.all.Write([]byte("\n"))
	}
}

// setError decodes the end of a cell: type, NUL, text; nothing if all went well.
func (c *capture) setError(payload []byte) {
	if len(payload) == 0 {
		return
	}
	kind, message, _ := strings.Cut(strings.ToValidUTF8(string(payload), "\uFFFD"), "\x00")
	c.err = &Exception{Type: kind, Message: message}
	if c.trace.total == 0 && kind != "SystemExit" {
		c.addTrace([]byte(kind + "\n")) // the prelude had no memory left for more
	}
	c.err.Trace, _ = c.trace.text(c.trace.limit)
}
