package browser

import (
	"os"
	"strings"
	"testing"

	"chorale/tools/browser/internal/chrome"
)

// TestPDF opens PDFs by a link of Chromium's, and by our own client alone.
func TestPDF(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes the compiler take minutes: make heavy")
	}
	paper, err := os.ReadFile("internal/pdftext/testdata/paper.pdf")
	if err != nil {
		t.Fatal(err)
	}
	srv := site(map[string]string{
		"/":          `text/html|<title>T</title><a href=/paper.pdf>paper</a>`,
		"/paper.pdf": "application/pdf|" + string(paper), "/saved.pdf": "application/octet-stream|" + string(paper),
		"/broken.pdf": "application/pdf|" + string(paper[:100]), "/other.pdf": "application/pdf|<p>no PDF",
		"/large.pdf": "application/pdf|" + string(paper) + strings.Repeat("%\n", bodyCap/2),
	})
	defer srv.Close()
	wants := map[string]string{
		"/paper.pdf": "] A paper (" + srv.URL + "/paper.pdf)", "/saved.pdf": "Bridges hum at 12 Hz — naïve",
		"/broken.pdf": "read the PDF", "/other.pdf": "a download, not a page", "/large.pdf": "[Page 2 of 2]",
	}
	scripts := []bool{false}
	if _, err := chrome.Find(); err == nil {
		scripts = append(scripts, true)
	}
	for _, js := range scripts {
		b := openFor(t, srv, js)
		for path, want := range wants {
			if r := open(t, b, srv.URL+path); !strings.Contains(r.Text, want) {
				t.Errorf("scripts %v, %s: want %q in %.500s", js, path, want, r.Text)
			}
		}
	}
	b := openFor(t, srv, false)
	open(t, b, srv.URL+"/")
	r := call(t, b, "open", `{"id": 0}`)
	if r.Failed || !strings.Contains(r.Text, "\nL4: On bridges\n") {
		t.Errorf("by a link: %+v", r)
	}
	if r := call(t, b, "find", `{"pattern": "page two"}`); !strings.Contains(r.Text, "match at L") {
		t.Errorf("find: %+v", r)
	}
}
