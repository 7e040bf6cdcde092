package wall

import (
	"bufio"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// inside serves what is said on connections that a browser asked to be made for
// it: requests of https, and WebSockets. It is the listener of its own server,
// whose connections are given to it.
type inside struct {
	p      *Proxy
	server *http.Server
	conns  chan net.Conn
	ctx    context.Context // of the proxy's life
}

func newInside(ctx context.Context, p *Proxy) *inside {
	i := &inside{p: p, conns: make(chan net.Conn), ctx: ctx}
	i.server = newServer(ctx, i)
	i.server.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		scheme := "http"
		if t, ok := c.(*tls.Conn); ok {
			scheme, c = "https", t.NetConn()
		}
		return context.WithValue(ctx, originKey{}, origin(scheme, c.(*opened).target))
	}
	return i
}

func (i *inside) Accept() (net.Conn, error) {
	select {
	case c := <-i.conns:
		return c, nil
	case <-i.ctx.Done():
		return nil, net.ErrClosed
	}
}

func (i *inside) Close() error   { return nil }
func (i *inside) Addr() net.Addr { return i.p.listener.Addr() }

// opened is a connection of which the first bytes were looked at.
type opened struct {
	net.Conn
	from   *bufio.Reader
	target string // host:port, as the browser asked for it
}

func (o *opened) Read(b []byte) (int, error) { return o.from.Read(b) }

// open takes the place of the server that the browser wants to be connected to.
// Nothing is connected to before the browser has asked it for something.
func (i *inside) open(w http.ResponseWriter, r *http.Request) {
	name, _, _, err := i.p.dialer.check("", r.Host)
	if err != nil {
		i.p.note(r.Host, err)
		http.Error(w, err.Error(), statusOf(err))
		return
	}
	near, rest, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	stop := context.AfterFunc(r.Context(), func() { near.Close() })
	near.SetDeadline(time.Now().Add(i.server.ReadHeaderTimeout))
	conn, err := i.greet(&opened{near, rest.Reader, r.Host}, name)
	if !stop() || err != nil {
		near.Close()
		return
	}
	near.SetDeadline(time.Time{})
	select {
	case i.conns <- conn:
	case <-i.ctx.Done():
		near.Close()
	}
}

// greet says that the connection is there and finds out what is to be spoken on
// it: what does not begin with the first byte of TLS is a plain WebSocket, or is
// refused as what it is not.
func (i *inside) greet(c *opened, name string) (net.Conn, error) {
	if _, err := c.Write([]byte(established)); err != nil {
		return nil, err
	}
	first, err := c.from.Peek(1)
	if err != nil {
		return nil, err
	}
	const handshake = 22 // RFC 8446, section 5.1
	if first[0] != handshake {
		return c, nil
	}
	config, err := i.p.limits.Identity.server(name)
	if err != nil {
		i.p.note(c.target, err)
		return nil, err
	}
	return tls.Server(c, config), nil
}

type originKey struct{}

// origin is the scheme and host of addresses, without the scheme's own port.
func origin(scheme, hostport string) url.URL {
	own := map[string]string{"http": ":80", "https": ":443"}[scheme]
	return url.URL{Scheme: scheme, Host: strings.TrimSuffix(hostport, own)}
}

func (i *inside) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !i.p.begin() {
		return
	}
	defer i.p.work.Done()
	at := r.Context().Value(originKey{}).(url.URL)
	if r.Method == http.MethodConnect || r.URL.Host != "" {
		http.Error(w, "this is no proxy", http.StatusBadRequest)
		return
	}
	r.URL.Scheme, r.URL.Host = at.Scheme, at.Host
	// A server of many hosts could be asked for another than the one that is allowed.
	if !strings.EqualFold(r.Host, at.Host) {
		i.p.fail(w, r, &Refusal{r.Host, "it was asked for on a connection to " + at.Host})
		return
	}
	i.p.forward(w, r)
}
