package main

import (
	"bytes"
	"strings"
	"testing"
)

// TestByteProgress counts to the end: a bar that goes away on a terminal, a line
// for each tenth of what takes long elsewhere, and nothing for what is short.
func TestByteProgress(t *testing.T) {
	for _, x := range []struct {
		terminal bool
		total    int64
		lines    int // of the log
		has, end string
	}{
		{true, 1e6, 0, "[###############...............] 500 kB of 1 MB", "\r\033[K"},
		{false, 1e6, 0, "", ""},
		{false, 13.8e9, 10, "loading: 50 % of 13.80 GB", "100 % of 13.80 GB\n"},
	} {
		var out bytes.Buffer
		count := byteProgress(streams{err: &out, log: newLogger(&out), terminal: x.terminal}, "loading")
		for i := range int64(1000) {
			count(x.total/1000*(i+1), x.total)
		}
		text := out.String()
		if n := strings.Count(text, "\n"); n != x.lines {
			t.Errorf("%+v: %d lines", x, n)
		}
		if !strings.Contains(text, x.has) || !strings.HasSuffix(text, x.end) {
			t.Errorf("%+v: %q", x, text)
		}
	}
}

func TestGarbage(t *testing.T) {
	for heap, want := range map[int64]int{0: 100, 80e6: 100, 256e6: 100, 512e6: 50, 1.8e9: 14, 20e9: 10} {
		if got := garbage(heap); got != want {
			t.Errorf("%d bytes in use: %d %%, want %d", heap, got, want)
		}
	}
}
