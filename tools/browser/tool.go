package browser

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"sync"
	"unicode/utf8"

	"chorale/harmony"
	"chorale/internal/wall"
	"chorale/tools"
	"chorale/tools/browser/internal/chrome"
)

// Options say what a browser may do. The zero value can open nothing.
type Options struct {
	// Allow lists what may be reached: "example.org", "https://example.org",
	// "example.org:8080", "*.example.org", "*". Without a port, http means 80
	// and https 443. Only a host that is named without a star may have an
	// address that is not of the public internet.
	Allow []string
	// Within are further lists, of policies, that must each allow the same.
	Within [][]string
	// MaxPages bounds the pages that are opened, searches and finds included;
	// scrolling is free. Zero means 200.
	MaxPages int
	// JavaScript loads pages in Chromium. Without it, no browser is started:
	// pages are read as the server sends them.
	JavaScript bool
	// Binary is the path of Chromium. Empty means the installed one.
	Binary string
	// Methods are those of HTTP that pages may use, as "GET"; empty: any.
	Methods []string
	// MaxUpload is how many bytes a page may send: bodies of requests, and all
	// that goes through https. Zero means 4 MiB.
	MaxUpload int64
	// Downloads is how many bytes of files that servers send to be saved are
	// kept in Dir, in all. Zero refuses them.
	Downloads int64
	// Tokens cuts text into tokens; windows are measured in them. Required.
	Tokens Tokenizer
	// Search finds pages. Without it, search fails and says so.
	Search Searcher
	// Pages allows the functions of PageFunctions. One page can then stay open,
	// and all pages share their cookies and storage.
	Pages bool
	// Dir is the folder for downloads, screenshots and saved pages; empty: none
	// are made.
	Dir string
	// Profile is the folder of a profile: its cookies and storage are there when
	// the browser starts, and are kept. It is made, and used by one browser at a
	// time. Empty: nothing lasts. It needs JavaScript.
	Profile string
	// HAR is a file for what was requested, without bodies; empty: none is made.
	HAR string
	// Uploads are the folders whose files may be given to pages.
	Uploads []string
}

const (
	defaultMaxPages  = 200
	defaultMaxUpload = 4 << 20
)

// Browser is the tool. It implements tools.Tool.
type Browser struct {
	session *session
	web     *web
	options Options

	closing context.Context
	close   context.CancelFunc
	closed  sync.Once

	calls sync.Mutex // one at a time
}

var _ tools.Tool = (*Browser)(nil)

// Open checks the options and returns the tool. Chromium is started by the
// first page that needs it; that it is there is checked now.
func Open(_ context.Context, o Options) (*Browser, error) {
	if o.Tokens == nil {
		return nil, errors.New("open browser: no tokenizer given")
	}
	if o.MaxPages < 0 {
		return nil, fmt.Errorf("open browser: MaxPages is %d", o.MaxPages)
	}
	if o.MaxPages == 0 {
		o.MaxPages = defaultMaxPages
	}
	if o.MaxUpload < 0 {
		return nil, fmt.Errorf("open browser: MaxUpload is %d", o.MaxUpload)
	}
	if o.MaxUpload == 0 {
		o.MaxUpload = defaultMaxUpload
	}
	if o.Downloads < 0 || o.Downloads > 0 && o.Dir == "" {
		return nil, fmt.Errorf("open browser: Downloads is %d, for the folder %q", o.Downloads, o.Dir)
	}
	rule, err := wall.ParseRule(o.Allow)
	if err != nil {
		return nil, fmt.Errorf("open browser: %w", err)
	}
	for _, list := range o.Within {
		also, err := wall.ParseRule(list)
		if err != nil {
			return nil, fmt.Errorf("open browser: %w", err)
		}
		rule = rule.Meet(also)
	}
	if (o.Pages || o.Profile != "") && !o.JavaScript {
		return nil, errors.New("open browser: pages can be acted on, and profiles used, in Chromium only: set JavaScript as well")
	}
	if o.JavaScript && o.Binary == "" {
		if o.Binary, err = chrome.Find(); err != nil {
			return nil, fmt.Errorf("open browser: %w", err)
		}
	}
	w := newWeb(rule, o)
	w.nojail = o.JavaScript && chrome.CanJail(o.Binary) != nil
	if s, ok := o.Search.(PageSearcher); ok {
		s.By(w.html)
	}
	if o.Profile != "" {
		if w.profile, err = openProfile(o.Profile); err != nil {
			return nil, fmt.Errorf("open browser: %w", err)
		}
	}
	if o.HAR != "" {
		w.har = newHAR(o.HAR)
	}
	b := &Browser{
		web:     w,
		options: o,
		session: &session{backend: w, tokens: o.Tokens, viewTokens: viewTokens, maxPages: o.MaxPages},
	}
	b.closing, b.close = context.WithCancel(context.Background())
	return b, nil
}

// Namespace declares search, open and find in the words of the training.
func (b *Browser) Namespace() harmony.Namespace { return harmony.Browser() }

// errClosed is what calls give after Close.
var errClosed = errors.New("browser: the tool is closed")

// Call runs search, open or find. Args is a JSON object.
func (b *Browser) Call(ctx context.Context, c tools.Call) (tools.Result, error) {
	return b.serve(ctx, c.Limits, func(ctx context.Context) (tools.Result, error) {
		text, err := b.session.call(ctx, c.Function, c.Args, c.Limits.Output)
		r := tools.Result{Text: text}
		if stack := b.session.stack; err == nil && len(stack) > 0 {
			r.Origin = originOf(stack[len(stack)-1].url)
		}
		return r, err
	})
}

// originOf is the origin of an address; empty for none, as of search results.
func originOf(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// serve runs one call within its limits. What its error tells the model to mend
// becomes a result.
func (b *Browser) serve(ctx context.Context, l tools.Limits, call func(context.Context) (tools.Result, error)) (tools.Result, error) {
	if l.Time <= 0 || l.Output <= 0 || l.Memory <= 0 {
		return tools.Result{}, fmt.Errorf("browser: refused a call without limits (%+v)", l)
	}
	b.calls.Lock()
	defer b.calls.Unlock()
	if err := ctx.Err(); err != nil {
		return tools.Result{}, err
	}
	if b.closing.Err() != nil {
		return tools.Result{}, errClosed
	}
	limited, cancel := context.WithTimeout(ctx, l.Time)
	defer cancel()
	defer context.AfterFunc(b.closing, cancel)()
	b.web.memory = l.Memory
	r, err := call(limited)
	r.Artifacts = append(r.Artifacts, b.web.files.taken()...)
	var told usageError
	switch {
	case err == nil:
		r.Text = clip(r.Text, l.Output)
		return r, nil
	case ctx.Err() != nil:
		return tools.Result{}, ctx.Err()
	case b.closing.Err() != nil:
		return tools.Result{}, errClosed
	case errors.As(err, &told):
		return tools.Result{Text: clip(string(told), l.Output), Failed: true, Artifacts: r.Artifacts}, nil
	case limited.Err() != nil:
		why := fmt.Sprintf("The call did not end within its time limit of %v.", l.Time)
		return tools.Result{Text: clip(why, l.Output), Failed: true, Artifacts: r.Artifacts}, nil
	}
	return tools.Result{}, fmt.Errorf("browser: %w", err)
}

// clip cuts a text to limit bytes.
func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

// Cite replaces the citations in an answer, 【cursor†L1-L2】, by links to the
// pages. unfinished reports that the text ends within a citation; with hide
// that part is left out, so that a stream can hold it back.
func (b *Browser) Cite(answer string, hide bool) (text string, citations []Citation, unfinished bool) {
	b.calls.Lock()
	defer b.calls.Unlock()
	var stack []string
	for _, p := range b.session.stack {
		stack = append(stack, p.url)
	}
	return cite(stack, answer, hide)
}

// Citations are the pages that an answer cites, in its order, each citation
// once. What names no page is left out: unknown cursors and search results.
func (b *Browser) Citations(answer string) []tools.Citation {
	b.calls.Lock()
	defer b.calls.Unlock()
	return sources(b.session.stack, answer)
}

// CheckAllow says what is wrong with the entries of an allow list.
func CheckAllow(entries []string) error {
	_, err := wall.ParseRule(entries)
	return err
}

// FindChromium returns the path of the installed Chromium, or an error that
// says how to install it.
func FindChromium() (string, error) { return chrome.Find() }

// Missing names what this system cannot keep the installed Chromium from, in
// words for a person.
func Missing() []string {
	binary, err := chrome.Find()
	if err != nil {
		return nil
	}
	if err := chrome.CanJail(binary); err != nil {
		return []string{"the browser shares our namespaces, and only its own sandbox and command line keep it from files and network (" + err.Error() + ")"}
	}
	return nil
}

// Close ends a call under way, Chromium and the proxy, and the searcher if it can
// be closed.
func (b *Browser) Close() error {
	var err error
	b.closed.Do(func() {
		b.close()
		b.calls.Lock()
		defer b.calls.Unlock()
		err = b.web.close()
		if c, ok := b.options.Search.(io.Closer); ok {
			err = errors.Join(err, c.Close())
		}
	})
	return err
}
