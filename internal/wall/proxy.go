package wall

import (
	"context"
	"errors"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Limits say what may pass a proxy.
type Limits struct {
	Body    int64    // bytes of an answer's body, decoded; the rest is cut off
	Methods []string // of requests; nil: any
	// Identity has the proxy stand in for the servers of https. Without one https
	// passes unseen, and the limits above are those of plain HTTP.
	Identity *Identity
}

// A Proxy is the only way out of a browser, or of a program with a network of
// its own: an HTTP proxy on a loopback port that connects by a Dialer. It decodes
// bodies that it can see, so that a small one can not inflate in the browser, and
// counts every byte.
type Proxy struct {
	dialer   *Dialer
	listener net.Listener
	server   *http.Server
	inside   *inside // nil without an Identity
	reverse  httputil.ReverseProxy
	idle     func() // closes connections that wait for another request
	end      context.CancelFunc
	loops    sync.WaitGroup
	work     sync.WaitGroup // requests under way

	limits  Limits
	in, out atomic.Int64 // bytes that may still come in, and go out, before the next Allow

	mu     sync.Mutex
	seen   Seen
	closed bool
}

// NewProxy starts a proxy on a listener, which it closes. Nothing passes before
// the first Allow.
func NewProxy(l net.Listener, d *Dialer, limits Limits) *Proxy {
	p := &Proxy{dialer: d, listener: l, limits: limits}
	t := transport(d)
	t.MaxIdleConnsPerHost, t.IdleConnTimeout = 6, 30*time.Second
	p.idle = t.CloseIdleConnections
	p.reverse = httputil.ReverseProxy{
		Rewrite: p.rewrite, Transport: checked{d.Rule, t}, ModifyResponse: p.receive, ErrorHandler: p.fail,
		FlushInterval: -1, // the browser is to see the headers of a body that never comes
		ErrorLog:      silent,
	}
	ctx, end := context.WithCancel(context.Background())
	p.end = end
	p.server = newServer(ctx, p)
	p.loops.Go(func() { p.server.Serve(l) })
	if limits.Identity != nil {
		p.inside = newInside(ctx, p)
		p.loops.Go(func() { p.inside.server.Serve(p.inside) })
	}
	return p
}

var silent = log.New(io.Discard, "", 0)

func newServer(ctx context.Context, h http.Handler) *http.Server {
	return &http.Server{BaseContext: func(net.Listener) context.Context { return ctx }, Handler: h,
		ReadHeaderTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 256 << 10, ErrorLog: silent}
}

// Addr is the proxy's host:port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Close ends the proxy and every connection through it.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.end()
	err := p.server.Close()
	if p.inside != nil {
		err = errors.Join(err, p.inside.server.Close())
	}
	p.loops.Wait()
	p.work.Wait()
	p.idle()
	return err
}

// Seen is what happened to requests since the last Allow.
type Seen struct {
	// Failed says why a request failed, by its address; for a tunnel by
	// host:port. Refused is the part of it that the rule did not allow.
	Failed  map[string]string
	Refused []string
	Cut     bool // a body, or all of them together, was too long
}

// maxNotes bounds what one page can make the proxy remember.
const maxNotes = 100

// Allow lets so many bytes in and out from now on, and forgets what was seen. Out
// go the bodies of requests, and all that is sent through tunnels.
func (p *Proxy) Allow(in, out int64) {
	p.in.Store(in)
	p.out.Store(out)
	p.mu.Lock()
	p.seen = Seen{Failed: map[string]string{}}
	p.mu.Unlock()
}

// Seen returns what was seen since Allow.
func (p *Proxy) Seen() Seen {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.seen
	s.Failed = maps.Clone(s.Failed)
	s.Refused = slices.Clone(s.Refused)
	return s
}

func (p *Proxy) note(address string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.seen.Failed == nil || len(p.seen.Failed) >= maxNotes {
		return
	}
	p.seen.Failed[address] = err.Error()
	var r *Refusal
	if errors.As(err, &r) {
		p.seen.Refused = append(p.seen.Refused, r.Error())
	}
}

func (p *Proxy) noteCut() {
	p.mu.Lock()
	p.seen.Cut = true
	p.mu.Unlock()
}

func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !p.begin() {
		return
	}
	defer p.work.Done()
	switch {
	case r.Method == http.MethodConnect && p.inside != nil:
		p.inside.open(w, r)
	case r.Method == http.MethodConnect:
		p.tunnel(w, r)
	case r.URL.Scheme == "http" && r.URL.Host != "":
		p.forward(w, r)
	default:
		http.Error(w, "this proxy takes http requests and CONNECT", http.StatusBadRequest)
	}
}

// begin counts a request, unless the proxy is closed.
func (p *Proxy) begin() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.work.Add(1)
	}
	return !p.closed
}

// forward sends a request where its address leads, within the limits.
func (p *Proxy) forward(w http.ResponseWriter, r *http.Request) {
	if err := p.permits(r); err != nil {
		p.fail(w, r, err)
		return
	}
	if !strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		r.Header.Del("Upgrade")
	}
	p.reverse.ServeHTTP(w, r)
}

// permits checks a request but for where it goes.
func (p *Proxy) permits(r *http.Request) error {
	method := r.Method
	if m := r.Header.Get("Access-Control-Request-Method"); method == http.MethodOptions && m != "" && r.ContentLength == 0 {
		method = m // the browser asks whether it may
	}
	if p.limits.Methods != nil && !slices.Contains(p.limits.Methods, method) {
		return &Refusal{r.URL.Host, "no page may use the method " + method}
	}
	if r.ContentLength > p.out.Load() {
		return tooMuch(r.URL.Host)
	}
	return nil
}

// rewrite makes the request that is sent of one that came.
func (p *Proxy) rewrite(r *httputil.ProxyRequest) {
	r.Out.URL.RawQuery = r.In.URL.RawQuery // as the page wrote it
	if r.Out.Header.Get("Accept-Encoding") != "" {
		r.Out.Header.Set("Accept-Encoding", "gzip")
	}
	r.Out.Header.Del("Sec-Websocket-Extensions") // they compress
	if r.Out.Body != nil && r.Out.Body != http.NoBody {
		r.Out.Body = sent{r.Out.Body, p, r.Out.URL.Host}
	}
}

// fail answers a request that was not sent, or got no answer.
func (p *Proxy) fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // the browser has gone away
	}
	err = plain(err)
	p.note(r.URL.String(), err)
	http.Error(w, err.Error(), statusOf(err))
}

func statusOf(err error) int {
	var r *Refusal
	if errors.As(err, &r) {
		return http.StatusForbidden
	}
	return http.StatusBadGateway
}

func tooMuch(host string) error {
	return &Refusal{host, "more would be sent than a page may send"}
}

// sent counts what goes out.
type sent struct {
	io.ReadCloser
	p    *Proxy
	host string
}

func (s sent) Read(b []byte) (int, error) {
	n, err := s.ReadCloser.Read(b)
	if s.p.out.Add(-int64(n)) < 0 {
		return 0, tooMuch(s.host)
	}
	return n, err
}

// receive has an answer counted and capped, and its body decoded.
func (p *Proxy) receive(resp *http.Response) error {
	if socket, ok := resp.Body.(io.ReadWriteCloser); ok && resp.StatusCode == http.StatusSwitchingProtocols {
		resp.Body = &conversation{socket, p, resp.Request.URL.Host}
		return nil
	}
	body, decoded, err := decode(resp)
	if err != nil {
		return err
	}
	if decoded {
		resp.Header.Del("Content-Encoding")
		resp.Header.Del("Content-Length")
	}
	resp.Body = &received{body: body, Closer: resp.Body, p: p, left: p.limits.Body, promised: !decoded && resp.ContentLength >= 0}
	return nil
}

// received is the body of an answer, as far as it may come in.
type received struct {
	body io.Reader
	io.Closer
	p        *Proxy
	left     int64
	promised bool // its length was told
}

func (r *received) Read(b []byte) (int, error) {
	n, err := r.body.Read(b)
	may := min(r.left, r.p.take(n))
	r.left -= int64(n)
	if int64(n) <= may {
		return n, err
	}
	r.p.noteCut()
	if r.promised {
		return 0, errCut // the connection ends: the promise can not be kept
	}
	return int(max(may, 0)), io.EOF
}

var errCut = errors.New("the body is longer than one may be")

// conversation is a WebSocket.
type conversation struct {
	io.ReadWriteCloser
	p    *Proxy
	host string
}

func (c *conversation) Read(b []byte) (int, error) {
	n, err := c.ReadWriteCloser.Read(b)
	if int64(n) > c.p.take(n) {
		c.p.noteCut()
		return 0, errCut
	}
	return n, err
}

func (c *conversation) Write(b []byte) (int, error) {
	if c.p.out.Add(-int64(len(b))) < 0 {
		err := tooMuch(c.host)
		c.p.note(c.host, err)
		return 0, err
	}
	return c.ReadWriteCloser.Write(b)
}

// take counts n bytes that come in, and returns how many still might.
func (p *Proxy) take(n int) int64 { return p.in.Add(-int64(n)) + int64(n) }
