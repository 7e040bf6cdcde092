package browser

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"chorale/tools/browser/internal/chrome"
	"chorale/tools/browser/internal/pagetext"
)

// live is the page that stays open, of which there is at most one, and what the
// model knows of it.
type live struct {
	page *chrome.Live
	seen *chrome.View // as it was last looked at
	next int          // the first ref that was never given out
}

var errNoLive = usageError("No page is open to act on. Open one with browser.open, then take page_snapshot of it: it opens the page anew, to stay, and gives the refs.")

// current is the live page, if it can still be acted on.
func (w *web) current() (*chrome.Live, error) {
	if w.live.page == nil {
		return nil, errNoLive
	}
	if err := w.live.page.Ended(); err != nil {
		w.letGo()
		return nil, usage("The page can not be acted on any more: %s. Take page_snapshot with the cursor of a page to open one again.", err)
	}
	return w.live.page, nil
}

// letGo closes the live page.
func (w *web) letGo() {
	if w.live.page != nil {
		w.live.page.Close()
	}
	w.live = live{next: w.live.next}
}

func (w *web) limits() chrome.Limits { return chrome.Limits{Time: w.loadTime, Memory: w.memory} }

// stay opens an address in the live page.
func (w *web) stay(ctx context.Context, address string) (chrome.Outcome, error) {
	u, err := parseAddress(address)
	if err != nil {
		return chrome.Outcome{}, err
	}
	if err := w.rule.CheckURL(u); err != nil {
		return chrome.Outcome{}, err
	}
	if err := w.start(ctx); err != nil {
		return chrome.Outcome{}, err
	}
	w.letGo()
	w.proxy.Allow(loadCap, w.upload)
	page, out, err := w.chromium.OpenLive(ctx, u.String(), w.limits())
	if err != nil {
		if why := failure(w.proxy.Seen(), u); why != "" && ctx.Err() == nil {
			err = errors.New(why)
		}
		return out, err
	}
	w.live.page = page
	if _, err := w.look(ctx); err != nil {
		w.letGo()
		return out, err
	}
	if why := w.astray(); why != "" {
		w.letGo()
		return out, errors.New(why)
	}
	return out, nil
}

// astray is why the live page shows nothing that could be reached; empty: it
// does.
func (w *web) astray() string {
	seen := w.proxy.Seen()
	u, err := url.Parse(w.live.seen.URL)
	if err == nil && (u.Scheme == "http" || u.Scheme == "https") {
		return failure(seen, u)
	}
	if len(seen.Refused) > 0 {
		return seen.Refused[len(seen.Refused)-1]
	}
	for _, why := range seen.Failed {
		return why
	}
	return "it can not be opened"
}

// look reads the live page and returns what the model knew of it before.
func (w *web) look(ctx context.Context) (before live, err error) {
	before = w.live
	v, err := w.live.page.Look(ctx, w.live.next)
	if err != nil {
		return before, err
	}
	w.live.seen, w.live.next = v, v.Next
	return before, nil
}

// text is the live page in the form of all pages: its elements, one a line, or
// all of its text with the refs in place.
func (w *web) text(whole bool) pagetext.Page {
	v := w.live.seen
	if whole {
		return annotate(pagetext.FromHTML(v.HTML, v.URL, pagetext.Options{Title: v.Title}), 0, v.Cut, "")
	}
	lines := []string{""}
	for _, e := range v.Elements {
		lines = append(lines, e.Text)
	}
	if len(v.Elements) == 0 {
		lines = append(lines, "There is nothing to click or fill in on this page.")
	}
	return annotate(pagetext.FromText(strings.Join(lines, "\n"), v.URL, v.Title), 0, v.Cut, "")
}

// What an answer says of each kind of change.
const (
	maxNew  = 10
	maxText = 6
	maxLine = 200
)

// changes says how the live page differs from what the model knew, and what
// else came of an action. saved is what came of a download.
func (w *web) changes(before live, out chrome.Outcome, saved string) string {
	v := w.live.seen
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, "\n"+format, args...) }
	for _, d := range out.Dialogs {
		what := "dismissed"
		if out.Accepted || d.Kind == "beforeunload" {
			what = "accepted"
		}
		line("The page showed a dialog (%s), which was %s: %q", d.Kind, what, clip(plain(d.Text), maxLine))
	}
	if out.Download != nil {
		line("It started a download of %q, %s.", clip(plain(out.Download.Name), maxLine), saved)
	}
	if before.seen == nil || before.seen.First != v.First {
		line("A new page has loaded: %s (%s), with %s. Refs from before are gone; page_snapshot shows the new ones.",
			shorten(plain(v.Title)), shownAddress(v.URL), count(len(v.Elements), "element"))
	} else {
		w.differences(before, line)
	}
	if out.Note != "" {
		line("[Note: %s]", out.Note)
	}
	if b.Len() == 0 {
		return "\nNothing changed on the page."
	}
	return b.String()
}

// differences are those of one document.
func (w *web) differences(before live, line func(string, ...any)) {
	v := w.live.seen
	if v.URL != before.seen.URL {
		line("The address is now %s", shownAddress(v.URL))
	}
	if v.Title != before.seen.Title {
		line("The title is now %s", shorten(plain(v.Title)))
	}
	old := map[int]string{}
	for _, e := range before.seen.Elements {
		old[e.ID] = e.Text
	}
	var fresh, changed, gone []string
	for _, e := range v.Elements {
		was, known := old[e.ID]
		delete(old, e.ID)
		switch {
		case !known:
			fresh = append(fresh, plain(e.Text))
		case was != e.Text:
			changed = append(changed, plain(e.Text))
		}
	}
	for id := range old {
		gone = append(gone, "e"+strconv.Itoa(id))
	}
	slices.SortFunc(gone, func(a, b string) int {
		if len(a) != len(b) {
			return len(a) - len(b)
		}
		return strings.Compare(a, b)
	})
	list(line, "New: ", fresh, maxNew, "\n  ")
	list(line, "Changed: ", changed, maxNew, "\n  ")
	list(line, "Gone: ", gone, 3*maxNew, ", ")
	list(line, "New text: ", newWords(before.seen.Words, v.Words), maxText, "\n  ")
}

// newWords are the texts that were not there before.
func newWords(before, now []string) []string {
	known := map[string]bool{}
	for _, w := range before {
		known[w] = true
	}
	var out []string
	for _, w := range now {
		if !known[w] {
			out = append(out, clip(plain(w), maxLine))
		}
	}
	return out
}

// list writes the first of some things, and how many more there are.
func list(line func(string, ...any), head string, of []string, most int, between string) {
	if len(of) == 0 {
		return
	}
	more := ""
	if len(of) > most {
		more = fmt.Sprintf("%sand %d more", between, len(of)-most)
		of = of[:most]
	}
	line("%s", head+strings.Join(of, between)+more)
}

// plain is a text of the page in which nothing passes for a marker or a line of
// ours.
func plain(s string) string { return pagetext.Plain(strings.Join(strings.Fields(s), " ")) }

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
