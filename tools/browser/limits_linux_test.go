package browser

import (
	"compress/gzip"
	"crypto/x509"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"chorale/internal/wall"
)

// busyPage uses methods, and reads bodies, from everywhere that a script can run,
// and says how each ended: "tab POST refused".
const busyPage = `<!doctype html><title>Busy</title><pre id=out></pre><img src=/hold><script>
const everything = ` + "`" + `async where => {
	const lines = [];
	for (const method of ["GET", "POST", "PUT", "DELETE", "PATCH"]) {
		let status;
		try { status = (await fetch("/at?" + where, {method})).status } catch { status = 0 }
		lines.push(where + " " + method + " " + (status == 200 ? "done" : "refused"));
	}
	const body = {tab: "bomb", worker: "promised", service: "long"}[where];
	if (body) {
		let n = 0, end = "whole";
		try {
			const r = (await fetch("/" + body)).body.getReader();
			for (;;) { const {done, value} = await r.read(); if (done) break; n += value.length }
		} catch { end = "broken" }
		lines.push(where + " " + body + " " + (n > 16 << 20 ? "over" : n > 1 << 20 ? "cut" : "nothing") + " " + end);
	}
	return lines.join(" | ");
}` + "`" + `;
const run = "(" + everything + ")";
const script = send => URL.createObjectURL(new Blob(["const at = '" + location.origin + "'; const old = fetch; fetch = (p, o) => old(at + p, o);" + send], {type: "text/javascript"}));
const heard = port => new Promise(done => port.onmessage = e => done(e.data));
(async () => {
	const say = text => document.getElementById("out").append(text + "\n");
	say(await eval(run)("tab"));
	say(await heard(new Worker(script(run + "('worker').then(postMessage)"))));
	say(await heard(new SharedWorker(script("onconnect = e => " + run + "('shared').then(t => e.ports[0].postMessage(t))")).port));
	const {active, waiting, installing} = await navigator.serviceWorker.register("/service.js");
	const channel = new MessageChannel(), answer = heard(channel.port1);
	(active || waiting || installing).postMessage(run + "('service')", [channel.port2]);
	say(await answer);
	say("tried all");
	fetch("/done");
})().catch(e => document.getElementById("out").append("failed: " + e));
</script>`

const serviceWorker = `onmessage = e => e.waitUntil(eval(e.data).then(text => e.ports[0].postMessage(text)))`

// TestPageLimits opens a page over http and over https that uses methods which it may
// not, and reads bodies that are too long, from its tab and from workers: none of
// it goes past the wall.
func TestPageLimits(t *testing.T) {
	needChromium(t)
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("https=%v", secure), func(t *testing.T) { testPageLimits(t, secure) })
	}
}

func testPageLimits(t *testing.T, secure bool) {
	var mu sync.Mutex
	arrived := map[string]int{}
	done := make(chan struct{})
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		length := bodyCap + 1<<20
		switch r.URL.Path {
		case "/at":
			mu.Lock()
			arrived[r.URL.RawQuery+" "+r.Method]++
			mu.Unlock()
		case "/hold": // the page is loading until it has tried
			select {
			case <-done:
			case <-r.Context().Done():
			}
		case "/done":
			close(done)
		case "/promised":
			w.Header().Set("Content-Length", strconv.Itoa(length))
			w.Write(make([]byte, length))
		case "/long":
			w.Write(make([]byte, length))
		case "/bomb":
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			z.Write(make([]byte, length))
			z.Close()
		case "/service.js":
			w.Header().Set("Content-Type", "text/javascript")
			io.WriteString(w, serviceWorker)
		default:
			w.Header().Set("Content-Type", "text/html")
			io.WriteString(w, busyPage)
		}
	}))
	srv.EnableHTTP2 = true
	if secure {
		srv.StartTLS()
	} else {
		srv.Start()
	}
	defer srv.Close()
	b, err := Open(t.Context(), Options{Allow: []string{srv.Listener.Addr().String()}, Methods: []string{"GET", "POST"}, JavaScript: true, Tokens: o200k})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if secure {
		trust(b, srv)
	}
	b.web.loadTime = time.Minute
	r := open(t, b, srv.URL+"/")
	if r.Failed || !strings.Contains(r.Text, "tried all") {
		t.Fatalf("the page did not try: %+v", r)
	}
	said := strings.Join(strings.Fields(regexp.MustCompile(`(?m)^L\d+:`).ReplaceAllString(r.Text, "")), " ") // lines may be cut anywhere
	want := map[string]int{}
	for _, where := range []string{"tab", "worker", "shared", "service"} {
		for method, end := range map[string]string{"GET": "done", "POST": "done", "PUT": "refused", "DELETE": "refused", "PATCH": "refused"} {
			if line := where + " " + method + " " + end; !strings.Contains(said, line) {
				t.Errorf("no %q in %s", line, said)
			}
			if end == "done" {
				want[where+" "+method] = 1
			}
		}
	}
	for _, line := range []string{"tab bomb cut whole", "worker promised cut broken", "service long cut whole"} {
		if !strings.Contains(said, line) {
			t.Errorf("no %q in %s", line, said)
		}
	}
	if !maps.Equal(arrived, want) {
		t.Errorf("arrived %v, want %v", arrived, want)
	}
}

// trust has a browser that was not used yet believe a server's certificate.
func trust(b *Browser, srv *httptest.Server) {
	w := b.web
	w.dialer.Roots = x509.NewCertPool()
	w.dialer.Roots.AddCert(srv.Certificate())
	w.client = wall.NewClient(w.dialer, bodyCap)
}
