package chrome

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/target"
)

// Document is what a page was when its text was taken.
type Document struct {
	URL    string // after redirects and scripts
	Title  string
	Base   string // what its relative links are relative to
	Type   string // media type, as the browser reads it
	Status int    // of HTTP; 0 if unknown
	HTML   string // with the content of its own frames and open shadow roots
	Cut    bool   // HTML is longer
	// Note says why the page may not be complete; empty otherwise.
	Note    string
	Storage Storage // of its origin, in a shared context
}

// A Download is why an address gives no page: the server sends a file. It is
// not taken.
type Download struct {
	Name string // as the browser would save it
	URL  string // after redirects
}

// ErrLogin is why an address gives no page: the server asks for a login.
var ErrLogin = errors.New("the server asks for a login")

func (d Download) Error() string { return "the address is a download: " + d.Name }

const (
	settle         = 350 * time.Millisecond // of quiet after a page with scripts has loaded
	maxNavigations = 10
	maxDialogs     = 20
	watchInterval  = 100 * time.Millisecond
	maxHTML        = 8 << 20 // UTF-16 units
)

// guardScript keeps a huge document from being laid out, which would cost many
// seconds and a gigabyte: only its text is wanted. A mutation observer is told
// of what a script added before that is laid out.
//
//go:embed guard.js
var guardScript string

// Load opens an address in a context of its own, waits until it has loaded and
// come to rest, and takes its text. The error is a Download, or says what went
// wrong in words; ctx's own error only when ctx is done.
func (b *Browser) Load(ctx context.Context, address string, limits Limits) (*Document, error) {
	b.loading.Lock()
	defer b.loading.Unlock()
	if end, ok := ctx.Deadline(); ok { // leave time to take the text
		limits.Time = min(limits.Time, time.Until(end)*2/3)
	}
	limits.Memory = min(limits.Memory, maxMemory)
	t, err := b.newTab(ctx, limits)
	if err == nil {
		defer t.dispose()
		var d *Document
		if d, err = t.load(ctx, address); err == nil {
			return d, nil
		}
	}
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, errGone):
		return nil, errors.New("the browser ended while it opened the page; it will be started again for the next call")
	}
	return nil, err
}

// tab is one page. Its state is written by events.
type tab struct {
	b         *Browser
	limits    Limits
	contextID string
	targetID  string
	session   target.SessionID
	frame     string
	work      sync.WaitGroup // answers to dialogs under way
	alive     context.Context
	end       context.CancelFunc

	mu          sync.Mutex
	changed     chan struct{} // capacity 1
	loaded      bool
	navigations int
	dialogs     int
	said        []Dialog // the first of them
	accept      bool     // dialogs, while an action wants that
	crashed     bool
	hog         bool
	stuck       bool // it stays, and does not answer
	closed      bool
	download    *Download
}

func (b *Browser) newTab(ctx context.Context, limits Limits) (*tab, error) {
	limited, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	t := &tab{b: b, limits: limits, changed: make(chan struct{}, 1)}
	t.alive, t.end = context.WithCancel(context.Background())
	if err := t.open(limited); err != nil {
		t.dispose()
		if limited.Err() != nil {
			return nil, fmt.Errorf("the browser is too busy: it opened no tab within %v", callTime)
		}
		return nil, fmt.Errorf("open a tab: %w", err)
	}
	return t, nil
}

func (t *tab) open(ctx context.Context) error {
	c := t.b.conn
	var made struct {
		TargetID  string
		SessionID target.SessionID
		FrameTree struct{ Frame struct{ ID string } }
	}
	var err error
	if t.contextID, err = t.b.context(ctx); err != nil {
		return err
	}
	blank := map[string]any{"url": "about:blank", "browserContextId": t.contextID}
	if err := c.call(ctx, "", "Target.createTarget", blank, &made); err != nil {
		return err
	}
	t.targetID = made.TargetID
	if err := c.call(ctx, "", "Target.attachToTarget", map[string]any{"targetId": t.targetID, "flatten": true}, &made); err != nil {
		return err
	}
	t.session = made.SessionID
	if err := c.call(ctx, t.session, "Page.getFrameTree", nil, &made); err != nil {
		return err
	}
	t.frame = made.FrameTree.Frame.ID
	t.b.watch(t)
	c.on(t.session, t.event)
	if err := c.call(ctx, t.session, "Page.enable", nil, nil); err != nil {
		return err
	}
	if t.b.network != nil {
		none := map[string]any{"maxTotalBufferSize": 0, "maxResourceBufferSize": 0}
		if err := c.call(ctx, t.session, "Network.enable", none, nil); err != nil {
			return err
		}
	}
	guard := map[string]any{"source": guardScript, "worldName": "guard"}
	return c.call(ctx, t.session, "Page.addScriptToEvaluateOnNewDocument", guard, nil)
}

// watch lets the browser's own events reach the tab.
func (b *Browser) watch(t *tab) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.crashed[t.targetID] = func() { t.change(func() { t.crashed = true }) }
	b.dropped[t.frame] = func(d Download) { t.change(func() { t.download = &d }) }
}

// anyFrame stands for frames that no tab of ours is: those in a page, and windows
// that it opened.
const anyFrame = ""

// own lets downloads of frames and windows reach the tab, until it is told to let
// go.
func (b *Browser) own(t *tab) (letGo func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dropped[anyFrame] = b.dropped[t.frame]
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.dropped, anyFrame)
	}
}

// dispose throws the page and all that it opened away. It comes before the tab
// is let go of: a browser that is detached from while it shows a dialog aborts.
func (t *tab) dispose() {
	if t.contextID != "" {
		ctx, cancel := context.WithTimeout(context.Background(), callTime)
		defer cancel()
		if err := t.b.leave(ctx, t); err != nil && ctx.Err() != nil {
			t.b.process.kill() // it does not even do that: a new one is started for the next page
		}
	}
	t.change(func() { t.closed = true })
	t.end()
	t.work.Wait()
	t.b.conn.on(t.session, nil)
	t.b.mu.Lock()
	delete(t.b.crashed, t.targetID)
	delete(t.b.dropped, t.frame)
	t.b.mu.Unlock()
}

// event handles the events of the browser.
func (b *Browser) event(method string, params []byte) {
	var p struct{ TargetID, FrameID, SuggestedFilename, URL string }
	if method != "Target.targetCrashed" && method != "Browser.downloadWillBegin" || json.Unmarshal(params, &p) != nil {
		return
	}
	b.mu.Lock()
	crashed, dropped := b.crashed[p.TargetID], b.dropped[p.FrameID]
	if dropped == nil {
		dropped = b.dropped[anyFrame]
	}
	b.mu.Unlock()
	if method == "Target.targetCrashed" && crashed != nil {
		crashed()
	}
	if method == "Browser.downloadWillBegin" && dropped != nil {
		dropped(Download{Name: p.SuggestedFilename, URL: p.URL})
	}
}

// event handles the events of the page.
func (t *tab) event(method string, params []byte) {
	if t.b.network != nil && strings.HasPrefix(method, "Network.") {
		t.b.network(method, params)
		return
	}
	switch method {
	case "Fetch.requestPaused":
		var p struct{ RequestID string }
		json.Unmarshal(params, &p)
		t.change(func() {
			if !t.closed {
				t.work.Go(func() { t.fulfil(p.RequestID) })
			}
		})
	case "Page.loadEventFired":
		t.change(func() { t.loaded = true })
	case "Page.frameStartedNavigating":
		var p struct{ FrameID, NavigationType string }
		if json.Unmarshal(params, &p) == nil && p.FrameID == t.frame && p.NavigationType == "differentDocument" {
			t.change(func() { t.loaded = false })
		}
	case "Page.frameStoppedLoading":
		// It comes without a load event where a download cuts in.
		var p struct{ FrameID string }
		if json.Unmarshal(params, &p) == nil && p.FrameID == t.frame {
			t.change(func() { t.loaded = true })
		}
	case "Page.frameNavigated":
		var p struct {
			Frame struct{ ID, ParentID string }
			Type  string
		}
		if json.Unmarshal(params, &p) == nil && p.Frame.ParentID == "" {
			t.change(func() { t.navigations++; t.loaded = p.Type == "BackForwardCacheRestore" })
		}
	case "Page.javascriptDialogOpening":
		var p struct{ Type, Message string }
		json.Unmarshal(params, &p)
		t.change(func() {
			if t.dialogs++; len(t.said) < maxSaid {
				t.said = append(t.said, Dialog{p.Type, p.Message})
			}
			if !t.closed {
				t.work.Go(func() { t.answer(p.Type) })
			}
		})
	}
}

// answer dismisses a dialog unless it is to be accepted, and lets the page be
// left.
func (t *tab) answer(kind string) {
	ctx, cancel := context.WithTimeout(t.alive, callTime)
	defer cancel()
	t.mu.Lock()
	accept := t.accept || kind == "beforeunload"
	t.mu.Unlock()
	t.call(ctx, "Page.handleJavaScriptDialog", map[string]any{"accept": accept}, nil)
}

func (t *tab) change(f func()) {
	t.mu.Lock()
	f()
	t.mu.Unlock()
	select {
	case t.changed <- struct{}{}:
	default:
	}
}

func (t *tab) call(ctx context.Context, method string, params map[string]any, result any) error {
	return t.b.conn.call(ctx, t.session, method, params, result)
}

// load opens an address and takes its text.
func (t *tab) load(ctx context.Context, address string) (*Document, error) {
	note, err := t.await(ctx, t.navigate(address))
	if err != nil {
		return nil, err
	}
	d, err := t.take(ctx, note)
	if err == nil && t.b.keep {
		d.Storage = t.storage(ctx)
	}
	return d, err
}

// await waits until one of these is true: the page rests, the time is up, of
// which the note tells, or there will be no page. navigated is nil where the
// page is there already.
func (t *tab) await(ctx context.Context, navigated chan error) (note string, err error) {
	timeout := time.NewTimer(t.limits.Time)
	defer timeout.Stop()
	watch := time.NewTicker(watchInterval)
	defer watch.Stop()
	rest := time.NewTimer(time.Hour)
	defer rest.Stop()
	arrived, wasResting := navigated == nil, false
	for {
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-t.b.Done():
			return "", errGone
		case err := <-navigated:
			if err != nil {
				return "", t.because(err)
			}
			arrived, navigated = true, nil
		case <-watch.C:
			if t.b.process.reap(t.limits.Memory) {
				t.change(func() { t.hog = true })
			}
			continue
		case <-timeout.C:
			limit := t.limits.Time.Round(time.Second / 10)
			if !arrived {
				return "", fmt.Errorf("the page did not answer within %v", limit)
			}
			return fmt.Sprintf("The page was still loading after %v; loading was cut short, this is what was there.", limit), nil
		case <-rest.C:
			return "", nil
		case <-t.changed:
		}
		done, resting, err := t.judge()
		switch {
		case err != nil:
			return "", err
		case done:
			return "The page keeps navigating to itself; it was stopped.", nil
		case !arrived || !resting:
			rest.Stop()
		case !wasResting && t.hasScripts(ctx):
			rest.Reset(settle)
		case !wasResting:
			rest.Reset(0)
		}
		wasResting = arrived && resting
	}
}

// judge says from the state whether to go on.
func (t *tab) judge() (done, resting bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.hog:
		err = fmt.Errorf("the page used too much memory (over %d MiB) and was stopped", t.limits.Memory>>20)
	case t.crashed:
		err = errors.New("the page crashed")
	case t.stuck:
		err = errBusy
	case t.dialogs > maxDialogs:
		err = errors.New("the page keeps opening dialogs and was stopped")
	}
	return t.navigations > maxNavigations, t.loaded, err
}

// ended says why there is no page, as far as events told.
func (t *tab) ended() error {
	if _, _, err := t.judge(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.download != nil {
		return *t.download
	}
	return nil
}

// navigate starts to load and reports on the channel when the first bytes of
// the page came, or why none will.
func (t *tab) navigate(address string) chan error {
	out := make(chan error, 1)
	t.work.Go(func() {
		var r struct{ ErrorText string }
		err := t.call(t.alive, "Page.navigate", map[string]any{"url": address}, &r)
		if err == nil && r.ErrorText != "" {
			err = errors.New(r.ErrorText)
		}
		out <- err
	})
	return out
}

// because words a failed navigation.
func (t *tab) because(err error) error {
	// The event that explains an aborted navigation may come a little later.
	for range 20 {
		if why := t.ended(); why != nil {
			return why
		}
		if !strings.Contains(err.Error(), "ERR_ABORTED") {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	name := err.Error()
	if i := strings.Index(name, "net::"); i >= 0 {
		name = name[i+len("net::"):]
	}
	if name == "ERR_INVALID_AUTH_CREDENTIALS" {
		return ErrLogin
	}
	if words, ok := netErrors[name]; ok {
		return errors.New(words)
	}
	return err
}

// netErrors words the errors of Chromium's network stack that users meet.
var netErrors = map[string]string{
	"ERR_TOO_MANY_REDIRECTS":          "too many redirects",
	"ERR_ABORTED":                     "the server sent no page",
	"ERR_EMPTY_RESPONSE":              "the server closed the connection without an answer",
	"ERR_CONNECTION_REFUSED":          "the connection was refused",
	"ERR_CONNECTION_RESET":            "the server broke the connection off",
	"ERR_CONNECTION_CLOSED":           "the server broke the connection off",
	"ERR_TUNNEL_CONNECTION_FAILED":    "the server could not be reached",
	"ERR_PROXY_CONNECTION_FAILED":     "the network boundary is gone; nothing can be reached",
	"ERR_NAME_NOT_RESOLVED":           "the host does not exist",
	"ERR_SSL_PROTOCOL_ERROR":          "the server does not speak https",
	"ERR_HTTP_RESPONSE_CODE_FAILURE":  "the server answered with an error status and no page",
	"ERR_INVALID_RESPONSE":            "the server's answer makes no sense",
	"ERR_CONTENT_LENGTH_MISMATCH":     "the answer broke off",
	"ERR_INCOMPLETE_CHUNKED_ENCODING": "the answer broke off",
	"ERR_UNSAFE_PORT":                 "browsers do not open that port",
	"ERR_BLOCKED_BY_CLIENT":           "the browser does not open that address",
	"ERR_BLOCKED_BY_ADMINISTRATOR":    "the browser does not open that address",
	"ERR_UNKNOWN_URL_SCHEME":          "the address has an unknown scheme",
	"ERR_DISALLOWED_URL_SCHEME":       "the browser does not open that scheme",
	"ERR_HTTP2_PROTOCOL_ERROR":        "the server's answer makes no sense",
	"ERR_CONTENT_DECODING_FAILED":     "the answer can not be decoded",
	"ERR_RESPONSE_HEADERS_TOO_BIG":    "the answer's headers are too long",
	"ERR_BLOCKED_BY_RESPONSE":         "the server does not let the page be shown",
	"ERR_INVALID_URL":                 "the address is not valid",
}
