package chrome

import (
	"context"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

//go:embed live.js
var liveScript string

// Live is a page that stays open between calls, to be acted on. The guards of a
// load hold for as long as it is open: dialogs are answered, its memory is
// watched, windows that it opens are closed.
type Live struct{ t *tab }

// View is what a live page shows, and what can be done with it.
type View struct {
	URL, Title string
	First      int // the least ref of this document
	Next       int // the least ref that was not given out
	Elements   []Element
	HTML       string   // of the page with its refs, frames and shadow roots in place
	Words      []string // its texts, each once, without the names of elements
	Cut        bool     // there is more
}

// Element is one that can be acted on. Text names it: (e7) button "Save".
type Element struct {
	ID   int
	Text string
}

// Dialog is a box that a page showed.
type Dialog struct{ Kind, Text string }

// Outcome is what else came of an action.
type Outcome struct {
	Note     string // why the page may not be complete
	Dialogs  []Dialog
	Accepted bool // the dialogs were accepted; else they were dismissed
	Download *Download
	Popup    string // address of a window that was opened; it is closed
}

const (
	maxSaid = 3
	// The window that a live page is laid out in.
	windowWidth, windowHeight = 1280, 800
	maxShot                   = 10000 // pixels of height

	keepTime = 30 * time.Second // of a picture or a PDF

	quiet    = 200 // ms without a change after an action
	maxQuiet = 1500

	idleWatch = time.Second // between looks at the memory of a page that nobody acts on
)

// A StaleError says that a ref leads to nothing any more.
type StaleError struct{ Document, Unknown bool }

func (e StaleError) Error() string {
	switch {
	case e.Unknown:
		return "there is no such ref"
	case e.Document:
		return "the page that it was on is gone"
	}
	return "the element is gone from the page"
}

// errBusy is why a page that does not answer can not be acted on.
var errBusy = errors.New("the page is too busy: its scripts never rest")

// errMoves is why a page that is just left can not be read.
var errMoves = errors.New("the page moves on before it can be read")

// OpenLive opens an address to stay. The page is Closed by its owner.
func (b *Browser) OpenLive(ctx context.Context, address string, limits Limits) (*Live, Outcome, error) {
	b.loading.Lock()
	t, err := b.newTab(ctx, bounded(ctx, limits))
	b.loading.Unlock()
	if err != nil {
		return nil, Outcome{}, worded(ctx, err)
	}
	l := &Live{t}
	memory := t.limits.Memory
	t.work.Go(func() { t.guard(memory) })
	out, err := l.prepare(ctx, address, limits)
	if err != nil {
		l.Close()
		return nil, Outcome{}, err
	}
	return l, out, nil
}

func (l *Live) prepare(ctx context.Context, address string, limits Limits) (Outcome, error) {
	window := map[string]any{"width": windowWidth, "height": windowHeight, "deviceScaleFactor": 1, "mobile": false}
	if err := l.t.call(ctx, "Emulation.setDeviceMetricsOverride", window, nil); err != nil {
		return Outcome{}, worded(ctx, err)
	}
	if err := l.t.call(ctx, "Emulation.setFocusEmulationEnabled", map[string]any{"enabled": true}, nil); err != nil {
		return Outcome{}, worded(ctx, err)
	}
	return l.Navigate(ctx, address, limits)
}

// bounded are the limits of one action: time is left to say what came of it.
func bounded(ctx context.Context, limits Limits) Limits {
	if end, ok := ctx.Deadline(); ok {
		limits.Time = min(limits.Time, time.Until(end)*2/3)
	}
	limits.Memory = min(limits.Memory, maxMemory)
	return limits
}

func worded(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, errGone):
		return errors.New("the browser ended; it will be started again for the next page")
	}
	return err
}

// guard ends a renderer that grows too large while nothing else watches.
func (t *tab) guard(memory int64) {
	tick := time.NewTicker(idleWatch)
	defer tick.Stop()
	for {
		select {
		case <-t.alive.Done():
			return
		case <-t.b.Done():
			return
		case <-tick.C:
			if t.b.process.reap(memory) {
				t.change(func() { t.hog = true })
			}
		}
	}
}

// Close ends the page.
func (l *Live) Close() {
	l.t.b.loading.Lock()
	defer l.t.b.loading.Unlock()
	l.t.dispose()
}

// Ended says why the page can not be acted on any more; nil if it can.
func (l *Live) Ended() error {
	select {
	case <-l.t.b.Done():
		return errGone
	default:
	}
	_, _, err := l.t.judge()
	return err
}

// act does something with the page, waits until it rests, and says what came of
// it besides what the page shows.
func (l *Live) act(ctx context.Context, limits Limits, accept bool, do func() (navigated chan error, err error)) (out Outcome, err error) {
	t := l.t
	t.b.loading.Lock()
	defer t.b.loading.Unlock()
	defer t.b.own(t)()
	t.limits = bounded(ctx, limits)
	t.change(func() {
		t.navigations, t.dialogs, t.said, t.download, t.accept = 0, 0, nil, nil, accept
		t.loaded = true // what has not come by now is not waited for again
	})
	defer func() {
		t.change(func() {
			out.Dialogs, out.Accepted, out.Download, t.accept = t.said, accept, t.download, false
		})
		err = l.verdict(ctx, err)
	}()
	navigated, err := do()
	if err != nil {
		return out, err
	}
	t.change(func() {}) // have it look at the page as it is
	if out.Note, err = t.await(ctx, navigated); err != nil {
		return out, err
	}
	if err := l.ask(ctx, "rest", nil, quiet, maxQuiet); errors.Is(err, errBusy) {
		return out, err
	} else if err == nil {
		if out.Note, err = l.again(ctx, out.Note); err != nil {
			return out, err
		}
	}
	opened, err := t.b.popups(ctx, t)
	for _, address := range opened {
		if strings.HasPrefix(address, "http://") || strings.HasPrefix(address, "https://") {
			out.Popup = address
			break
		}
	}
	return out, err
}

// again waits once more where the page has moved on meanwhile.
func (l *Live) again(ctx context.Context, note string) (string, error) {
	if _, resting, _ := l.t.judge(); resting || note != "" {
		return note, nil
	}
	l.t.change(func() {})
	return l.t.await(ctx, nil)
}

// verdict is why an action failed: of several reasons the one that says most.
func (l *Live) verdict(ctx context.Context, err error) error {
	var stale StaleError
	var file Download
	switch {
	case err == nil:
		return nil
	case errors.As(err, &stale), errors.As(err, &file):
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	}
	if why := l.Ended(); why != nil {
		return worded(ctx, why)
	}
	return worded(ctx, err)
}

// ask calls a function of the page's own script. result may be nil.
func (l *Live) ask(ctx context.Context, function string, result any, args ...any) error {
	ctx, cancel := context.WithTimeout(ctx, min(takeTime, l.t.limits.Time))
	defer cancel()
	list, err := json.Marshal(append([]any{}, args...))
	if err != nil {
		return err
	}
	var world struct{ ExecutionContextID int64 }
	make := map[string]any{"frameId": l.t.frame, "worldName": "live"}
	err = l.t.call(ctx, "Page.createIsolatedWorld", make, &world)
	var r struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct {
			Text      string
			Exception struct{ Description string }
		}
	}
	script := fmt.Sprintf("%s\n(async () => { try { return {ok: await live.%s(...%s)} } catch (e) { if (e instanceof Error) throw e; return e } })()",
		liveScript, function, list)
	if err == nil {
		err = l.t.call(ctx, "Runtime.evaluate", map[string]any{
			"expression": script, "contextId": world.ExecutionContextID, "returnByValue": true, "awaitPromise": true,
			"timeout": takeTime.Milliseconds(), "userGesture": true,
		}, &r)
	}
	switch {
	case err != nil && ctx.Err() != nil:
		l.t.change(func() { l.t.stuck = true })
		return errBusy
	case errors.Is(err, errGone):
		return err
	case err != nil: // its world has gone
		return errMoves
	case r.ExceptionDetails != nil:
		return fmt.Errorf("%s %s", r.ExceptionDetails.Text, r.ExceptionDetails.Exception.Description)
	}
	var answer struct {
		OK             json.RawMessage
		Stale, Refused string
	}
	if err := json.Unmarshal(r.Result.Value, &answer); err != nil {
		return err
	}
	switch {
	case answer.Stale != "":
		return StaleError{Document: answer.Stale == "document", Unknown: answer.Stale == "unknown"}
	case answer.Refused != "":
		return errors.New(answer.Refused)
	case result != nil:
		return json.Unmarshal(answer.OK, result)
	}
	return nil
}

// Look reads the page. next is the first ref that it may give out. A page that
// moves on meanwhile is read again.
func (l *Live) Look(ctx context.Context, next int) (*View, error) {
	l.t.b.loading.Lock()
	defer l.t.b.loading.Unlock()
	var err error
	for range 5 {
		v := new(View)
		if err = l.ask(ctx, "look", v, next); err == nil {
			return v, nil
		}
		if ctx.Err() != nil || l.Ended() != nil {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
	return nil, l.verdict(ctx, err)
}

// Shows reports whether a text stands in the page.
func (l *Live) Shows(ctx context.Context, text string) (bool, error) {
	l.t.b.loading.Lock()
	defer l.t.b.loading.Unlock()
	var shown bool
	err := l.ask(ctx, "shows", &shown, text)
	return shown, l.verdict(ctx, err)
}

// Navigate opens another address in the page.
func (l *Live) Navigate(ctx context.Context, address string, limits Limits) (Outcome, error) {
	return l.act(ctx, limits, false, func() (chan error, error) {
		l.t.change(func() { l.t.loaded = false })
		return l.t.navigate(address), nil
	})
}

// Back goes to the page before this one.
func (l *Live) Back(ctx context.Context, limits Limits) (Outcome, error) {
	return l.act(ctx, limits, false, func() (chan error, error) {
		var h struct {
			CurrentIndex int
			Entries      []struct {
				ID  int64
				URL string
			}
		}
		if err := l.t.call(ctx, "Page.getNavigationHistory", nil, &h); err != nil {
			return nil, err
		}
		before := h.CurrentIndex - 1
		if before < 0 || before >= len(h.Entries) || h.Entries[before].URL == "about:blank" {
			return nil, errors.New("there is no page before this one")
		}
		return nil, l.t.call(ctx, "Page.navigateToHistoryEntry", map[string]any{"entryId": h.Entries[before].ID}, nil)
	})
}

// Screenshot is a PNG image of the window, or of the whole page.
func (l *Live) Screenshot(ctx context.Context, whole bool) ([]byte, error) {
	l.t.b.loading.Lock()
	defer l.t.b.loading.Unlock()
	params := map[string]any{"format": "png"}
	if whole {
		var m struct {
			CSSContentSize struct{ Width, Height float64 }
		}
		if err := l.t.call(ctx, "Page.getLayoutMetrics", nil, &m); err != nil {
			return nil, l.verdict(ctx, err)
		}
		params["captureBeyondViewport"] = true
		params["clip"] = map[string]any{"x": 0, "y": 0, "scale": 1,
			"width": min(m.CSSContentSize.Width, maxShot), "height": min(m.CSSContentSize.Height, maxShot)}
	}
	return l.data(ctx, "Page.captureScreenshot", params)
}

// PDF is the page as it would be printed.
func (l *Live) PDF(ctx context.Context) ([]byte, error) {
	l.t.b.loading.Lock()
	defer l.t.b.loading.Unlock()
	return l.data(ctx, "Page.printToPDF", map[string]any{"printBackground": true, "preferCSSPageSize": true})
}

func (l *Live) data(ctx context.Context, method string, params map[string]any) ([]byte, error) {
	limited, cancel := context.WithTimeout(ctx, keepTime)
	defer cancel()
	var r struct{ Data string }
	err := l.t.call(limited, method, params, &r)
	switch {
	case err != nil && limited.Err() != nil && ctx.Err() == nil:
		return nil, fmt.Errorf("the page is too large or too busy: it was not done within %v", keepTime)
	case err != nil:
		return nil, l.verdict(ctx, err)
	}
	return base64.StdEncoding.DecodeString(r.Data)
}
