package hub

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// bearer shows the token to the hub's own host. It sits below the redirects, so
// that no other host can be sent it.
type bearer struct {
	hub   *url.URL
	token string
	next  http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	if b.token != "" && r.URL.Scheme == b.hub.Scheme && r.URL.Host == b.hub.Host {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+b.token)
	}
	return b.next.RoundTrip(r)
}

func (c *Client) checkRedirect(r *http.Request, via []*http.Request) error {
	switch {
	case len(via) >= 10:
		return errors.New("10 redirects in a row")
	case r.URL.Scheme != "https" && !(c.base.Scheme == "http" && loopback(r.URL)):
		return fmt.Errorf("a redirect to %s://%s, which is not encrypted, is refused", r.URL.Scheme, r.URL.Host)
	case r.Method == http.MethodHead && r.URL.Host != c.base.Host:
		return http.ErrUseLastResponse // what the hub says of the file stands before the redirect
	}
	return nil
}

// do sends a request and returns a response with status 200, 206, or for HEAD a
// redirect. The body must be read through the returned response; a request that
// brings no byte for a while is ended. end must be called.
func (c *Client) do(ctx context.Context, method string, u *url.URL, header http.Header) (_ *http.Response, end func(), err error) {
	if err := c.gate.pass(ctx); err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	w := &watchdog{limit: c.stall}
	w.timer = time.AfterFunc(c.stall, func() { cancel(errStalled) })
	stop := func() { w.timer.Stop(); cancel(nil) }
	defer func() {
		if err != nil {
			stop()
		}
	}()
	r, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, nil, err
	}
	for k, v := range header {
		r.Header[k] = v
	}
	r.Header.Set("User-Agent", c.agent)
	r.Header.Set("Accept-Encoding", "identity") // lengths and ranges are those of the file
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, nil, c.transportError(ctx, err)
	}
	if resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusPartialContent || method == http.MethodHead && resp.StatusCode/100 == 3 {
		w.body, w.ctx = resp.Body, ctx
		resp.Body = w
		return resp, func() { resp.Body.Close(); stop() }, nil
	}
	defer resp.Body.Close()
	return nil, nil, c.statusOf(resp)
}

var errStalled = errors.New("no byte came for a while")

// watchdog is a body whose reader is not left waiting for ever.
type watchdog struct {
	body interface {
		Read([]byte) (int, error)
		Close() error
	}
	ctx   context.Context // the request's own, which says why it was ended
	timer *time.Timer
	limit time.Duration
}

func (w *watchdog) Read(b []byte) (int, error) {
	n, err := w.body.Read(b)
	if n > 0 {
		w.timer.Reset(w.limit)
	}
	if err != nil && errors.Is(err, context.Canceled) {
		err = context.Cause(w.ctx)
	}
	return n, err
}

func (w *watchdog) Close() error { return w.body.Close() }

// brokenError is a failure that another attempt may not have.
type brokenError struct {
	doing string
	err   error
}

func (e *brokenError) Error() string { return e.doing + ": " + e.err.Error() }
func (e *brokenError) Unwrap() error { return e.err }

// transportError is the error of a request that got no answer. The address is
// left out but for the host: addresses of files carry signatures.
func (c *Client) transportError(ctx context.Context, err error) error {
	host := c.base.Host
	var ue *url.Error
	if errors.As(err, &ue) {
		if u, e := url.Parse(ue.URL); e == nil {
			host = u.Host
		}
		err = ue.Err
	}
	if errors.Is(err, context.Canceled) {
		err = context.Cause(ctx)
	}
	err = fmt.Errorf("%s: %w", host, err)
	var certificate *tls.CertificateVerificationError
	var name *net.DNSError
	var network net.Error
	switch {
	case errors.As(err, &certificate), errors.As(err, &name) && name.IsNotFound:
		return err
	case errors.Is(err, errStalled), errors.As(err, &network), isBroken(err):
		return &brokenError{"connect", err}
	}
	return err
}

// statusError is an answer that is no file.
type statusError struct {
	host    string
	code    int
	message string        // the server's own words, without secrets
	wait    time.Duration // that it asks for; -1: it does not
	hub     bool          // the hub itself says so, not a host that it led to
}

func (e *statusError) Error() string {
	s := fmt.Sprintf("%s says %d %s", e.host, e.code, http.StatusText(e.code))
	if e.message != "" {
		s += " (" + e.message + ")"
	}
	return s
}

// maxMessage bounds what is repeated of a server's words.
const maxMessage = 200

func (c *Client) statusOf(resp *http.Response) error {
	message := cmp.Or(resp.Header.Get("X-Error-Message"), resp.Header.Get("X-Error-Code"))
	message = strings.Map(func(r rune) rune {
		if strconv.IsPrint(r) {
			return r
		}
		return -1
	}, c.secrets.Redact(message))
	return &statusError{
		host: resp.Request.URL.Host, code: resp.StatusCode, message: message[:min(len(message), maxMessage)],
		wait: waitOf(resp.Header, time.Now()), hub: resp.Request.URL.Host == c.base.Host,
	}
}

// reset is how the hub says when a rate limit ends: RateLimit: "api";r=0;t=55.
var reset = regexp.MustCompile(`;\s*t=(\d{1,6})`)

// waitOf is how long a server asks to be left alone, -1 if it does not.
func waitOf(h http.Header, now time.Time) time.Duration {
	after := h.Get("Retry-After")
	if s, err := strconv.Atoi(after); err == nil && s >= 0 {
		return time.Duration(min(s, 1e6)) * time.Second
	}
	if at, err := http.ParseTime(after); err == nil {
		return max(0, at.Sub(now))
	}
	if m := reset.FindStringSubmatch(h.Get("RateLimit")); m != nil {
		s, _ := strconv.Atoi(m[1]) // six digits
		return time.Duration(s) * time.Second
	}
	return -1
}

// again reports whether another attempt makes sense, and how long the server
// wants to be left alone first, -1 if it does not say.
func again(err error) (bool, time.Duration) {
	var status *statusError
	if errors.As(err, &status) {
		switch {
		case status.wait > maxWait:
			return false, -1
		case status.code == http.StatusTooManyRequests, status.code == http.StatusRequestTimeout, status.code >= 500:
			return true, status.wait
		case !status.hub && status.code == http.StatusForbidden:
			return true, -1 // an address that the hub signed has expired
		}
		return false, -1
	}
	var broken *brokenError
	return errors.As(err, &broken), -1
}

// maxWait is how long a server may ask to be left alone before it is an error.
const maxWait = 10 * time.Minute

// explain says what a person can do about a hub's refusal.
func explain(err error, repo, revision string) error {
	var s *statusError
	if !errors.As(err, &s) || !s.hub {
		return err
	}
	switch s.code {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		return fmt.Errorf("%w: there is no %s at %s, or it wants a token (models.token) of somebody who may read it", err, repo, revision)
	case http.StatusTooManyRequests:
		return fmt.Errorf("%w: try again in %v", err, max(s.wait, time.Minute).Round(time.Second))
	}
	return err
}

// retry tries until it works, the error is one that stays, or too many attempts
// in a row brought nothing. try says whether it brought something.
func (c *Client) retry(ctx context.Context, tries int, tell func(error, time.Duration), try func() (bool, error)) error {
	wait, left := c.first, tries
	for {
		gained, err := try()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if gained {
			wait, left = c.first, tries
		}
		more, asked := again(err)
		if left--; !more {
			return err
		} else if left <= 0 {
			return fmt.Errorf("%w (after %d attempts)", err, tries)
		}
		pause := wait/2 + rand.N(wait/2+1) // so that the parts don't come back all at once
		if asked >= 0 {
			pause = asked
			c.gate.close(asked) // all requests wait, not only this one
		}
		tell(err, pause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		wait = min(2*wait, 60*c.first)
	}
}

// gate keeps all requests back while a server wants to be left alone. Its zero
// value is open.
type gate struct {
	mu    sync.Mutex
	until time.Time
}

func (g *gate) close(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t := time.Now().Add(d); t.After(g.until) {
		g.until = t
	}
}

func (g *gate) pass(ctx context.Context) error {
	for {
		g.mu.Lock()
		d := time.Until(g.until)
		g.mu.Unlock()
		if d <= 0 {
			return nil
		}
		select {
		case <-time.After(d):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
