package wall

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math"
	"mime"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"
	"syscall"
	"time"
)

// maxRedirects is how many redirects a client follows, as browsers do.
const maxRedirects = 20

// A Client fetches single documents through the wall. It sends no cookies and
// no credentials.
type Client struct {
	// Time is how long a server may take until all that is read of its answer has
	// come; 0: as long as the context lasts.
	Time time.Duration

	http *http.Client
	cap  int64
}

// NewClient returns a client whose bodies are cut at bodyCap decoded bytes.
func NewClient(d *Dialer, bodyCap int64) *Client {
	return &Client{cap: bodyCap, http: &http.Client{
		Transport: Transport(d),
		CheckRedirect: func(_ *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return errors.New("too many redirects")
			}
			return nil
		},
	}}
}

// Transport sends requests through the wall, each over a connection of its own.
// Bodies come as they were sent, without limit; proxies of the environment are
// not used.
func Transport(d *Dialer) http.RoundTripper {
	t := transport(d)
	t.DisableKeepAlives = true
	return checked{d.Rule, t}
}

func transport(d *Dialer) *http.Transport {
	return &http.Transport{
		DialContext:            func(ctx context.Context, _, addr string) (net.Conn, error) { return d.Dial(ctx, "", addr) },
		TLSClientConfig:        &tls.Config{RootCAs: d.Roots},
		DisableCompression:     true,
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    10 * time.Second,
		MaxResponseHeaderBytes: 256 << 10,
	}
}

// checked holds every request, redirects too, against the rule.
type checked struct {
	rule Rule
	next http.RoundTripper
}

func (c checked) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := c.rule.CheckURL(r.URL); err != nil {
		return nil, err
	}
	return c.next.RoundTrip(r)
}

// A Document is what a server sent.
type Document struct {
	URL    string // after redirects
	Status int
	Type   string // media type, without parameters
	Params map[string]string
	Name   string // of the file, where the server sends one to be saved
	Size   int64  // as announced; -1 if unknown
	Body   []byte
	Cut    bool  // the body is longer than Body
	Broke  error // why the rest of Body did not come; nil: all came
}

// Get fetches an address. wants decides from the headers whether the body is
// read at all.
func (c *Client) Get(ctx context.Context, u *url.URL, wants func(*Document) bool) (*Document, error) {
	d, body, err := c.Open(ctx, u, nil)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	if wants != nil && !wants(d) {
		return d, nil
	}
	return d, d.Read(body, c.cap)
}

// A Body is what a server sends, decoded and without a limit.
type Body struct {
	*bufio.Reader
	wait *wait
	io.Closer
}

// Unhurried gives the server its time anew, now and whenever something has come.
func (b Body) Unhurried() {
	b.wait.anew = true
	if b.wait.late.Stop() {
		b.wait.late.Reset(b.wait.limit)
	}
}

// Close implements io.Closer.
func (b Body) Close() error {
	defer b.wait.end()
	return b.Closer.Close()
}

// wait is the time that a server has. It reads what comes.
type wait struct {
	io.Reader
	asked context.Context // of who waits
	ctx   context.Context // ends with it, or when the time is over
	limit time.Duration
	late  *time.Timer
	stop  context.CancelCauseFunc
	anew  bool
}

func newWait(ctx context.Context, limit time.Duration) *wait {
	w := &wait{asked: ctx, limit: cmp.Or(limit, math.MaxInt64)}
	w.ctx, w.stop = context.WithCancelCause(ctx)
	w.late = time.AfterFunc(w.limit, func() { w.stop(fmt.Errorf("the server took longer than %s", limit)) })
	return w
}

func (w *wait) end() {
	w.late.Stop()
	w.stop(nil)
}

// why is err, or the end of the wait if that is the reason for it.
func (w *wait) why(err error) error {
	if err == nil || err == io.EOF || w.ctx.Err() == nil {
		return err
	}
	return context.Cause(w.ctx)
}

func (w *wait) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	if n > 0 && w.anew {
		w.late.Reset(w.limit)
	}
	return n, w.why(err)
}

// Open asks for an address. The document that it returns has no body yet. jar
// has the cookies to send; nil: none.
func (c *Client) Open(ctx context.Context, u *url.URL, jar http.CookieJar) (*Document, Body, error) {
	w := newWait(ctx, c.Time)
	d, body, err := c.ask(w, u, jar)
	if err != nil {
		err = w.why(err)
		w.end()
	}
	return d, body, err
}

func (c *Client) ask(w *wait, u *url.URL, jar http.CookieJar) (*Document, Body, error) {
	req, err := http.NewRequestWithContext(w.ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, Body{}, err
	}
	req.Header.Set("Accept", "text/html,application/xhtml+xml,text/*;q=0.9,*/*;q=0.8")
	req.Header.Set("Accept-Encoding", "gzip")
	req.Header.Set("User-Agent", "Mozilla/5.0 (compatible; chorale)")
	with := *c.http
	with.Jar = jar
	resp, err := with.Do(req)
	if err != nil {
		return nil, Body{}, plain(err)
	}
	d := &Document{URL: resp.Request.URL.String(), Status: resp.StatusCode, Size: resp.ContentLength}
	d.Type, d.Params, err = mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		d.Type = strings.ToLower(strings.TrimSpace(strings.Split(resp.Header.Get("Content-Type"), ";")[0]))
	}
	if kind, params, _ := mime.ParseMediaType(resp.Header.Get("Content-Disposition")); kind == "attachment" {
		d.Name = params["filename"]
		if d.Name == "" {
			d.Name = path.Base(resp.Request.URL.Path)
		}
	}
	body, decoded, err := decode(resp)
	if err != nil {
		resp.Body.Close()
		return nil, Body{}, err
	}
	if decoded {
		d.Size = -1
	}
	w.Reader = body
	return d, Body{bufio.NewReader(w), w, resp.Body}, nil
}

// Read takes most bytes of the body.
func (d *Document) Read(body Body, most int64) error {
	var err error
	if d.Body, err = io.ReadAll(io.LimitReader(body, most)); err == nil {
		_, err = body.Peek(1)
	}
	switch {
	case err == nil:
		d.Cut = true
	case err == io.EOF:
	case len(d.Body) == 0, body.wait.asked.Err() != nil:
		return fmt.Errorf("the answer broke off: %w", err)
	default:
		d.Broke = err
	}
	return nil
}

// plain takes the request out of an error of net/http, since the address is named
// by who reports it, and words what users meet.
func plain(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	var unknown x509.UnknownAuthorityError
	var other x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &unknown):
		return errors.New("the server's certificate is not signed by a known authority")
	case errors.As(err, &other):
		return errors.New("the server's certificate is for another host")
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return errors.New("the server's certificate has expired")
	case errors.As(err, new(tls.RecordHeaderError)), errors.Is(err, http.ErrSchemeMismatch):
		return errors.New("the server does not speak https")
	case errors.Is(err, syscall.ECONNREFUSED):
		return errors.New("the connection was refused")
	case errors.Is(err, syscall.ECONNRESET):
		return errors.New("the server broke the connection off")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the server closed the connection without an answer")
	}
	return err
}
