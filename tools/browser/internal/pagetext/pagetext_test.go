package pagetext

import (
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"chorale/tools/browser/internal/vectors"
)

const testdata = "../../testdata"

// expected is a page as the reference converted it.
type expected struct {
	Title string            `json:"title"`
	URL   string            `json:"url"`
	Text  string            `json:"text"`
	Links map[string]string `json:"urls"`
}

func (e expected) page() Page {
	p := Page{Title: e.Title, URL: e.URL, Text: e.Text}
	for i := range len(e.Links) {
		p.Links = append(p.Links, e.Links[fmt.Sprint(i)])
	}
	return p
}

func TestMicro(t *testing.T) {
	vectors.Each(t, testdata, func(t *testing.T, dir string) int {
		var file struct {
			URL   string
			Cases []struct {
				HTML string
				expected
			}
		}
		vectors.Decode(t, filepath.Join(dir, "micro.json"), &file)
		for i, c := range file.Cases {
			want := c.page()
			want.URL = file.URL
			want.Text = "\nURL: " + file.URL + "\n" + want.Text
			if diff := cmp.Diff(want, FromHTML(c.HTML, file.URL, Options{})); diff != "" {
				t.Errorf("case %d, %s (-want +got):\n%s", i, c.HTML, diff)
			}
		}
		return len(file.Cases)
	})
}

// TestPages converts what Chromium made of each page, and the page as served
// where the reference's parser agrees with Chromium.
func TestPages(t *testing.T) {
	vectors.Each(t, testdata, func(t *testing.T, dir string) int {
		n := 0
		for _, name := range vectors.Names(filepath.Join(dir, "pages")) {
			at := filepath.Join(dir, "pages", name)
			var want struct {
				URL      string
				Same     bool
				DOM, Raw json.RawMessage
			}
			vectors.Decode(t, filepath.Join(at, "expected.json"), &want)
			sources := map[string]json.RawMessage{"dom.html": want.DOM}
			if want.Same {
				sources["page.html"] = want.Raw
			}
			for file, w := range sources {
				src, err := vectors.Read(filepath.Join(at, file))
				var e expected
				if err != nil || json.Unmarshal(w, &e) != nil || e.URL == "" {
					continue
				}
				n++
				if diff := cmp.Diff(e.page(), FromHTML(string(src), want.URL, Options{})); diff != "" {
					t.Errorf("%s/%s (-want +got):\n%s", name, file, diff)
				}
			}
		}
		return n
	})
}

func TestWrap(t *testing.T) {
	vectors.Each(t, testdata, func(t *testing.T, dir string) int {
		var cases []struct {
			Line    string
			Wrapped []string
		}
		vectors.Decode(t, filepath.Join(dir, "wrap.json"), &cases)
		for _, c := range cases {
			if diff := cmp.Diff(c.Wrapped, Lines(c.Line)); diff != "" {
				t.Errorf("%q (-want +got):\n%s", c.Line, diff)
			}
		}
		return len(cases)
	})
}

func TestStripLinks(t *testing.T) {
	vectors.Each(t, testdata, func(t *testing.T, dir string) int {
		var cases []struct{ Input, Output string }
		vectors.Decode(t, filepath.Join(dir, "strip_links.json"), &cases)
		for _, c := range cases {
			if got := StripLinks(c.Input); got != c.Output {
				t.Errorf("%q: got %q, want %q", c.Input, got, c.Output)
			}
		}
		return len(cases)
	})
}

// TestMarkersCannotBeForged hides marker characters in references, titles and
// attributes.
func TestMarkersCannotBeForged(t *testing.T) {
	src := `<title>&#x3010;7†t&#12305;</title><p>&#12304;1†bank&#x3011; <img alt="&#x3010;2†x&#x3011;">` +
		`<a href="/a">&#x3010;0†b&#x3011;</a>`
	p := FromHTML(src, "https://h.example/", Options{})
	if got := Link.FindAllString(p.Text, -1); len(got) != 1 || got[0] != "【0†〖0‡b〗】" {
		t.Errorf("markers %q in %q", got, p.Text)
	}
	if strings.ContainsAny(p.Title, "【】") {
		t.Errorf("title %q", p.Title)
	}
	if p := FromText("a 【1†b】", "https://h.example/", "【"); strings.ContainsAny(p.Title+p.Text, "【】") {
		t.Errorf("plain text %q", p)
	}
}

func TestBaseAddress(t *testing.T) {
	p := FromHTML(`<a href="x">t</a>`, "https://h.example/d/", Options{Base: "https://m.example/r/"})
	if len(p.Links) != 1 || p.Links[0] != "https://m.example/r/x" || !strings.HasSuffix(p.Text, "【0†t†m.example】") {
		t.Errorf("got %+v", p)
	}
}

// hostileShapes are documents of n repetitions that tempt a converter into
// work that grows with the square of their length.
func hostileShapes(n int) map[string]string {
	return map[string]string{
		"nested div":        strings.Repeat("<div>", n) + "x",
		"nested unknown":    strings.Repeat("<x>", n) + "x" + strings.Repeat("</y>", n),
		"unreachable close": "<i><div>" + strings.Repeat("<b>", n) + strings.Repeat("</i>", n),
		"nested links":      strings.Repeat("<a href=mailto:x><i>", n) + "x",
		"marked links":      strings.Repeat("<a href=/x><div>", n) + "x",
		"empty links":       strings.Repeat("<a href=/x><i>", n),
		"one paragraph":     strings.Repeat("<a href=/x>y</a>z", n),
		"stray closings":    strings.Repeat("a</x>", n),
		"quotes":            strings.Repeat("<blockquote>x<p>", n),
		"lists":             strings.Repeat("<ul><li>x<pre>y\n", n),
		"half markers":      strings.Repeat("&#x3010;†", n),
		"dashes":            strings.Repeat("a--", n),
		"spaces":            strings.Repeat(" \n", n),
		"entities":          strings.Repeat("&lt;", n),
	}
}

// TestHostileShapes makes sure that no shape of a document costs more than
// time linear in its length: eight times the document may take eight times as
// long, sixty-four times would be quadratic. Both are measured side by side and
// the best of a few tries counts, so that a busy machine does not matter.
func TestHostileShapes(t *testing.T) {
	const n, times, most = 1_000, 8, 24
	long := hostileShapes(n * times)
	for name, short := range hostileShapes(n) {
		var ratio float64
		for range 5 {
			ratio = float64(convert(long[name])) / float64(convert(short))
			if ratio < most {
				break
			}
		}
		t.Logf("%s: %d bytes, %d times as long takes %.1f times as much", name, len(short), times, ratio)
		if ratio >= most {
			t.Errorf("%s: %d times the document takes %.1f times as long", name, times, ratio)
		}
	}
}

// convert is the shortest of three times that a document takes.
func convert(src string) time.Duration {
	best := time.Duration(math.MaxInt64)
	for range 3 {
		start := time.Now()
		p := FromHTML(src, "https://h.example/", Options{})
		StripLinks(strings.Join(Lines(p.Text), "\n"))
		best = min(best, time.Since(start))
	}
	return best
}

func FuzzFromHTML(f *testing.F) {
	f.Add("<ul><li><p>a</p><ol start=3><li>b<pre>\nc\n</pre></ol></ul><blockquote>q<br>r")
	f.Add("<a href='//[::1'>x</a><sup>2</sup><s>x</s>y<abbr title=t>z</abbr><math>m</math>t<img>")
	f.Fuzz(func(t *testing.T, src string) {
		p := FromHTML(src, "https://h.example/d/p", Options{})
		for _, m := range Link.FindAllStringSubmatch(p.Text, -1) {
			if m[1] == "" {
				t.Errorf("empty marker in %q", p.Text)
			}
		}
		if strings.Join(Lines(p.Text), "") == "" {
			t.Error("no lines")
		}
	})
}
