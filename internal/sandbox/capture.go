package sandbox

import (
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"
)

// Capture keeps the beginning and the end of what is written to it and counts
// the rest. It is safe for concurrent use.
type Capture struct {
	mu    sync.Mutex
	limit int
	head  []byte // the first limit bytes, and the rest of a character
	tail  []byte // the last limit bytes, a ring once it is full
	next  int    // where in a full tail the next byte goes
	total int64
}

// NewCapture returns a capture whose String has at most limit bytes.
func NewCapture(limit int) *Capture { return &Capture{limit: max(limit, 0)} }

// Write never fails, so that a program that writes too much is not ended by it.
func (c *Capture) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	written := len(p)
	c.total += int64(written)
	c.head = append(c.head, p[:min(len(p), c.limit+utf8.UTFMax-len(c.head))]...)
	p = p[max(0, len(p)-c.limit):]
	room := min(len(p), c.limit-len(c.tail))
	c.tail, p = append(c.tail, p[:room]...), p[room:]
	for len(p) > 0 {
		n := copy(c.tail[c.next:], p)
		c.next, p = (c.next+n)%c.limit, p[n:]
	}
	return written, nil
}

// String is what was written, as UTF-8. If it is longer than the limit, the
// middle is missing, and a line in its place says how much.
func (c *Capture) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.total <= int64(c.limit) {
		return valid(string(c.head))
	}
	return cut(string(c.head), string(c.tail[c.next:])+string(c.tail[:c.next]), c.limit, c.total)
}

// Cut shortens text to at most limit bytes, as Capture does.
func Cut(text string, limit int) string {
	if len(text) <= limit {
		return valid(text)
	}
	return cut(text, text, limit, int64(len(text)))
}

// cut joins the beginning of head and the end of tail, of a text of total bytes.
func cut(head, tail string, limit int, total int64) string {
	const widest = len("\n[... 9223372036854775807 bytes left out ...]\n")
	room := limit - widest
	if room <= 0 {
		return valid(head[:boundary(head, max(limit, 0), -1)])
	}
	head, tail = head[:boundary(head, room/2, -1)], tail[boundary(tail, len(tail)-(room-room/2), +1):]
	left := total - int64(len(head)+len(tail))
	return valid(head) + fmt.Sprintf("\n[... %d bytes left out ...]\n", left) + valid(tail)
}

// boundary is the nearest place from i, in steps, where no character is cut in
// two; in text that is not UTF-8, i.
func boundary(s string, i, step int) int {
	for j := i; j >= 0 && j < len(s) && j-i < utf8.UTFMax && i-j < utf8.UTFMax; j += step {
		if utf8.RuneStart(s[j]) {
			return j
		}
	}
	return i
}

// valid replaces what is not UTF-8. It makes no text longer.
func valid(s string) string { return strings.ToValidUTF8(s, "?") }
