package browser

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"chorale/harmony"
	"chorale/tools/browser/internal/pagetext"
	"chorale/tools/browser/internal/vectors"
)

const testdata = "testdata"

// o200k cuts text as gpt-oss does.
func o200k(text string) []string {
	e := harmony.O200kHarmony()
	var out []string
	for _, id := range e.Encode(text) {
		s, err := e.Decode([]harmony.Token{id})
		if err != nil {
			panic(err)
		}
		out = append(out, s)
	}
	return out
}

// stub is the backend of a sequence: searches and pages by name.
type stub struct {
	Search map[string]stubPage `json:"search"`
	Pages  map[string]stubPage `json:"pages"`
}

type stubPage struct {
	HTML  string
	Error string
	Page  struct{ Error, URL, Title string }
}

func (s stub) search(_ context.Context, query string, _ int) (pagetext.Page, error) {
	p, ok := s.Search[query]
	if !ok {
		return pagetext.Page{}, errors.New("stub has no results")
	}
	return pagetext.FromHTML(p.HTML, "", pagetext.Options{Title: query}), nil
}

func (s stub) fetch(_ context.Context, address string, source bool) (pagetext.Page, error) {
	p, ok := s.Pages[address]
	_, why, _ := strings.Cut(p.Page.Error, ": ")
	switch {
	case !ok:
		return pagetext.Page{}, errors.New("No contents returned for " + address)
	case p.Error != "":
		return pagetext.Page{}, errors.New(p.Error)
	case why != "":
		return pagetext.Page{}, errors.New(why)
	case source:
		return pagetext.FromText(p.HTML, address, p.Page.Title), nil
	}
	return pagetext.FromHTML(p.HTML, address, pagetext.Options{}), nil
}

type recordedCall struct {
	Recipient, Content string
	Result             struct{ Text, Raises string }
	Stack              []string `json:"page_stack"`
}

// differs names the calls where we do better than the reference on purpose.
// From there on the stacks differ too.
var differs = map[string]string{
	"s05-two-searches-share-url/2": "a search page keeps its own links",
	"s05-two-searches-share-url/3": "an old cursor shows the search it stood for",
	"s10-view-source/0":            "the source is shown",
	"s10-view-source/1":            "the source is shown",
	"s10-view-source/2":            "source has no links",
}

func TestSequences(t *testing.T) {
	vectors.Each(t, testdata, func(t *testing.T, dir string) int {
		n := 0
		for _, file := range vectors.Names(filepath.Join(dir, "sequences")) {
			var seq struct {
				Name       string
				ViewTokens int `json:"view_tokens"`
				Encoding   string
				Backend    stub
				Calls      []recordedCall
			}
			vectors.Decode(t, filepath.Join(dir, "sequences", file), &seq)
			if seq.Encoding != "o200k_base" {
				t.Errorf("%s: encoding %q", file, seq.Encoding)
			}
			s := &session{backend: seq.Backend, tokens: o200k, viewTokens: seq.ViewTokens, maxPages: 1000}
			asReference := true
			for i, c := range seq.Calls {
				n++
				name := seq.Name + "/" + strconv.Itoa(i)
				asReference = asReference && differs[name] == ""
				s.replay(t, name, c, asReference)
			}
		}
		return n
	})
}

func (s *session) replay(t *testing.T, name string, c recordedCall, asReference bool) {
	t.Helper()
	before := len(s.stack)
	text, err := s.call(context.Background(), strings.TrimPrefix(c.Recipient, "browser."), c.Content, 1<<20)
	var told usageError
	if errors.As(err, &told) {
		text = string(told)
		if len(s.stack) != before {
			t.Errorf("%s: a failed call left a page", name)
		}
	} else if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	switch {
	case c.Result.Raises != "":
		if told == "" {
			t.Errorf("%s: want an error text, got %q", name, text)
		}
	case differs[name] != "":
		if text == c.Result.Text {
			t.Errorf("%s: same as the reference, though %s", name, differs[name])
		}
	default:
		if diff := cmp.Diff(c.Result.Text, text); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	var stack []string
	for _, p := range s.stack {
		stack = append(stack, p.url)
	}
	if asReference && strings.Join(stack, " ") != strings.Join(c.Stack, " ") {
		t.Errorf("%s: stack %q, want %q", name, stack, c.Stack)
	}
}

// TestDisplays opens each page of the vectors at the places they name.
func TestDisplays(t *testing.T) {
	vectors.Each(t, testdata, func(t *testing.T, dir string) int {
		n := 0
		for _, name := range vectors.Names(filepath.Join(dir, "pages")) {
			at := filepath.Join(dir, "pages", name)
			var want struct {
				URL      string
				From     string `json:"displays_from"`
				Displays []struct {
					ViewTokens int `json:"view_tokens"`
					Args       json.RawMessage
					Result     struct{ Text string }
				}
			}
			vectors.Decode(t, filepath.Join(at, "expected.json"), &want)
			file := map[string]string{"dom": "dom.html", "raw": "page.html"}[want.From]
			src, err := vectors.Read(filepath.Join(at, file))
			if err != nil {
				t.Errorf("%s: displays are from %q: %v", name, want.From, err)
				continue
			}
			b := stub{Pages: map[string]stubPage{want.URL: {HTML: string(src)}}}
			for _, d := range want.Displays {
				n++
				s := &session{backend: b, tokens: o200k, viewTokens: d.ViewTokens, maxPages: 1000}
				text, err := s.call(context.Background(), "open", string(d.Args), 1<<20)
				if err != nil {
					text = err.Error()
				}
				if diff := cmp.Diff(d.Result.Text, text); diff != "" {
					t.Errorf("%s %s (-want +got):\n%s", name, d.Args, diff)
				}
			}
		}
		return n
	})
}

func TestCitations(t *testing.T) {
	vectors.Each(t, testdata, func(t *testing.T, dir string) int {
		var file struct {
			Stack []string `json:"page_stack"`
			Cases []struct {
				Input       string
				Hide        bool `json:"hide_partial"`
				Output      string
				Partial     bool
				Annotations []struct {
					Start int `json:"start_index"`
					End   int `json:"end_index"`
					Title string
					URL   string
				}
			}
		}
		vectors.Decode(t, filepath.Join(dir, "citations.json"), &file)
		for _, c := range file.Cases {
			var want []Citation
			for _, a := range c.Annotations {
				want = append(want, Citation{Start: a.Start, End: a.End, Title: a.Title, URL: a.URL})
			}
			out, got, unfinished := cite(file.Stack, c.Input, c.Hide)
			if out != c.Output || unfinished != c.Partial || !cmp.Equal(want, got) {
				t.Errorf("%q hide=%v: got %q %v %v, want %q %v %v", c.Input, c.Hide, out, got, unfinished, c.Output, want, c.Partial)
			}
		}
		return len(file.Cases)
	})
}

// TestNamespace compares with the reference's description. The trained text
// (openai-harmony's) names the default source after it.
func TestNamespace(t *testing.T) {
	vectors.Each(t, testdata, func(t *testing.T, dir string) int {
		var want struct{ Description string }
		vectors.Decode(t, filepath.Join(dir, "tool_config.json"), &want)
		if want.Description == "" {
			return 0
		}
		if got := strings.TrimSuffix((*Browser)(nil).Namespace().Description, " (default: web)"); got != want.Description {
			t.Errorf("got %q, want %q", got, want.Description)
		}
		return 1
	})
}
