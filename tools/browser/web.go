package browser

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/net/html/charset"

	"chorale/internal/wall"
	"chorale/tools/browser/internal/chrome"
	"chorale/tools/browser/internal/pagetext"
)

const (
	bodyCap  = 16 << 20 // decoded bytes of one document
	loadCap  = 64 << 20 // bytes that one page may load in all
	textCap  = 4 << 20  // bytes of a page's text
	loadTime = 15 * time.Second
)

// web is the backend that reads the real web. It starts the proxy and Chromium
// when the first page needs them.
type web struct {
	rule     wall.Rule
	dialer   *wall.Dialer
	client   *wall.Client
	scripts  bool
	binary   string
	methods  []string // nil: any
	upload   int64    // bytes that a page may send
	nojail   bool     // Chromium can not have namespaces of its own
	searcher Searcher

	memory   int64 // of a renderer, for the call under way
	loadTime time.Duration
	proxy    *wall.Proxy // of this Chromium
	chromium *chrome.Browser

	pages   bool // may stay open
	live    live
	profile *profile // nil: nothing lasts
	har     *har     // nil: nothing is recorded
	files   files
}

func newWeb(rule wall.Rule, o Options) *web {
	d := &wall.Dialer{Rule: rule}
	client := wall.NewClient(d, bodyCap)
	client.Time = loadTime
	return &web{rule: rule, dialer: d, client: client, scripts: o.JavaScript, binary: o.Binary,
		methods: o.Methods, upload: o.MaxUpload, searcher: o.Search, loadTime: loadTime, pages: o.Pages, live: live{next: 1}, files: newFiles(o)}
}

func (w *web) close() error {
	var errs []error
	if w.chromium != nil {
		errs = append(errs, w.chromium.Close())
		w.letGo()
	}
	if w.profile != nil {
		errs = append(errs, w.profile.lock.Close())
	}
	if w.har != nil {
		errs = append(errs, w.har.write())
	}
	return errors.Join(errs...)
}

func (w *web) search(ctx context.Context, query string, n int) (pagetext.Page, error) {
	if w.searcher == nil {
		return pagetext.Page{}, errors.New("no search provider is set up for this task. What works without one: " +
			"`browser.open` with a full address (https://…) as `id`, links of open pages, and `browser.find`. " +
			"If the answer needs a search, say that the user has to set up one of these: a folder to index (search.folder in the task), " +
			"the address of a SearXNG instance (search.searxng in the configuration), or the key of Brave, Exa, Tavily or You.com " +
			"(as BRAVE_API_KEY, EXA_API_KEY, TAVILY_API_KEY or YDC_API_KEY).")
	}
	found, err := w.searcher.Search(ctx, query, n)
	if err != nil {
		return pagetext.Page{}, fmt.Errorf("%s: %w", w.searcher.Name(), err)
	}
	return resultsPage(query, found), nil
}

func (w *web) fetch(ctx context.Context, address string, source bool) (pagetext.Page, error) {
	u, err := parseAddress(address)
	if err != nil {
		return pagetext.Page{}, err
	}
	if p, ok, err := w.shelved(ctx, u, source); ok {
		return p, err
	}
	if err := w.rule.CheckURL(u); err != nil {
		return pagetext.Page{}, err
	}
	if source || !w.scripts {
		return w.read(ctx, u, source, nil)
	}
	d, err := w.render(ctx, u)
	var file chrome.Download
	switch {
	case errors.As(err, &file) && w.files.granted:
		return w.read(ctx, u, false, w.jar(ctx, u, ""))
	case errors.As(err, &file), errors.Is(err, errNoHTML), errors.Is(err, chrome.ErrLogin):
		return w.read(ctx, u, false, nil)
	case err != nil:
		return pagetext.Page{}, err
	}
	p := pagetext.FromHTML(d.HTML, d.URL, pagetext.Options{Title: d.Title, Base: d.Base})
	return annotate(p, d.Status, d.Cut, d.Note), nil
}

// shelved is a document that the searcher has.
func (w *web) shelved(ctx context.Context, u *url.URL, source bool) (p pagetext.Page, ok bool, err error) {
	shelf, ok := w.searcher.(Library)
	if !ok {
		return p, false, nil
	}
	own, ok := shelf.Document(ctx, u)
	if !ok {
		return p, false, nil
	}
	p, err = own.page(ctx, u.String(), source, w.memory)
	return p, true, err
}

// html reads a page for a searcher.
func (w *web) html(ctx context.Context, u *url.URL) (string, int, error) {
	if err := w.rule.CheckURL(u); err != nil {
		return "", 0, err
	}
	if !w.scripts {
		began := time.Now()
		d, err := w.client.Get(ctx, u, func(d *wall.Document) bool { return isHTML(d.Type) })
		w.har.fetched(u, began, d, err)
		if err != nil {
			return "", 0, err
		}
		return toUTF8(d), d.Status, nil
	}
	d, err := w.render(ctx, u)
	if err != nil {
		return "", 0, err
	}
	return d.HTML, d.Status, nil
}

// parseAddress reads what a model gives as an address.
func parseAddress(s string) (*url.URL, error) {
	s = strings.TrimSpace(s)
	if !strings.Contains(s, "://") && strings.Contains(strings.SplitN(s, "/", 2)[0], ".") {
		s = "https://" + s
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("not an http or https address (to open link 2 of a page, give the number 2, not text)")
	}
	u.User = nil // what stands before the host is never sent
	return u, nil
}

// errNoHTML says that Chromium shows a document that is better read as it is.
var errNoHTML = errors.New("not HTML")

// render loads a page in Chromium.
func (w *web) render(ctx context.Context, u *url.URL) (*chrome.Document, error) {
	if err := w.start(ctx); err != nil {
		return nil, err
	}
	w.proxy.Allow(loadCap, w.upload)
	d, err := w.chromium.Load(ctx, u.String(), chrome.Limits{Time: w.loadTime, Memory: w.memory})
	seen := w.proxy.Seen()
	if err != nil {
		if why := failure(seen, u); why != "" && ctx.Err() == nil {
			err = errors.New(why)
		}
		return nil, err
	}
	if err := w.remember(ctx, d.Storage); err != nil {
		return nil, err
	}
	at, err := url.Parse(d.URL)
	if err != nil || at.Scheme != "http" && at.Scheme != "https" {
		if len(seen.Refused) > 0 {
			return nil, errors.New("the page went on to another address, which can not be opened: " + seen.Refused[len(seen.Refused)-1])
		}
		return nil, errors.New("the page went on to another address, which can not be opened")
	}
	if why := failure(seen, at); why != "" {
		return nil, errors.New(why)
	}
	if !isHTML(d.Type) {
		return nil, errNoHTML
	}
	if strings.TrimSpace(d.HTML) == "" {
		return nil, errors.New(strings.TrimSpace("the document is empty. " + d.Note))
	}
	d.Cut = d.Cut || seen.Cut
	return d, nil
}

// failure is why the proxy did not get a document, if it did not. A name that
// redirects elsewhere fails under the other name.
func failure(seen wall.Seen, u *url.URL) string {
	plain := *u
	plain.Fragment = ""
	if why := seen.Failed[plain.String()]; why != "" {
		return why
	}
	port := u.Port()
	if port == "" {
		port = "443"
	}
	if why := seen.Failed[u.Hostname()+":"+port]; why != "" && u.Scheme == "https" {
		return why
	}
	return ""
}

// start makes sure that a living Chromium is there, and its proxy.
func (w *web) start(ctx context.Context) error {
	if w.chromium != nil {
		select {
		case <-w.chromium.Done():
			w.chromium.Close()
			w.chromium = nil
			w.live = live{next: w.live.next}
		default:
			return nil
		}
	}
	identity, err := wall.NewIdentity()
	if err != nil {
		return fatalError{err}
	}
	serve := func(l net.Listener) io.Closer {
		w.proxy = wall.NewProxy(l, w.dialer, wall.Limits{Body: bodyCap, Methods: w.methods, Identity: identity})
		return w.proxy
	}
	var network func(string, []byte)
	if w.har != nil {
		network = w.har.event
	}
	b, err := chrome.Start(ctx, chrome.Config{Binary: w.binary, Serve: serve, NoJail: w.nojail, Pin: identity.Pin(),
		Keep: w.pages || w.profile != nil, Network: network})
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fatalError{err}
	}
	w.chromium = b
	if err := w.restore(ctx); err != nil {
		return fatalError{err}
	}
	return nil
}

// A fatalError is ours, not the model's: it stops the task.
type fatalError struct{ error }

func (e fatalError) Unwrap() error { return e.error }

// read fetches a document with our own client, with the cookies of jar if there
// is one. What the server sends to be saved is kept where that is granted.
func (w *web) read(ctx context.Context, u *url.URL, source bool, jar http.CookieJar) (pagetext.Page, error) {
	began := time.Now()
	d, body, err := w.client.Open(ctx, u, jar)
	if err == nil {
		defer body.Close()
		if w.files.granted && !source && isFile(d) {
			body.Unhurried()
		}
		switch {
		case isPDF(d) && !source:
			err = d.Read(body, loadCap) // half of one can not be read
		case isHTML(d.Type), isText(d.Type):
			err = d.Read(body, bodyCap)
		}
	}
	w.har.fetched(u, began, d, err)
	if err != nil {
		return pagetext.Page{}, err
	}
	p, err := pageOf(ctx, d, source, w.memory)
	if !w.files.granted || source || !isFile(d) || d.Status >= 400 {
		return p, err
	}
	kept, failed := w.files.keep(ctx, d, fileName(d), io.MultiReader(bytes.NewReader(d.Body), body))
	switch {
	case failed != nil && !tellable(ctx, failed):
		return p, failed
	case failed != nil && err != nil:
		return p, fmt.Errorf("%w; it was not kept: %w", err, failed)
	case failed != nil:
		return annotate(p, 0, false, "The address is a download, which was not kept: "+failed.Error()+"."), nil
	case err != nil:
		p = pagetext.FromText("", d.URL, plain(fileName(d)))
	}
	return annotate(p, 0, false, "The address is a download. Kept for the user: "+kept+"."), nil
}

// pageOf is the page of a document that was read as it is.
func pageOf(ctx context.Context, d *wall.Document, source bool, memory int64) (pagetext.Page, error) {
	if isPDF(d) && !source {
		return pdfPage(ctx, d, memory)
	}
	if !isHTML(d.Type) && !isText(d.Type) {
		return pagetext.Page{}, errors.New(describeFile(d))
	}
	if len(bytes.TrimSpace(d.Body)) == 0 {
		if d.Status >= 400 {
			return pagetext.Page{}, fmt.Errorf("HTTP status %d, without a page", d.Status)
		}
		return pagetext.Page{}, errors.New("the document is empty")
	}
	text := toUTF8(d)
	if source || !isHTML(d.Type) {
		return annotate(pagetext.FromText(text, d.URL, ""), d.Status, d.Cut, missing(d)), nil
	}
	p := pagetext.FromHTML(text, d.URL, pagetext.Options{Base: pagetext.BaseOf(text, d.URL)})
	return annotate(p, d.Status, d.Cut, missing(d)), nil
}

// missing says why the server did not send all of a document, if it did not.
func missing(d *wall.Document) string {
	if d.Broke == nil {
		return ""
	}
	return "The rest of the page did not come: " + plain(d.Broke.Error()) + "."
}

func isHTML(mediaType string) bool {
	return mediaType == "text/html" || mediaType == "application/xhtml+xml" || mediaType == ""
}

func isText(mediaType string) bool {
	switch mediaType {
	case "application/json", "application/xml", "application/javascript", "application/x-ndjson", "application/yaml",
		"application/toml", "application/sql":
		return true
	}
	return strings.HasPrefix(mediaType, "text/") || strings.HasSuffix(mediaType, "+json") || strings.HasSuffix(mediaType, "+xml")
}

func describeFile(d *wall.Document) string {
	size := "of unknown size"
	if d.Size >= 0 {
		size = fmt.Sprintf("%d bytes", d.Size)
	}
	return fmt.Sprintf("the address is a download, not a page: %q, type %s, %s; only text can be read", fileName(d), d.Type, size)
}

func toUTF8(d *wall.Document) string {
	if d.Params["charset"] == "" && utf8.Valid(d.Body) {
		return string(d.Body)
	}
	contentType := d.Type
	if c := d.Params["charset"]; c != "" {
		contentType += "; charset=" + c
	}
	r, err := charset.NewReader(bytes.NewReader(d.Body), contentType)
	if err != nil {
		return string(d.Body)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		return string(d.Body)
	}
	return string(b)
}

// annotate says below the address what the reader has to know of how the page
// came about, and caps its text.
func annotate(p pagetext.Page, status int, cut bool, note string) pagetext.Page {
	var notes []string
	if status >= 400 {
		notes = append(notes, fmt.Sprintf("The server answered with HTTP status %d.", status))
	}
	if note != "" {
		notes = append(notes, note)
	}
	if len(p.Text) > textCap {
		p.Text, cut = clip(p.Text, textCap), true
	}
	if cut {
		notes = append(notes, "The page is too long; the rest of it was cut off.")
	}
	if len(notes) == 0 {
		return p
	}
	head := "\nURL: " + p.URL + "\n"
	p.Text = head + "[Note: " + strings.Join(notes, " ") + "]\n\n" + strings.TrimPrefix(p.Text, head)
	return p
}
