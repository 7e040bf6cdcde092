package browser

import (
	_ "embed"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

//go:embed testdata/bypass.js
var bypassScript string

// TestBypass opens a page that tries to get past the wall in every way that is
// known. In a network where every address is this machine's and every packet is
// seen, nothing may go anywhere but to the page's server, in the jail and
// outside of one. What of it would arrive if it were allowed is seen first.
func TestBypass(t *testing.T) {
	if !inNetwork(t) {
		return
	}
	names, far := startNames(t), newForbidden(t)
	srv := httptest.NewServer(bypassSite(far.host))
	defer srv.Close()
	site := srv.Listener.Addr().String()
	packets := watchPackets("tcp "+site, "udp "+names.conn.LocalAddr().String())
	run := func(t *testing.T, nojail bool, allow ...string) (seen, asked map[string]int, tried string) {
		b, err := Open(t.Context(), Options{Allow: allow, JavaScript: true, Tokens: o200k})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		b.web.nojail, b.web.dialer.Lookup = nojail, names.lookup
		packets.take()
		names.take()
		far.take()
		r := open(t, b, srv.URL+"/")
		if r.Failed || !strings.Contains(r.Text, "tried all") {
			t.Fatalf("the page did not try: %+v", r)
		}
		time.Sleep(500 * time.Millisecond)
		seen = packets.take()
		if nojail {
			delete(seen, "tcp "+b.web.proxy.Addr())
		}
		return seen, names.take(), r.Text
	}
	c, err := net.Dial("udp", "10.9.8.7:53")
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(c, "x")
	c.Close()
	time.Sleep(100 * time.Millisecond)
	if seen := packets.take(); len(seen) != 1 || seen["udp 10.9.8.7:53"] == 0 {
		t.Fatalf("saw %v instead of a datagram", seen)
	}
	t.Run("allowed", func(t *testing.T) {
		seen, _, tried := run(t, false, site, far.host)
		arrived := far.take()
		t.Logf("%.60s… arrived: %d: %v", tried[strings.Index(tried, "tried all"):], len(arrived), slices.Sorted(maps.Keys(arrived)))
		if seen["tcp "+far.host] == 0 || len(arrived) < 60 {
			t.Errorf("only %d attempts arrive when they are allowed; seen %v", len(arrived), seen)
		}
	})
	for _, nojail := range []bool{false, true} {
		t.Run(fmt.Sprintf("nojail=%v", nojail), func(t *testing.T) {
			seen, asked, _ := run(t, nojail, site, "*.wild.test")
			if seen["tcp 93.184.216.34:80"] == 0 || asked["rebind.wild.test."] < 2 {
				t.Errorf("the name that changes was not tried twice: %v, %v", seen, asked)
			}
			delete(seen, "tcp 93.184.216.34:80") // where it is allowed to lead
			if len(seen) > 0 {
				t.Errorf("leaked to %v", seen)
			}
			for name := range asked {
				if !strings.HasSuffix(name, ".wild.test.") {
					t.Errorf("asked for %s", name)
				}
			}
			if arrived := far.take(); len(arrived) > 0 {
				t.Errorf("arrived: %v", arrived)
			}
			t.Logf("asked for %v", slices.Sorted(maps.Keys(asked)))
		})
	}
}

// forbidden is a server that writes down what reaches it.
type forbidden struct {
	host string

	mu   sync.Mutex
	seen map[string]int // by the first part of the path
}

func newForbidden(t *testing.T) *forbidden {
	f := &forbidden{seen: map[string]int{}}
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: f}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	_, port, _ := net.SplitHostPort(l.Addr().String())
	f.host = "127.0.0.1:" + port
	return f
}

func (f *forbidden) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.seen[strings.Split(r.URL.Path, "/")[1]]++
	f.mu.Unlock()
	w.Header().Set("Access-Control-Allow-Origin", "*")
}

func (f *forbidden) take() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := f.seen
	f.seen = map[string]int{}
	return out
}

// bypassSite serves the page, and headers that make a browser send something.
func bypassSite(host string) http.Handler {
	to := "http://" + host + "/"
	header := func(name, value string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set(name, value)
			w.Header().Set("Content-Type", "text/html")
			io.WriteString(w, "<p>x<img src=/nothing>")
		}
	}
	body := func(kind, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", kind)
			io.WriteString(w, text)
		}
	}
	turn := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to+r.URL.RawQuery, status) }
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "text/html")
		h.Set("Link", "<"+to+"link>; rel=preconnect, <"+to+"linkpreload>; rel=preload; as=image, <"+to+"linkprefetch>; rel=prefetch")
		h.Set("Reporting-Endpoints", `default="`+to+`defaultreport"`)
		h.Set("NEL", `{"report_to": "default", "max_age": 1000, "success_fraction": 1.0}`)
		io.WriteString(w, "<body><script>"+strings.ReplaceAll(bypassScript, "HOST", host)+"</script><img src=/hold>")
	})
	mux.HandleFunc("/hold", func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(3 * time.Second):
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("/turn", turn(http.StatusFound))
	mux.HandleFunc("/turn307", turn(http.StatusTemporaryRedirect))
	mux.HandleFunc("/turnfile", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "file:///etc/passwd")
		w.WriteHeader(http.StatusFound)
	})
	mux.HandleFunc("/refresh", header("Refresh", "0; url="+to+"refreshheader"))
	mux.HandleFunc("/early", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "<"+to+"early>; rel=preload; as=image")
		w.WriteHeader(http.StatusEarlyHints)
	})
	mux.HandleFunc("/altsvc", header("Alt-Svc", `h3="`+host+`"; ma=1000, h2="`+host+`"; ma=1000`))
	mux.HandleFunc("/nel", header("Report-To", `{"group": "default", "max_age": 1000, "endpoints": [{"url": "`+to+`nel"}]}`))
	mux.HandleFunc("/speculation", header("Speculation-Rules", `"/rules.json"`))
	mux.HandleFunc("/csp", header("Content-Security-Policy", "default-src 'none'; report-uri "+to+"csp"))
	mux.HandleFunc("/reports", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Reporting-Endpoints", `default="`+to+`reports"`)
		w.Header().Set("Permissions-Policy", `geolocation=();report-to=default`)
		w.Header().Set("Cross-Origin-Embedder-Policy", `require-corp; report-to="default"`)
		w.Header().Set("Content-Security-Policy", "img-src 'none'; report-to default")
		body("text/html", "<img src=/x><script>navigator.geolocation.getCurrentPosition(() => 0); document.write('x')</script>")(w, r)
	})
	mux.HandleFunc("/rules.json", body("application/speculationrules+json", `{"prefetch": [{"urls": ["`+to+`specheader"], "eagerness": "immediate"}]}`))
	mux.HandleFunc("/manifest", body("application/manifest+json", `{"name": "x", "start_url": "/", "icons": [{"src": "`+to+`manifesticon", "sizes": "192x192"}]}`))
	mux.HandleFunc("/sw.js", body("text/javascript", "fetch('"+to+"service',{mode:'no-cors'});new WebSocket('ws://"+host+"/servicesocket');importScripts('"+to+"serviceimport')"))
	mux.HandleFunc("/actions.pdf", body("application/pdf", actionsPDF(to)))
	return mux
}

// actionsPDF is a document that wants addresses opened when it is shown.
func actionsPDF(to string) string {
	return "%PDF-1.7\n1 0 obj<</Type/Catalog/Pages 2 0 R/OpenAction<</S/URI/URI(" + to + "pdf)/Next<</S/JavaScript/JS(app.launchURL('" + to + "pdfscript');this.submitForm('" + to +
		"pdfform'))>>>>/AA<</WC<</S/URI/URI(" + to + "pdfclose)>>>>>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n" +
		"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 100 100]/AA<</O<</S/SubmitForm/F<</FS/URL/F(" + to + "pdfsubmit)>>>>>>>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
}
