package browser

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"chorale/internal/atomicfile"
	"chorale/tools"
	"chorale/tools/browser/internal/chrome"
)

// PageFunction declares a function by which a page is acted on.
type PageFunction struct {
	Name        string
	Description string
	Parameters  json.RawMessage
	ReadOnly    bool // it changes nothing outside the browser
	call        func(*actions) (string, error)
	required    []string
	optional    []string
}

// PageFunctions are all of them. They work on the page that page_snapshot opens
// to stay, by the refs that it gives.
func PageFunctions() []PageFunction { return pageFunctions }

const refParameter = `"ref":{"type":"string","description":"of the element, as page_snapshot gives it: e7"}`

var pageFunctions = []PageFunction{
	{Name: "page_snapshot", ReadOnly: true, call: (*actions).snapshot, optional: []string{"cursor", "text"},
		Description: "Shows what can be clicked and filled in on a page, with the refs that the other page functions take: (e7) button \"Save\". The page then stays open. The result is a page like those of browser.open: scroll it with browser.open, search it with browser.find.",
		Parameters:  parameters(`"cursor":{"type":"integer","description":"of the page to open; left out: the page that is open, else the last one"},"text":{"type":"boolean","description":"all of the page's text, with the refs in place"}`)},
	{Name: "page_click", call: (*actions).click, required: []string{"ref"}, optional: []string{"accept_dialogs"},
		Description: "Clicks an element. Says what changed.",
		Parameters:  parameters(refParameter+`,"accept_dialogs":{"type":"boolean","description":"answer yes to what the page asks then; otherwise it is told no"}`, "ref")},
	{Name: "page_type", call: (*actions).write, required: []string{"ref", "text"}, optional: []string{"append", "submit"},
		Description: "Types into a field, in the place of what it holds. Says what changed.",
		Parameters:  parameters(refParameter+`,"text":{"type":"string"},"append":{"type":"boolean","description":"type behind what the field holds"},"submit":{"type":"boolean","description":"press Enter after it"}`, "ref", "text")},
	{Name: "page_select", call: (*actions).choose, required: []string{"ref", "options"},
		Description: "Chooses options of a list by their labels. Says what changed.",
		Parameters:  parameters(refParameter+`,"options":{"type":"array","items":{"type":"string"}}`, "ref", "options")},
	{Name: "page_press", call: (*actions).press, required: []string{"key"}, optional: []string{"ref"},
		Description: "Presses a key: Enter, Escape, ArrowDown, a, Control+a. Says what changed.",
		Parameters:  parameters(`"key":{"type":"string"},`+refParameter, "key")},
	{Name: "page_upload", call: (*actions).upload, required: []string{"ref", "paths"},
		Description: "Gives files to an element that takes them.",
		Parameters:  parameters(refParameter+`,"paths":{"type":"array","items":{"type":"string"}}`, "ref", "paths")},
	{Name: "page_back", call: (*actions).back, ReadOnly: true,
		Description: "Goes back to the page before this one.", Parameters: parameters("")},
	{Name: "page_wait", call: (*actions).wait, ReadOnly: true, optional: []string{"text", "gone", "seconds"},
		Description: "Waits until the page shows a text, or does not any more, or for some seconds. Says what changed.",
		Parameters:  parameters(`"text":{"type":"string"},"gone":{"type":"string"},"seconds":{"type":"number","description":"at most; 5 if left out"}`)},
	{Name: "page_screenshot", call: (*actions).screenshot, ReadOnly: true, optional: []string{"whole"},
		Description: "Keeps a picture of the page for the user.",
		Parameters:  parameters(`"whole":{"type":"boolean","description":"of the whole page, not only the window"}`)},
	{Name: "page_save", call: (*actions).save, ReadOnly: true,
		Description: "Keeps the page as a PDF for the user.", Parameters: parameters("")},
}

// parameters is the schema of an object.
func parameters(properties string, required ...string) json.RawMessage {
	s := `{"type":"object","properties":{` + properties + `},"additionalProperties":false`
	if len(required) > 0 {
		list, _ := json.Marshal(required) // of strings it always can
		s += `,"required":` + string(list)
	}
	return json.RawMessage(s + "}")
}

// Page runs a page function. Args is a JSON object.
func (b *Browser) Page(ctx context.Context, name, args string, l tools.Limits) (tools.Result, error) {
	for _, f := range pageFunctions {
		if f.Name == name {
			return b.serve(ctx, l, func(ctx context.Context) (tools.Result, error) { return b.act(ctx, f, args, l) })
		}
	}
	return tools.Result{}, fmt.Errorf("browser: there is no page function %q", name)
}

// actions is one call of a page function.
type actions struct {
	*Browser
	ctx       context.Context
	args      arguments
	limit     int
	artifacts []tools.Artifact
}

func (b *Browser) act(ctx context.Context, f PageFunction, content string, l tools.Limits) (tools.Result, error) {
	if !b.web.pages {
		return tools.Result{}, usageError("Pages can only be read in this task.")
	}
	args, ok := parseArguments(content)
	if !ok {
		return tools.Result{}, usageError(errArguments)
	}
	if err := args.check(f.Name, f.required, f.optional); err != nil {
		return tools.Result{}, err
	}
	a := &actions{Browser: b, ctx: ctx, args: args, limit: l.Output}
	text, err := f.call(a)
	if page := b.web.live.page; page != nil && page.Ended() == nil && b.web.profile != nil {
		err = errors.Join(err, b.web.remember(ctx, page.Storage(ctx)))
	}
	return tools.Result{Text: strings.TrimPrefix(text, "\n"), Artifacts: a.artifacts}, err
}

// snapshot shows the live page, or opens the page of a cursor to stay.
func (a *actions) snapshot() (string, error) {
	whole, err := a.args.flag("text")
	if err != nil {
		return "", err
	}
	if err := a.session.room(); err != nil {
		return "", err
	}
	address, err := a.wanted()
	if err != nil {
		return "", err
	}
	note := ""
	if address == "" {
		if _, err := a.web.look(a.ctx); err != nil {
			return "", a.trouble("Error reading the page", err)
		}
	} else {
		out, err := a.web.stay(a.ctx, address)
		if err != nil {
			return "", a.trouble(fmt.Sprintf("Error opening `%s`", shorten(address)), err)
		}
		note = out.Note
	}
	p := a.web.text(whole)
	return a.session.show(newPage(annotate(p, 0, false, note), ""), 0, -1, a.limit)
}

// wanted is the address of the page that a snapshot means; empty for the one
// that is open.
func (a *actions) wanted() (string, error) {
	_, open := a.web.current()
	if _, ok := a.args["cursor"]; !ok && open == nil {
		return "", nil
	}
	p, err := a.session.page(a.args)
	if err != nil {
		return "", err
	}
	if p.of != nil {
		p = p.of
	}
	if p.url == "" {
		return "", usage("Cursor `%s` shows search results, which are no page to act on. Open one of them first.", strconv.Itoa(len(a.session.stack)-1))
	}
	if open == nil && sameDocument(p.url, a.web.live.seen.URL) {
		return "", nil
	}
	return p.url, nil
}

// sameDocument compares addresses without their fragments.
func sameDocument(x, y string) bool {
	x, _, _ = strings.Cut(x, "#")
	y, _, _ = strings.Cut(y, "#")
	return x == y
}

// trouble words an error for the model, unless it is ours.
func (a *actions) trouble(what string, err error) error {
	var told usageError
	if errors.As(err, &told) || !tellable(a.ctx, err) {
		return err
	}
	var stale chrome.StaleError
	if errors.As(err, &stale) {
		return usage("%s: %s. Take page_snapshot for the elements that are there now.", what, err)
	}
	return usage("%s: %s", what, shorten(err.Error()))
}

var refPattern = regexp.MustCompile(`^\(?[eE]?(\d{1,9})\)?$`)

// ref is the element that a call names, and its words as the model knows them.
func (a *actions) ref() (id int, words string, err error) {
	text, err := a.args.text("ref")
	if err != nil {
		return 0, "", err
	}
	m := refPattern.FindStringSubmatch(strings.TrimSpace(text))
	if m == nil {
		return 0, "", usage("`%s` is no ref. Refs are given by page_snapshot, as in e7.", shorten(text))
	}
	id, _ = strconv.Atoi(m[1]) // it has few digits
	words = "(e" + m[1] + ")"
	if v := a.web.live.seen; v != nil {
		for _, e := range v.Elements {
			if e.ID == id {
				words, _, _ = strings.Cut(plain(e.Text), ", ")
			}
		}
	}
	return id, words, nil
}

// do acts on the live page and says what changed. done and doing say what was
// done, and was about to be.
func (a *actions) do(done, doing string, f func(*chrome.Live) (chrome.Outcome, error)) (string, error) {
	page, err := a.web.current()
	if err != nil {
		return "", err
	}
	a.web.proxy.Allow(loadCap)
	out, err := f(page)
	if err != nil {
		if page.Ended() != nil {
			a.web.letGo()
			return "", a.trouble("Error "+doing, fmt.Errorf("%w. The page was closed; take page_snapshot with a cursor to open one again", err))
		}
		var file chrome.Download
		if !errors.As(err, &file) {
			return "", a.trouble("Error "+doing, err)
		}
		out.Download = file.Name
	}
	followed, err := a.follow(page, out.Popup)
	if err != nil {
		return "", a.trouble("Error "+doing, err)
	}
	before, err := a.web.look(a.ctx)
	if err != nil {
		return "", a.trouble("Error reading the page after "+doing, err)
	}
	if u := a.web.live.seen.URL; !sameDocument(u, before.seen.URL) {
		if why := a.web.astray(); why != "" {
			return "", a.retreat(page, before, doing, why)
		}
	}
	return done + "." + followed + a.web.changes(before, out), nil
}

// follow opens in the live page what was opened in a window.
func (a *actions) follow(page *chrome.Live, address string) (string, error) {
	if address == "" {
		return "", nil
	}
	u, err := url.Parse(address)
	if err != nil || a.web.rule.CheckURL(u) != nil {
		return fmt.Sprintf("\nIt opened a window at %s, which is not allowed; it was closed.", shownAddress(address)), nil
	}
	if _, err := page.Navigate(a.ctx, address, a.web.limits()); err != nil {
		return "", err
	}
	return "\nIt opened a window; its page was opened here instead.", nil
}

// retreat goes back from where nothing can be reached.
func (a *actions) retreat(page *chrome.Live, before live, doing, why string) error {
	_, err := page.Back(a.ctx, a.web.limits())
	if err == nil {
		_, err = a.web.look(a.ctx)
	}
	if err != nil {
		a.web.letGo()
		return a.trouble("Error "+doing, fmt.Errorf("it led to a page that can not be opened: %s. The page was closed", why))
	}
	advice := ""
	if a.web.live.seen.First != before.seen.First {
		advice = ", loaded anew: take page_snapshot for its refs"
	}
	return a.trouble("Error "+doing, fmt.Errorf("it led to a page that can not be opened: %s. This is the page before it again%s", why, advice))
}

func (a *actions) click() (string, error) {
	id, words, err := a.ref()
	accept, err2 := a.args.flag("accept_dialogs")
	if err := errors.Join(err, err2); err != nil {
		return "", usageError(err.Error())
	}
	return a.do("Clicked "+words, "clicking "+words, func(p *chrome.Live) (chrome.Outcome, error) {
		return p.Click(a.ctx, id, accept, a.web.limits())
	})
}

func (a *actions) write() (string, error) {
	id, words, err := a.ref()
	text, err2 := a.args.text("text")
	add, err3 := a.args.flag("append")
	submit, err4 := a.args.flag("submit")
	if err := errors.Join(err, err2, err3, err4); err != nil {
		return "", usageError(err.Error())
	}
	return a.do("Typed into "+words, "typing into "+words, func(p *chrome.Live) (chrome.Outcome, error) {
		return p.Type(a.ctx, id, text, add, submit, a.web.limits())
	})
}

func (a *actions) choose() (string, error) {
	id, words, err := a.ref()
	if err != nil {
		return "", err
	}
	options, err := a.args.texts("options")
	if err != nil {
		return "", err
	}
	return a.do("Chose in "+words, "choosing in "+words, func(p *chrome.Live) (chrome.Outcome, error) {
		return p.Select(a.ctx, id, options, a.web.limits())
	})
}

func (a *actions) press() (string, error) {
	key, err := a.args.text("key")
	if err != nil {
		return "", err
	}
	id, on := 0, ""
	if _, ok := a.args["ref"]; ok {
		var words string
		if id, words, err = a.ref(); err != nil {
			return "", err
		}
		on = " on " + words
	}
	key = strings.TrimSpace(key)
	return a.do("Pressed "+plain(key)+on, "pressing "+plain(key)+on, func(p *chrome.Live) (chrome.Outcome, error) {
		return p.Press(a.ctx, id, key, a.web.limits())
	})
}

func (a *actions) back() (string, error) {
	return a.do("Went back", "going back", func(p *chrome.Live) (chrome.Outcome, error) { return p.Back(a.ctx, a.web.limits()) })
}

const (
	waitTime  = 5 * time.Second
	waitPause = 200 * time.Millisecond
)

func (a *actions) wait() (string, error) {
	text, err := a.args.text("text")
	gone, err2 := a.args.text("gone")
	seconds, err3 := a.args.decimal("seconds", waitTime.Seconds())
	if err := errors.Join(err, err2, err3); err != nil {
		return "", usageError(err.Error())
	}
	if text != "" && gone != "" {
		return "", usageError("Give text or gone, not both.")
	}
	limit := time.Duration(max(0, min(seconds, 3600)) * float64(time.Second))
	if end, ok := a.ctx.Deadline(); ok {
		limit = min(limit, time.Until(end)*2/3)
	}
	met := true
	return a.do("Waited", "waiting", func(p *chrome.Live) (chrome.Outcome, error) {
		met, err = a.until(p, text, gone, limit)
		switch {
		case err != nil:
			return chrome.Outcome{}, err
		case met || text == "" && gone == "":
			return chrome.Outcome{}, nil
		case text != "":
			return chrome.Outcome{}, fmt.Errorf("the page does not show %q after %v", clip(text, maxLine), limit.Round(time.Second/10))
		}
		return chrome.Outcome{}, fmt.Errorf("the page still shows %q after %v", clip(gone, maxLine), limit.Round(time.Second/10))
	})
}

// until waits for a text to appear or to go, and reports whether it did.
func (a *actions) until(p *chrome.Live, text, gone string, limit time.Duration) (bool, error) {
	end := time.After(limit)
	tick := time.NewTicker(waitPause)
	defer tick.Stop()
	for {
		if text+gone != "" {
			shown, err := p.Shows(a.ctx, text+gone)
			if p.Ended() != nil || a.ctx.Err() != nil {
				return false, errors.Join(err, a.ctx.Err(), p.Ended())
			}
			if err == nil && shown == (text != "") { // a page that moves on has no answer for a moment
				return true, nil
			}
		}
		select {
		case <-end:
			return false, nil
		case <-a.ctx.Done():
			return false, a.ctx.Err()
		case <-tick.C:
		}
	}
}

func (a *actions) screenshot() (string, error) {
	whole, err := a.args.flag("whole")
	if err != nil {
		return "", err
	}
	return a.keep("screenshot", ".png", func(p *chrome.Live) ([]byte, error) { return p.Screenshot(a.ctx, whole) })
}

func (a *actions) save() (string, error) {
	return a.keep("page", ".pdf", func(p *chrome.Live) ([]byte, error) { return p.PDF(a.ctx) })
}

// keep makes a file for the user.
func (a *actions) keep(name, ext string, make func(*chrome.Live) ([]byte, error)) (string, error) {
	page, err := a.web.current()
	if err != nil {
		return "", err
	}
	if a.options.Dir == "" {
		return "", usageError("There is no folder to keep files in.")
	}
	content, err := make(page)
	if err != nil {
		return "", a.trouble("Error keeping the page", err)
	}
	for n := 1; ; n++ {
		file := fmt.Sprintf("%s-%d%s", name, n, ext)
		at := filepath.Join(a.options.Dir, file)
		if _, err := os.Lstat(at); err == nil {
			continue
		}
		if err := atomicfile.Write(at, content, 0o600); err != nil {
			return "", fatalError{fmt.Errorf("keep %s: %w", file, err)}
		}
		a.artifacts = append(a.artifacts, tools.Artifact{Name: file, Path: at, Size: int64(len(content))})
		return fmt.Sprintf("Kept for the user: %s, %s.", file, count(len(content), "byte")), nil
	}
}

const (
	maxUploads = 10
	uploadCap  = 16 << 20 // bytes of all files of one call
)

func (a *actions) upload() (string, error) {
	id, words, err := a.ref()
	if err != nil {
		return "", err
	}
	paths, err := a.args.texts("paths")
	if err != nil {
		return "", err
	}
	if len(paths) == 0 || len(paths) > maxUploads {
		return "", usage("Give 1 to %d files.", maxUploads)
	}
	var files []chrome.File
	left := int64(uploadCap)
	for _, name := range paths {
		content, err := a.readUpload(name, left)
		if err != nil {
			return "", usage("Error uploading `%s`: %s", shorten(name), err)
		}
		left -= int64(len(content))
		base := path.Base(filepath.ToSlash(name))
		files = append(files, chrome.File{Name: base, Type: mime.TypeByExtension(path.Ext(base)), Content: content})
	}
	return a.do("Gave "+count(len(files), "file")+" to "+words, "uploading to "+words, func(p *chrome.Live) (chrome.Outcome, error) {
		return p.Upload(a.ctx, id, files, a.web.limits())
	})
}

// mounted is where the model knows the files of the run: tools/python has them
// there.
const mounted = "/mnt/data/"

// readUpload reads a file of the run's or of the folders that may be uploaded
// from. Links that lead out of them are refused.
func (a *actions) readUpload(name string, limit int64) ([]byte, error) {
	inside, ours := strings.CutPrefix(name, mounted)
	dirs := []string{a.options.Dir}
	if !ours {
		dirs = append(dirs, a.options.Uploads...)
	}
	err := errors.New("it is none of the files that may be uploaded: those of the run, and of the folders that the task names")
	for _, dir := range dirs {
		content, e := readBelow(dir, inside, limit)
		if e == nil {
			return content, nil
		}
		if !errors.Is(e, os.ErrNotExist) {
			err = e
		}
	}
	return nil, err
}

// readBelow reads a file below a folder.
func readBelow(dir, name string, limit int64) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, os.ErrNotExist
	}
	defer root.Close()
	f, err := root.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("it is no file")
	case info.Size() > limit:
		return nil, fmt.Errorf("it is too large; %d bytes can be uploaded at once", uploadCap)
	}
	return io.ReadAll(io.LimitReader(f, limit))
}
