package python

import (
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFigures draws with labels, whose fonts are files: the saved memory that a
// session begins with must hold none of them open.
func TestFigures(t *testing.T) {
	if tested == Basic {
		t.Skip("basic has no matplotlib")
	}
	s := newSession(t, Options{})
	artifacts := func(code string) string {
		t.Helper()
		out := run(t, s, code)
		if out.Failed() || strings.Contains(out.Text, "ignored") {
			t.Fatalf("%s\n%s", code, out.Text)
		}
		for _, a := range out.Artifacts {
			if filepath.Ext(a.Path) == ".png" {
				checkDrawing(t, a.Path)
			}
		}
		return artifactNames(t, out)
	}
	for _, tt := range []struct{ code, files string }{
		{"import matplotlib.pyplot as plt\nlog = open('log.txt', 'w')\nlog.write('first\\n')\nlog.flush()", "/mnt/data/log.txt"},
		{"plt.plot([1, 2, 3], label='left open')\nplt.legend()\nplt.title('a title')\nNone", "/mnt/data/figure-1.png"},
		{"plt.bar(['a', 'b'], [1, 2])\nplt.savefig('saved.png')\nplt.close()", "/mnt/data/saved.png"},
		{"plt.plot([3, 1])\nplt.show()\nplt.plot([1, 3])\nNone", "/mnt/data/figure-2.png /mnt/data/figure-3.png"},
		{"log.write('second\\n')\nlog.close()", "/mnt/data/log.txt"},
		{"import matplotlib\nmatplotlib.font_manager._get_font.cache_clear()", ""},
		{"import pandas as pd\npd.DataFrame({'a': [1, 2], 'b': [2, 1]}).plot(x='a')\nNone", "/mnt/data/figure-4.png"},
	} {
		if got := artifacts(tt.code); got != tt.files {
			t.Errorf("%q left %q, want %q", tt.code, got, tt.files)
		}
	}
	if out := run(t, s, "open('log.txt').read()"); out.Text != `'first\nsecond\n'` {
		t.Errorf("the user's file has %q", out.Text)
	}
}

// TestFigureThatFails: a figure that can't be drawn fails the cell that left it.
func TestFigureThatFails(t *testing.T) {
	if tested == Basic {
		t.Skip("basic has no matplotlib")
	}
	s := newSession(t, Options{})
	out := run(t, s, "import matplotlib.pyplot as plt\nplt.plot([1])\nplt.title(r'$\\frac{$')\nNone")
	if !out.Failed() || !strings.Contains(out.Text, "ParseException") && !strings.Contains(out.Text, "ParseFatalException") && !strings.Contains(out.Text, "ValueError") {
		t.Errorf("failed %v: %s", out.Failed(), out.Text)
	}
	if len(out.Artifacts) > 0 {
		t.Errorf("it left %+v", out.Artifacts)
	}
	if out := run(t, s, "1 + 1"); out.Failed() || out.Text != "2" {
		t.Errorf("the next cell: failed %v: %s", out.Failed(), out.Text)
	}
}

// checkDrawing holds that a picture has a size that one can read, and ink.
func checkDrawing(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, err := png.Decode(f)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	colours := map[any]bool{}
	b := img.Bounds()
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			colours[img.At(x, y)] = true
		}
	}
	if b.Dx() < 300 || b.Dy() < 200 || len(colours) < 10 {
		t.Errorf("%s: %v with %d colours", path, b, len(colours))
	}
}
