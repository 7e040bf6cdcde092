package browser

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"chorale/tools"
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
	r := tools.Result{Text: strings.TrimPrefix(text, "\n"), Artifacts: a.artifacts}
	if v := b.web.live.seen; v != nil {
		r.Origin = originOf(v.URL)
	}
	return r, err
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
		if why := a.web.astray(); why != "" {
			a.web.letGo()
			return "", usage("The page has gone to where it can not be opened: %s. It was closed; take page_snapshot with the cursor of a page to open one again.", why)
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
		return "", usageError("That page shows search results, which can not be acted on. Open one of them first.")
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
