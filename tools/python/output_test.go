package python

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestClipKeepsHeadAndTail(t *testing.T) {
	tests := []struct {
		name   string
		limit  int
		writes []string
		text   string
		cut    int64
	}{
		{"nothing", 10, nil, "", 0},
		{"fits", 10, []string{"01234", "56789"}, "0123456789", 0},
		{"one byte too many", 50, []string{strings.Repeat("a", 26), strings.Repeat("b", 25)}, "aaaaa\n... 41 bytes left out ...\nbbbbb", 41},
		{"flood", 50, []string{"start", strings.Repeat("-", 1000), "end"}, "start\n... 998 bytes left out ...\n--end", 998},
		{"no room at all", 0, []string{"abc"}, "", 3},
		{"less room than the notice", 10, []string{strings.Repeat("a", 100)}, "\n... 100 b", 100},
		{"bytes that are no text", 10, []string{"a\xffb"}, "a\uFFFDb", 0},
		{"cut through runes", 44, []string{"-é" + strings.Repeat("-", 70) + "日"}, "-\n... 75 bytes left out ...\n", 75},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newClip(tt.limit)
			for _, w := range tt.writes {
				if n, err := c.Write([]byte(w)); n != len(w) || err != nil {
					t.Fatalf("Write = %d, %v", n, err)
				}
			}
			text, cut := c.text(tt.limit)
			if text != tt.text || cut != tt.cut {
				t.Errorf("text = %q, %d; want %q, %d", text, cut, tt.text, tt.cut)
			}
		})
	}
}

// TestClipProperties: whatever is written, in whatever pieces, the text fits,
// is valid, begins and ends like the original, and counts what it lacks.
func TestClipProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(0, 200).Draw(t, "limit")
		pieces := rapid.SliceOf(rapid.StringN(0, 60, 120)).Draw(t, "pieces")
		all := strings.Join(pieces, "")
		c := newClip(limit)
		for _, p := range pieces {
			c.Write([]byte(p))
		}
		asked := rapid.IntRange(0, limit).Draw(t, "asked")
		text, cut := c.text(asked)
		if len(text) > asked || !utf8.ValidString(text) {
			t.Fatalf("text of %d bytes for a limit of %d: %q", len(text), asked, text)
		}
		if len(all) <= asked && (text != all || cut != 0) {
			t.Fatalf("text %q, %d, want all of %q", text, cut, all)
		}
		if len(all) > asked && cut == 0 {
			t.Fatalf("nothing was cut of %d bytes for a limit of %d", len(all), asked)
		}
		notice := fmt.Sprintf("\n... %d bytes left out ...\n", cut)
		if head, tail, ok := strings.Cut(text, notice); ok && cut > 0 {
			if !strings.HasPrefix(all, head) || !strings.HasSuffix(all, tail) || int64(len(head)+len(tail))+cut != int64(len(all)) {
				t.Fatalf("head %q and tail %q with %d cut are not those of %q", head, tail, cut, all)
			}
		}
	})
}

func TestCaptureStartsNewLines(t *testing.T) {
	c := newCapture(100)
	c.all.Write([]byte("printed"))
	c.addValue([]byte("4"))
	c.addValue([]byte("2"))
	if text, _ := c.all.text(100); text != "printed\n42" {
		t.Errorf("text = %q", text)
	}
	c.setError([]byte("MemoryError\x00"))
	if c.err.Type != "MemoryError" || c.err.Trace != "MemoryError\n" {
		t.Errorf("error = %+v", c.err)
	}
}
