package sandbox

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestCut(t *testing.T) {
	long := "begin " + strings.Repeat("x", 1000) + " end"
	for _, c := range []struct {
		text  string
		limit int
		want  string
	}{
		{"short", 5, "short"},
		{"short", 4, "shor"},
		{"short", 0, ""},
		{"a\xffb", 10, "a?b"},
		{"éé", 3, "é"},
		{long, 60, "begin x\n[... 996 bytes left out ...]\nxxx end"},
	} {
		if got := Cut(c.text, c.limit); got != c.want {
			t.Errorf("Cut(%.20q, %d) = %q, want %q", c.text, c.limit, got, c.want)
		}
	}
}

// However the text is split into writes, a capture says the same as Cut does
// of the whole, in valid UTF-8 and within the limit.
func TestCaptureIsCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Repeat(rapid.StringN(1, 20, 60).Draw(t, "text")+rapid.SampledFrom([]string{"", "\xff", "é"}).Draw(t, "more"), rapid.IntRange(0, 20).Draw(t, "times"))
		limit := rapid.IntRange(0, 200).Draw(t, "limit")
		c := NewCapture(limit)
		for rest := text; rest != ""; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "write")
			fmt.Fprint(c, rest[:n])
			rest = rest[n:]
		}
		got := c.String()
		if got != Cut(text, limit) || len(got) > limit || !utf8.ValidString(got) {
			t.Fatalf("got %q, of the whole %q", got, Cut(text, limit))
		}
	})
}
