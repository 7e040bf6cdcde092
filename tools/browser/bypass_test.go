package browser

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// bypassScript tries what is known to go around a browser's request handling.
// H is a forbidden host:port on loopback, with a TCP and a UDP listener.
const bypassScript = `
const H = "HOST", U = "http://" + H + "/", done = [];
const tries = {
  fetch: () => fetch(U + "fetch", {mode: "no-cors"}),
  keepalive: () => fetch(U + "keepalive", {mode: "no-cors", keepalive: true}),
  xhr: () => { const x = new XMLHttpRequest(); x.open("GET", U + "xhr"); x.send(); },
  image: () => { new Image().src = U + "image"; },
  mapped: () => { new Image().src = "http://[::ffff:127.0.0.1]:" + H.split(":")[1] + "/mapped"; },
  octal: () => { new Image().src = "http://0177.0.0.1:" + H.split(":")[1] + "/octal"; },
  short: () => { new Image().src = "http://127.1:" + H.split(":")[1] + "/short"; },
  decimal: () => { new Image().src = "http://2130706433:" + H.split(":")[1] + "/decimal"; },
  zero: () => { new Image().src = "http://0:" + H.split(":")[1] + "/zero"; },
  localhost: () => { new Image().src = "http://localhost.:" + H.split(":")[1] + "/localhost"; },
  userinfo: () => { new Image().src = "http://" + location.host + "@" + H + "/userinfo"; },
  metadata: () => fetch("http://169.254.169.254/latest/", {mode: "no-cors"}),
  https: () => { new Image().src = "https://" + H + "/https"; },
  redirect: () => { new Image().src = "/redirect"; },
  script: () => add("script", {src: U + "script"}),
  module: () => import(U + "module"),
  css: () => add("link", {rel: "stylesheet", href: U + "css"}),
  font: () => { const f = new FontFace("f", "url(" + U + "font)"); f.load(); },
  cssurl: () => { document.body.style.background = "url(" + U + "cssurl)"; },
  svg: () => document.body.insertAdjacentHTML("beforeend", "<svg><image href='" + U + "svg'/><use href='" + U + "use#x'/></svg>"),
  prefetch: () => add("link", {rel: "prefetch", href: U + "prefetch"}),
  preload: () => add("link", {rel: "preload", as: "image", href: U + "preload"}),
  preconnect: () => add("link", {rel: "preconnect", href: U}),
  dns: () => add("link", {rel: "dns-prefetch", href: "//leak.example"}),
  icon: () => add("link", {rel: "icon", href: U + "icon"}),
  manifest: () => add("link", {rel: "manifest", href: U + "manifest"}),
  speculation: () => { const s = document.createElement("script"); s.type = "speculationrules";
    s.textContent = JSON.stringify({prefetch: [{urls: [U + "spec1"], eagerness: "immediate"}],
      prerender: [{urls: [U + "spec2"], eagerness: "immediate"}]}); document.head.append(s); },
  iframe: () => add("iframe", {src: U + "iframe"}),
  object: () => add("object", {data: U + "object"}),
  embed: () => add("embed", {src: U + "embed"}),
  media: () => add("video", {src: U + "media", autoplay: true, muted: true}),
  track: () => { const v = add("video", {}); v.append(Object.assign(document.createElement("track"), {src: U + "track", default: true})); },
  beacon: () => navigator.sendBeacon(U + "beacon", "x"),
  ping: () => { const a = add("a", {href: "#x", ping: U + "ping"}); a.click(); },
  form: () => { const f = add("form", {action: U + "form", method: "post", target: "f1"}); add("iframe", {name: "f1"}); f.submit(); },
  events: () => new EventSource(U + "events"),
  socket: () => new WebSocket("ws://" + H + "/socket"),
  wss: () => new WebSocket("wss://" + H + "/wss"),
  stream: () => new WebSocketStream("ws://" + H + "/stream"),
  transport: () => new WebTransport("https://" + H + "/transport"),
  popup: () => open(U + "popup"),
  noopener: () => open(U + "noopener", "_blank", "noopener"),
  worker: () => new Worker(URL.createObjectURL(new Blob(["fetch('" + U + "worker',{mode:'no-cors'});new WebSocket('ws://" + H + "')"]))),
  shared: () => new SharedWorker("data:text/javascript,fetch('" + U + "shared',{mode:'no-cors'})"),
  service: () => navigator.serviceWorker.register("/sw.js"),
  data: () => add("iframe", {src: "data:text/html,<img src='" + U + "data'>"}),
  blob: () => add("iframe", {src: URL.createObjectURL(new Blob(["<img src='" + U + "blob'>"], {type: "text/html"}))}),
  file: () => add("iframe", {src: "file:///etc/passwd"}),
  viewsource: () => open("view-source:" + U + "vs"),
  intent: () => add("iframe", {src: "intent://" + H + "/#Intent;scheme=http;end"}),
  download: () => { const a = add("a", {href: U + "download", download: "x", target: "f2"}); add("iframe", {name: "f2"}); a.click(); },
  paint: () => CSS.paintWorklet && CSS.paintWorklet.addModule(U + "paint"),
  audio: () => new AudioContext().audioWorklet.addModule(U + "audio"),
  wasm: () => WebAssembly.compileStreaming(fetch(U + "wasm", {mode: "no-cors"})),
  report: () => { new ReportingObserver(() => {}).observe(); fetch("/report"); },
  csp: () => { const m = document.createElement("iframe"); m.src = "/csp"; document.body.append(m); },
  stun: () => rtc("stun:" + H), turn: () => rtc("turn:" + H + "?transport=udp"), turntcp: () => rtc("turn:" + H + "?transport=tcp"),
  history: () => { const f = add("iframe", {src: "about:blank"}); f.contentWindow.location = U + "history"; },
  refresh: () => add("iframe", {srcdoc: "<meta http-equiv=refresh content='0;url=" + U + "refresh'>"}),
};
function add(tag, attrs) {
  const e = document.createElement(tag);
  for (const k in attrs) e.setAttribute(k, attrs[k] === true ? "" : attrs[k]);
  document.body.append(e);
  return e;
}
function rtc(url) {
  const p = new RTCPeerConnection({iceServers: [{urls: url, username: "u", credential: "c"}]});
  p.createDataChannel("d"); p.createOffer().then(o => p.setLocalDescription(o));
}
const report = document.createElement("p");
document.body.prepend(report);
for (const name in tries) {
  report.textContent = "tried " + done.length + ": " + done.join(" ") + ", then " + name;
  try { Promise.resolve(tries[name]()).catch(() => {}); done.push(name); } catch (e) { done.push(name + "!"); }
}
report.textContent = "tried all " + done.length + ": " + done.join(" ");
`

// TestBypass opens a page that tries to reach a forbidden address in every way
// it can. Nothing may arrive there, neither by TCP nor by UDP.
func TestBypass(t *testing.T) {
	needChromium(t)
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp", tcp.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	var leaks atomic.Int32
	go func() {
		for {
			c, err := tcp.Accept()
			if err != nil {
				return
			}
			leaks.Add(1)
			buf := make([]byte, 100)
			c.SetReadDeadline(time.Now().Add(time.Second))
			n, _ := c.Read(buf)
			t.Logf("TCP: %q", buf[:n])
			c.Close()
		}
	}()
	go func() {
		buf := make([]byte, 100)
		for {
			n, from, err := udp.ReadFrom(buf)
			if err != nil {
				return
			}
			leaks.Add(1)
			t.Logf("UDP from %v: %q", from, buf[:n])
		}
	}()
	host := tcp.Addr().String()
	end := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "<http://"+host+"/link>; rel=preconnect, <http://"+host+"/early>; rel=preload; as=image")
		w.Header().Set("Reporting-Endpoints", `default="http://`+host+`/reports"`)
		w.Header().Set("NEL", `{"report_to": "default", "max_age": 1000, "success_fraction": 1.0}`)
		switch r.URL.Path {
		case "/":
			w.Header().Set("Content-Type", "text/html")
			io.WriteString(w, "<body><script>"+strings.ReplaceAll(bypassScript, "HOST", host)+"</script><img src=/never>")
		case "/redirect":
			http.Redirect(w, r, "http://"+host+"/redirected", http.StatusFound)
		case "/sw.js":
			w.Header().Set("Content-Type", "text/javascript")
			fmt.Fprintf(w, "fetch('http://%s/sw',{mode:'no-cors'});new WebSocket('ws://%s/sw')", host, host)
		case "/csp":
			w.Header().Set("Content-Security-Policy", "default-src 'none'; report-uri http://"+host+"/csp")
			io.WriteString(w, "<img src=/x>")
		case "/never":
			select {
			case <-end:
			case <-r.Context().Done():
			}
		}
	}))
	defer srv.Close()
	defer close(end)
	b := openFor(t, srv, true)
	b.web.loadTime = 12 * time.Second
	r := open(t, b, srv.URL+"/")
	t.Logf("%s", r.Text)
	if r.Failed || !strings.Contains(r.Text, "tried all") {
		t.Errorf("the page did not try: %+v", r)
	}
	if seen := b.web.proxy.Seen(); len(seen.Refused) < 10 {
		t.Errorf("the proxy refused only %q", seen.Refused)
	}
	time.Sleep(time.Second)
	if n := leaks.Load(); n > 0 {
		t.Errorf("%d leaks", n)
	}
}
