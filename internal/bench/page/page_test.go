package page

import (
	"os"
	"path/filepath"
	"testing"
)

func TestWrite(t *testing.T) {
	const head, begin, end, tail = "# Title\n\n", "<!-- x: generated from here -->\n", "<!-- x: to here -->\n", "\nmore\n"
	file := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(file, []byte(head+begin+"old\n"+end+tail), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 { // writing again changes nothing
		if err := Write(file, "x", "new\n"); err != nil {
			t.Fatal(err)
		}
		if got, _ := os.ReadFile(file); string(got) != head+begin+"\nnew\n\n"+end+tail {
			t.Errorf("the page is %q", got)
		}
	}
	if err := Write(file, "y", "new\n"); err == nil {
		t.Error("a section that is not there was written")
	}
}

func TestFigure(t *testing.T) {
	for x, want := range map[float64]string{0.123: "0.12", 9.5: "9.50", 42.25: "42.2", 1234.4: "1234"} {
		if got := Figure(x); got != want {
			t.Errorf("Figure(%v) = %q, want %q", x, got, want)
		}
	}
}
