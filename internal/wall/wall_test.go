package wall

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func rule(t *testing.T, allow ...string) Rule {
	t.Helper()
	r, err := ParseRule(allow)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRule(t *testing.T) {
	cases := []struct {
		allow, url string
		ok         bool
	}{
		{"", "https://example.org/", false},
		{"example.org", "https://example.org/", true},
		{"example.org", "http://EXAMPLE.org./", true},
		{"example.org", "http://user:pw@example.org/", true},
		{"example.org", "https://www.example.org/", false},
		{"example.org", "https://example.org.evil.example/", false},
		{"example.org", "https://example.org:8443/", false},
		{"example.org", "http://example.org:443/", false},
		{"example.org:8443", "https://example.org:8443/", true},
		{"example.org:8443", "https://example.org/", false},
		{"https://example.org", "http://example.org/", false},
		{"http://example.org", "http://example.org/", true},
		{"*.example.org", "https://a.b.example.org/", true},
		{"*.example.org", "https://example.org/", false},
		{"*.example.org", "https://notexample.org/", false},
		{"*", "https://any.example/", true},
		{"*", "https://any.example:22/", false},
		{"*", "ftp://any.example/", false},
		{"*", "file:///etc/passwd", false},
		{"*", "http://0x7f.0.0.1/", false},
		{"*", "http://2130706433/", false},
		{"*", "http://127.1/", false},
		{"127.0.0.1:80", "http://[::ffff:127.0.0.1]/", true},
		{"[::1]:8080", "http://[::1]:8080/", true},
		{"bücher.example", "https://xn--bcher-kva.example/", true},
		{"xn--bcher-kva.example", "https://BÜCHER.example/", true},
		{"127.0.0.1", "http://127。0。0。1/", true}, // another way to write the dots
		{"*", "http://①27.0x0.1/", false},
		{"10.0.0.1", "http://10.0.0.2/", false},
	}
	for _, c := range cases {
		var allow []string
		if c.allow != "" {
			allow = []string{c.allow}
		}
		u, err := url.Parse(c.url)
		if err != nil {
			t.Fatal(err)
		}
		if err := rule(t, allow...).CheckURL(u); (err == nil) != c.ok {
			t.Errorf("allow %q, %s: %v", c.allow, c.url, err)
		}
	}
	for _, bad := range []string{"", "ftp://x", "a b", "x:0", "x:99999", "*x", "a.*", "http://", "1.2.3", "fe80::1%eth0"} {
		if _, err := ParseRule([]string{bad}); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

// What a rule allows beside others is what each of them allows.
func TestMeet(t *testing.T) {
	lists := [][]string{{}, {"*"}, {"a.example"}, {"https://a.example", "b.example:8080"}, {"*.example"}, {"127.0.0.1"}}
	var all []*url.URL
	for _, s := range []string{"https://a.example/", "http://a.example/", "http://b.example:8080/", "https://c.d.example/", "http://127.0.0.1/", "https://other.test/"} {
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, u)
	}
	for _, a := range lists {
		for _, b := range lists {
			for _, c := range lists {
				r := rule(t, a...).Meet(rule(t, b...)).Meet(rule(t, c...))
				for _, u := range all {
					want := rule(t, a...).CheckURL(u) == nil && rule(t, b...).CheckURL(u) == nil && rule(t, c...).CheckURL(u) == nil
					if got := r.CheckURL(u) == nil; got != want {
						t.Errorf("%v, %v and %v together on %s: %v", a, b, c, u, got)
					}
				}
				if want := rule(t, a...).All() && rule(t, b...).All() && rule(t, c...).All(); r.All() != want {
					t.Errorf("%v, %v and %v: all is %v", a, b, c, !want)
				}
			}
		}
	}
	for _, pair := range [][]string{{"127.0.0.1", "*"}, {"*", "127.0.0.1"}} {
		d := &Dialer{Rule: rule(t, pair[0]).Meet(rule(t, pair[1]))}
		var refused *Refusal
		if _, err := d.Dial(t.Context(), "http", "127.0.0.1:80"); !errors.As(err, &refused) {
			t.Errorf("%v: %v; both must name a private address", pair, err)
		}
	}
}

func TestRoutable(t *testing.T) {
	public := "1.1.1.1 8.8.8.8 93.184.216.34 2606:4700::1111 2a00:1450::1 ::ffff:8.8.8.8"
	private := "127.0.0.1 127.8.8.8 0.0.0.0 0.1.2.3 10.1.2.3 172.16.0.1 172.31.255.255 192.168.1.1 169.254.169.254 " +
		"100.64.0.1 192.0.0.1 192.0.2.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 240.0.0.1 255.255.255.255 " +
		"::1 :: fe80::1 fc00::1 fd12::1 ff02::1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 64:ff9b::7f00:1 2002:7f00:1:: " +
		"2001:db8::1 2001::1 3fff::1 ::127.0.0.1 100::1"
	for _, s := range strings.Fields(public) {
		if !Routable(netip.MustParseAddr(s)) {
			t.Errorf("%s is public", s)
		}
	}
	for _, s := range strings.Fields(private) {
		if Routable(netip.MustParseAddr(s)) {
			t.Errorf("%s is not public", s)
		}
	}
}

// counted is a listener that knows how many connections came.
func counted(t *testing.T) (addr string, count func() int) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	conns := make(chan net.Conn, 100)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
			conns <- c
		}
	}()
	return l.Addr().String(), func() int { return len(conns) }
}

// TestDialer resolves names to loopback: only a rule that names the host gets
// there.
func TestDialer(t *testing.T) {
	addr, count := counted(t)
	_, port, _ := net.SplitHostPort(addr)
	answers := map[string][]netip.Addr{
		"private.example":   {netip.MustParseAddr("127.0.0.1")},
		"mixed.example":     {netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("8.8.8.8")},
		"mapped.example":    {netip.MustParseAddr("::ffff:127.0.0.1")},
		"a.private.example": {netip.MustParseAddr("127.0.0.1")},
	}
	d := &Dialer{Rule: rule(t, "*:"+port), Lookup: func(_ context.Context, h string) ([]netip.Addr, error) { return answers[h], nil }}
	for _, host := range []string{"private.example", "mixed.example", "mapped.example", "127.0.0.1", "::1", "localhost", "127.1", "none.example"} {
		c, err := d.Dial(t.Context(), "http", net.JoinHostPort(host, port))
		if err == nil {
			c.Close()
			t.Errorf("%s: connected", host)
		}
	}
	d.Rule = rule(t, "*.private.example:"+port)
	if _, err := d.Dial(t.Context(), "http", "a.private.example:"+port); err == nil {
		t.Error("a star named a private host")
	}
	if count() != 0 {
		t.Errorf("%d connections leaked", count())
	}
	d.Rule = rule(t, "private.example:"+port)
	c, err := d.Dial(t.Context(), "http", "PRIVATE.example.:"+port)
	if err != nil {
		t.Fatalf("named host: %v", err)
	}
	c.Close()
}

// setUp serves pages, by https too, and a proxy that may reach them. The proxy
// looks into https.
func setUp(t *testing.T, secure bool, h http.Handler) (*httptest.Server, *Proxy, *http.Client) {
	srv := httptest.NewUnstartedServer(h)
	srv.EnableHTTP2, srv.Config.ErrorLog = true, silent
	d := &Dialer{Roots: x509.NewCertPool()}
	if secure {
		srv.StartTLS()
		d.Roots.AddCert(srv.Certificate())
	} else {
		srv.Start()
	}
	t.Cleanup(srv.Close)
	d.Rule = rule(t, srv.Listener.Addr().String())
	id, err := NewIdentity()
	if err != nil {
		t.Fatal(err)
	}
	p := startProxy(t, d, Limits{Body: 1 << 20, Methods: []string{"GET", "POST"}, Identity: id})
	p.Allow(16<<20, 1<<20)
	via, _ := url.Parse("http://" + p.Addr())
	tr := &http.Transport{Proxy: http.ProxyURL(via), DisableCompression: true, TLSClientConfig: pinned(id.Pin())}
	t.Cleanup(tr.CloseIdleConnections)
	return srv, p, &http.Client{Transport: tr, Timeout: 10 * time.Second}
}

func startProxy(t *testing.T, d *Dialer, limits Limits) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := NewProxy(l, d, limits)
	t.Cleanup(func() { p.Close() })
	return p
}

// pinned trusts a server by its key, and the rest of its certificate as a browser
// does.
func pinned(pin string) *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, VerifyConnection: func(s tls.ConnectionState) error {
		leaf := s.PeerCertificates[0]
		if sum := sha256.Sum256(leaf.RawSubjectPublicKeyInfo); base64.StdEncoding.EncodeToString(sum[:]) != pin {
			return errors.New("another key")
		}
		return leaf.VerifyHostname("127.0.0.1")
	}}
}

// connect asks a proxy for a connection, and does not wait for the answer.
func connect(t *testing.T, p *Proxy, host string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(conn, "CONNECT %s HTTP/1.1\r\nHost: %[1]s\r\n\r\n", host)
	return conn
}

// opening is a connection through a proxy that looks into it.
func opening(t *testing.T, p *Proxy, host string, secure bool) net.Conn {
	t.Helper()
	conn := connect(t, p, host)
	if _, err := io.ReadFull(conn, make([]byte, len(established))); err != nil {
		t.Fatal(err)
	}
	if secure {
		return tls.Client(conn, pinned(p.limits.Identity.Pin()))
	}
	return conn
}

// bothWays runs a test over http and over https.
func bothWays(t *testing.T, f func(t *testing.T, secure bool)) {
	t.Run("http", func(t *testing.T) { f(t, false) })
	t.Run("https", func(t *testing.T) { f(t, true) })
}

func TestProxy(t *testing.T) { bothWays(t, testProxy) }

func testProxy(t *testing.T, secure bool) {
	other, count := counted(t)
	srv, p, c := setUp(t, secure, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/bomb":
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			for range 8 {
				z.Write(make([]byte, 1<<20))
			}
			z.Close()
		case "/long":
			w.Write(make([]byte, 2<<20))
		case "/promised":
			w.Header().Set("Content-Length", strconv.Itoa(2<<20))
			w.Write(make([]byte, 2<<20))
		case "/away":
			http.Redirect(w, r, "http://"+other+"/", http.StatusFound)
		default:
			io.WriteString(w, "hello "+r.Header.Get("Connection")+r.URL.RawQuery)
		}
	}))
	get := func(u string) (int, string) {
		resp, err := c.Get(u)
		if err != nil {
			return 0, ""
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(b)
	}
	if code, body := get(srv.URL + "/?a=1;b=%zz"); code != 200 || body != "hello a=1;b=%zz" {
		t.Errorf("allowed page: %d %q", code, body)
	}
	if code, body := get("http://" + other + "/"); code != 403 || !strings.Contains(body, "not allowed") {
		t.Errorf("other port: %d %q", code, body)
	}
	if code, _ := get(srv.URL + "/away"); code != 403 {
		t.Errorf("redirect: %d", code)
	}
	if count() != 0 {
		t.Errorf("%d connections leaked", count())
	}
	if seen := p.Seen(); len(seen.Refused) != 2 || seen.Failed["http://"+other+"/"] == "" || seen.Cut {
		t.Errorf("seen %+v", seen)
	}
	for _, path := range []string{"/bomb", "/long", "/promised"} {
		p.Allow(16<<20, 0)
		if _, body := get(srv.URL + path); len(body) == 0 || len(body) > 1<<20 {
			t.Errorf("%s gave %d bytes", path, len(body))
		}
		if !p.Seen().Cut {
			t.Errorf("%s: a cut body was not noted", path)
		}
	}
	p.Allow(3, 0)
	if _, body := get(srv.URL + "/"); len(body) > 3 {
		t.Errorf("budget of 3 bytes gave %q", body)
	}
}

// TestOpen says things on connections that the proxy opened which a browser would
// not: nothing but what the limits allow may come of it.
func TestOpen(t *testing.T) {
	srv, p, c := setUp(t, true, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Proto+" "+r.Method+" for "+r.Host)
	}))
	host := srv.Listener.Addr().String()
	say := func(secure bool, text string) string {
		t.Helper()
		conn := opening(t, p, host, secure)
		io.WriteString(conn, text)
		b, _ := io.ReadAll(conn)
		return string(b)
	}
	for _, one := range []struct{ text, want string }{
		{"GET / HTTP/1.0\r\nHost: " + host, "HTTP/2.0 GET for " + host},
		{"GET / HTTP/1.0\r\nHost: other.example", "other.example is not allowed"},
		{"GET https://other.example/ HTTP/1.0\r\nHost: " + host, "no proxy"},
		{"CONNECT other.example:443 HTTP/1.0\r\nHost: " + host, "no proxy"},
		{"DELETE / HTTP/1.0\r\nHost: " + host, "method DELETE"},
		{"OPTIONS / HTTP/1.0\r\nHost: " + host, "method OPTIONS"},
		{"OPTIONS / HTTP/1.0\r\nAccess-Control-Request-Method: DELETE\r\nHost: " + host, "method DELETE"},
		{"OPTIONS / HTTP/1.0\r\nAccess-Control-Request-Method: POST\r\nHost: " + host, "OPTIONS for " + host},
		{"what is this", "400 Bad Request"},
	} {
		if got := say(true, one.text+"\r\n\r\n"); !strings.Contains(got, one.want) {
			t.Errorf("%q got %q", one.text, got)
		}
	}
	if got := say(false, "SSH-2.0-x\r\n\r\n"); !strings.Contains(got, "400 Bad Request") {
		t.Errorf("another protocol got %q", got)
	}
	strange := startProxy(t, &Dialer{Rule: p.dialer.Rule, Roots: x509.NewCertPool()}, p.limits)
	strange.Allow(1<<20, 0)
	via, _ := url.Parse("http://" + strange.Addr())
	c.Transport.(*http.Transport).Proxy = http.ProxyURL(via)
	c.CloseIdleConnections()
	resp, err := c.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, _ := io.ReadAll(resp.Body); resp.StatusCode != 502 || !strings.Contains(string(b), "not signed by a known authority") {
		t.Errorf("a server that nobody vouches for: %d %s", resp.StatusCode, b)
	}
	if seen := strange.Seen(); seen.Failed[srv.URL+"/"] == "" {
		t.Errorf("seen %+v", seen)
	}
}

// TestProxyWebSocket talks through a proxy until more is said than may be.
func TestProxyWebSocket(t *testing.T) { bothWays(t, testProxyWebSocket) }

func testProxyWebSocket(t *testing.T, secure bool) {
	gone := make(chan struct{})
	srv, p, _ := setUp(t, secure, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(gone)
		if r.Header.Get("Sec-Websocket-Extensions") != "" {
			t.Error("it may compress")
		}
		near, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer near.Close()
		io.WriteString(near, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		io.Copy(near, rw)
	}))
	p.Allow(1<<20, 1000)
	host := srv.Listener.Addr().String()
	conn := opening(t, p, host, secure)
	fmt.Fprintf(conn, "GET /chat HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n", host)
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("got %+v, %v", resp, err)
	}
	echo := make([]byte, 900)
	conn.Write(bytes.Repeat([]byte("x"), 900))
	if _, err := io.ReadFull(r, echo); err != nil {
		t.Fatal(err)
	}
	conn.Write(bytes.Repeat([]byte("y"), 200))
	if b, _ := io.ReadAll(r); len(b) > 0 {
		t.Errorf("beyond the limit %d bytes came back", len(b))
	}
	if seen := p.Seen(); len(seen.Refused) != 1 {
		t.Errorf("seen %+v", seen)
	}
	<-gone
}

func TestProxyTunnel(t *testing.T) {
	srv, p := setUpTunnel(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "inside") }))
	other, count := counted(t)
	ask := func(target string) string {
		conn := connect(t, p, target)
		io.WriteString(conn, "GET / HTTP/1.0\r\n\r\n")
		b, _ := io.ReadAll(bufio.NewReader(conn))
		return string(b)
	}
	if got := ask(srv.Listener.Addr().String()); !strings.Contains(got, "200 Connection established") || !strings.HasSuffix(got, "inside") {
		t.Errorf("tunnel: %q", got)
	}
	if got := ask(other); !strings.Contains(got, "403") || count() != 0 {
		t.Errorf("refused tunnel: %q, %d connections", got, count())
	}
}

// setUpTunnel serves pages and a proxy that lets connections pass unseen.
func setUpTunnel(t *testing.T, h http.Handler) (*httptest.Server, *Proxy) {
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	p := startProxy(t, &Dialer{Rule: rule(t, srv.Listener.Addr().String())}, Limits{Body: 1 << 20})
	p.Allow(16<<20, 1<<20)
	return srv, p
}

func TestProxyTunnelUpload(t *testing.T) {
	var got atomic.Int64
	srv, p := setUpTunnel(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		got.Add(n)
	}))
	p.Allow(1<<20, 1000)
	conn := connect(t, p, srv.Listener.Addr().String())
	fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n%s", strings.Repeat("x", 100_000))
	io.ReadAll(conn)
	if got.Load() > 1000 {
		t.Errorf("%d bytes went through a tunnel that may take 1000", got.Load())
	}
}

// TestProxyUpload sends by each way as much as a page may send, and more.
func TestProxyUpload(t *testing.T) { bothWays(t, testProxyUpload) }

func testProxyUpload(t *testing.T, secure bool) {
	var got atomic.Int64
	srv, p, c := setUp(t, secure, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		got.Add(n)
	}))
	post := func(n int, known bool) int {
		got.Store(0)
		var body io.Reader = strings.NewReader(strings.Repeat("x", n))
		if !known {
			body = io.MultiReader(body)
		}
		resp, err := c.Post(srv.URL+"/up", "text/plain", body)
		if err != nil {
			return 0
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	for _, known := range []bool{true, false} {
		p.Allow(1<<20, 200_000)
		if code := post(150_000, known); code != 200 || got.Load() != 150_000 {
			t.Errorf("within the limit: status %d, %d bytes", code, got.Load())
		}
		if code := post(150_000, known); code == 200 || got.Load() > 50_000 {
			t.Errorf("beyond the limit: status %d, %d bytes", code, got.Load())
		}
		if seen := p.Seen(); len(seen.Refused) != 1 || !strings.Contains(seen.Refused[0], "more would be sent") {
			t.Errorf("seen %+v", seen)
		}
	}
	req, _ := http.NewRequest("DELETE", srv.URL+"/", nil)
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, _ := io.ReadAll(resp.Body); resp.StatusCode != 403 || !strings.Contains(string(b), "DELETE") {
		t.Errorf("method: %d %s", resp.StatusCode, b)
	}
}

func TestClient(t *testing.T) {
	other, count := counted(t)
	over := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/away":
			http.Redirect(w, r, "http://"+other+"/", http.StatusFound)
		case "/file":
			w.Header().Set("Content-Disposition", `attachment; filename="a.bin"`)
			w.Header().Set("Content-Length", "1000000")
		case "/half":
			w.Header().Set("Content-Length", "200")
			io.WriteString(w, "half")
		case "/silent":
			<-over
		case "/stalled":
			io.WriteString(w, "half")
			http.NewResponseController(w).Flush()
			<-over
		case "/drip":
			for range 6 {
				io.WriteString(w, "drop")
				http.NewResponseController(w).Flush()
				time.Sleep(200 * time.Millisecond)
			}
		default:
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			io.WriteString(w, strings.Repeat("x", 2000))
		}
	}))
	defer srv.Close()
	defer close(over)
	c := NewClient(&Dialer{Rule: rule(t, srv.Listener.Addr().String())}, 1000)
	get := func(path string) (*Document, error) {
		u, _ := url.Parse(srv.URL + path)
		return c.Get(t.Context(), u, func(d *Document) bool { return d.Name == "" })
	}
	if d, err := get("/"); err != nil || d.Type != "text/plain" || len(d.Body) != 1000 || !d.Cut {
		t.Errorf("got %+v, %v", d, err)
	}
	if d, err := get("/half"); err != nil || string(d.Body) != "half" || d.Cut || !errors.Is(d.Broke, io.ErrUnexpectedEOF) {
		t.Errorf("half: %+v, %v", d, err)
	}
	c.Time = 600 * time.Millisecond
	const late = "the server took longer than 600ms"
	if _, err := get("/silent"); err == nil || err.Error() != late {
		t.Errorf("silent: %v", err)
	}
	for _, path := range []string{"/stalled", "/drip"} {
		if d, err := get(path); err != nil || !strings.HasPrefix(string(d.Body), "half") && path == "/stalled" || d.Cut || d.Broke == nil || d.Broke.Error() != late {
			t.Errorf("%s: %+v, %v", path, d, err)
		}
	}
	u, _ := url.Parse(srv.URL + "/drip")
	if d, body, err := c.Open(t.Context(), u, nil); err != nil {
		t.Error(err)
	} else {
		body.Unhurried()
		if err := d.Read(body, 1000); err != nil || string(d.Body) != strings.Repeat("drop", 6) || d.Broke != nil {
			t.Errorf("unhurried: %+v, %v", d, err)
		}
		body.Close()
	}
	if d, err := get("/file"); err != nil || d.Name != "a.bin" || d.Size != 1000000 || d.Body != nil {
		t.Errorf("got %+v, %v", d, err)
	}
	if _, err := get("/loop"); err == nil || !strings.Contains(err.Error(), "too many redirects") {
		t.Errorf("loop: %v", err)
	}
	var refusal *Refusal
	if _, err := get("/away"); !errors.As(err, &refusal) || count() != 0 {
		t.Errorf("away: %v, %d connections", err, count())
	}
}

// The rule of an address allows its origin alone, also by redirect.
func TestOrigin(t *testing.T) {
	far := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the far server was reached") }))
	defer far.Close()
	near := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/away" {
			http.Redirect(w, r, far.URL, http.StatusTemporaryRedirect)
		}
	}))
	defer near.Close()
	u, err := url.Parse(near.URL)
	if err != nil {
		t.Fatal(err)
	}
	only, err := Origin(u)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: Transport(&Dialer{Rule: only})}
	resp, err := client.Get(near.URL + "/here")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	var refusal *Refusal
	if _, err := client.Get(near.URL + "/away"); !errors.As(err, &refusal) {
		t.Errorf("the redirect got %v", err)
	}
	if _, err := Origin(&url.URL{Scheme: "https"}); err == nil {
		t.Error("no host, and a rule")
	}
}
