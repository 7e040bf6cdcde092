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

// TestTestProgress tests two profiles: a line that goes away on a terminal, a line for
// each elsewhere.
func TestTestProgress(t *testing.T) {
	for terminal, want := range map[bool]string{
		true: "\r\033[Ktesting the GPU's kernels: base, 0 of 2 operations\r\033[Ktesting the GPU's kernels: base, 1 of 2 operations\r\033[K" +
			"\r\033[Ktesting the GPU's kernels: texel, 0 of 1 operations\r\033[K\r\033[K",
		false: "agent: testing the GPU's kernels: base\nagent: testing the GPU's kernels: texel\n",
	} {
		var out bytes.Buffer
		tell := testProgress(streams{err: &out, log: newLogger(&out), terminal: terminal})
		tell("base", 0, 2)
		tell("base", 1, 2)
		tell("base", 2, 2)
		tell("texel", 0, 1)
		tell("texel", 1, 1)
		tell("half", 0, 0) // broke off before it began
		if out.String() != want {
			t.Errorf("%q, want %q", out.String(), want)
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
