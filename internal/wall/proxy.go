package wall

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Limits say what may pass a proxy, of what it can see: requests of plain HTTP.
type Limits struct {
	Body    int64    // bytes of an answer's body, decoded; the rest is cut off
	Methods []string // of requests; nil: any
}

// A Proxy is the only way out of a browser, or of a program with a network of
// its own: an HTTP proxy on a loopback port that connects by a Dialer. It decodes
// bodies that it can see, so that a small one can not inflate in the browser, and
// counts every byte.
type Proxy struct {
	dialer    *Dialer
	listener  net.Listener
	server    *http.Server
	transport *http.Transport
	done      chan struct{}
	end       context.CancelFunc
	work      sync.WaitGroup // requests under way

	limits  Limits
	in, out atomic.Int64 // bytes that may still come in, and go out, before the next Allow

	mu      sync.Mutex
	seen    Seen
	closed  bool
	tunnels map[net.Conn]struct{}
}

// NewProxy starts a proxy on a listener, which it closes. Nothing passes before
// the first Allow.
func NewProxy(l net.Listener, d *Dialer, limits Limits) *Proxy {
	p := &Proxy{dialer: d, listener: l, done: make(chan struct{}), limits: limits, tunnels: map[net.Conn]struct{}{}}
	p.transport = &http.Transport{
		DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			return d.Dial(ctx, "http", addr)
		},
		DisableCompression:  true,
		MaxIdleConnsPerHost: 4,
		IdleConnTimeout:     30 * time.Second,
	}
	ctx, end := context.WithCancel(context.Background())
	p.end = end
	p.server = &http.Server{BaseContext: func(net.Listener) context.Context { return ctx },
		Handler: p, ReadHeaderTimeout: 30 * time.Second, MaxHeaderBytes: 256 << 10,
		ErrorLog: log.New(io.Discard, "", 0)}
	go func() {
		defer close(p.done)
		p.server.Serve(l)
	}()
	return p
}

// Addr is the proxy's host:port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Close ends the proxy and every connection through it.
func (p *Proxy) Close() error {
	p.end()
	err := p.server.Close()
	p.mu.Lock()
	p.closed = true
	for c := range p.tunnels {
		c.Close()
	}
	p.mu.Unlock()
	<-p.done
	p.work.Wait()
	p.transport.CloseIdleConnections()
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
	if r.Method == http.MethodConnect {
		p.tunnel(w, r)
		return
	}
	if r.URL.Scheme != "http" || r.URL.Host == "" {
		http.Error(w, "this proxy takes http requests and CONNECT", http.StatusBadRequest)
		return
	}
	if err := p.permits(r); err != nil {
		p.note(r.URL.String(), err)
		http.Error(w, err.Error(), http.StatusForbidden)
		return
	}
	out := r.Clone(r.Context())
	out.RequestURI = ""
	if r.Body != nil && r.Body != http.NoBody {
		out.Body = sent{r.Body, p, r.URL.Host}
	}
	dropHopByHop(out.Header)
	if out.Header.Get("Accept-Encoding") != "" {
		out.Header.Set("Accept-Encoding", "gzip")
	}
	resp, err := p.transport.RoundTrip(out)
	if err != nil {
		if r.Context().Err() != nil {
			return // the browser has gone away
		}
		p.note(r.URL.String(), err)
		http.Error(w, err.Error(), statusOf(err))
		return
	}
	defer resp.Body.Close()
	p.relay(w, resp)
}

// permits checks a request but for where it goes.
func (p *Proxy) permits(r *http.Request) error {
	if p.limits.Methods != nil && !slices.Contains(p.limits.Methods, r.Method) {
		return &Refusal{r.URL.Host, "no page may use the method " + r.Method}
	}
	if r.ContentLength > p.out.Load() {
		return tooMuch(r.URL.Host)
	}
	return nil
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

// begin counts a request, unless the proxy is closed.
func (p *Proxy) begin() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.work.Add(1)
	}
	return !p.closed
}

func statusOf(err error) int {
	var r *Refusal
	if errors.As(err, &r) {
		return http.StatusForbidden
	}
	return http.StatusBadGateway
}

// relay passes a response on as it comes in, decoded and capped.
func (p *Proxy) relay(w http.ResponseWriter, resp *http.Response) {
	dropHopByHop(resp.Header)
	body, decoded, err := decode(resp)
	if err != nil {
		p.note(resp.Request.URL.String(), err)
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	for k, v := range resp.Header {
		w.Header()[k] = v
	}
	if decoded {
		w.Header().Del("Content-Encoding")
		w.Header().Del("Content-Length")
	}
	w.WriteHeader(resp.StatusCode)
	flush := http.NewResponseController(w)
	flush.Flush() // the browser is to see the headers of a body that never comes
	buf := make([]byte, 32<<10)
	left := p.limits.Body
	for {
		n, err := body.Read(buf)
		if int64(n) > left || !p.take(n) {
			p.noteCut()
			if !decoded && resp.ContentLength >= 0 {
				panic(http.ErrAbortHandler) // what was promised can not be kept
			}
			w.Write(buf[:min(int64(n), left)])
			return
		}
		left -= int64(n)
		if _, werr := w.Write(buf[:n]); werr != nil {
			return
		}
		if err != nil {
			if err != io.EOF {
				panic(http.ErrAbortHandler)
			}
			return
		}
		flush.Flush()
	}
}

// take counts n bytes that come in and reports whether they were still allowed.
func (p *Proxy) take(n int) bool { return p.in.Add(-int64(n)) >= 0 }

// decode undoes the encoding that we ask for. Another one is refused: what it
// inflates to could not be capped.
func decode(resp *http.Response) (body io.Reader, decoded bool, err error) {
	switch e := strings.ToLower(resp.Header.Get("Content-Encoding")); e {
	case "", "identity":
		return resp.Body, false, nil
	case "gzip", "x-gzip":
		z, err := gzip.NewReader(resp.Body)
		if err != nil {
			return nil, false, fmt.Errorf("the body is not gzip as it says: %w", err)
		}
		return z, true, nil
	default:
		return nil, false, fmt.Errorf("the server sent the encoding %q, which was not asked for", e)
	}
}

// tunnel connects the browser to a server without seeing what they say.
func (p *Proxy) tunnel(w http.ResponseWriter, r *http.Request) {
	scheme := "https"
	if strings.HasSuffix(r.Host, ":80") { // a plain WebSocket
		scheme = "http"
	}
	far, err := p.dialer.Dial(r.Context(), scheme, r.Host)
	var refusal *Refusal
	if errors.As(err, &refusal) { // a plain WebSocket on another port
		far, err = p.dialer.Dial(r.Context(), "http", r.Host)
	}
	if err != nil {
		p.note(r.Host, err)
		http.Error(w, err.Error(), statusOf(err))
		return
	}
	near, rest, err := http.NewResponseController(w).Hijack()
	if err != nil {
		far.Close()
		return
	}
	p.keep(near, far)
	defer p.drop(near, far)
	if _, err := io.WriteString(near, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		first := io.LimitReader(rest, int64(rest.Reader.Buffered()))
		if _, err := io.Copy(far, sent{io.NopCloser(io.MultiReader(first, near)), p, r.Host}); errors.As(err, &refusal) {
			p.note(r.Host, err)
			far.Close()
		}
		closeWrite(far)
	})
	buf := make([]byte, 32<<10)
	for {
		n, err := far.Read(buf)
		if n > 0 && !p.take(n) {
			p.noteCut()
			break
		}
		if _, werr := near.Write(buf[:n]); err != nil || werr != nil {
			break
		}
	}
	near.Close()
	far.Close()
	wg.Wait()
}

func closeWrite(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		t.CloseWrite()
	}
}

func (p *Proxy) keep(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		if p.closed {
			c.Close()
		}
		p.tunnels[c] = struct{}{}
	}
}

func (p *Proxy) drop(conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		c.Close()
		delete(p.tunnels, c)
	}
}

func dropHopByHop(h http.Header) {
	for _, list := range h["Connection"] {
		for name := range strings.SplitSeq(list, ",") {
			h.Del(strings.TrimSpace(name))
		}
	}
	for _, name := range []string{"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate",
		"Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade"} {
		h.Del(name)
	}
}
