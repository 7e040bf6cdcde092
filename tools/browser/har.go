package browser

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"chorale/internal/atomicfile"
	"chorale/internal/wall"
)

// har records what was requested, in the form of HAR 1.2, without bodies and
// without what logs somebody in. Of pages in Chromium it is what their windows
// ask for; workers are not seen.
type har struct {
	path string

	mu      sync.Mutex
	entries []*harEntry
	open    map[string]*harEntry // by the request's id
	dropped int
}

const (
	maxEntries = 10000
	maxHeader  = 4 << 10
)

type harEntry struct {
	Started  time.Time      `json:"startedDateTime"`
	Time     float64        `json:"time"` // ms
	Request  harRequest     `json:"request"`
	Response harResponse    `json:"response"`
	Cache    struct{}       `json:"cache"`
	Timings  map[string]any `json:"timings"`
	Kind     string         `json:"_resourceType,omitempty"`
	Error    string         `json:"_error,omitempty"`
	began    float64        // of the browser's clock, s
	answered float64
}

type harRequest struct {
	Method      string    `json:"method"`
	URL         string    `json:"url"`
	HTTPVersion string    `json:"httpVersion"`
	Cookies     []harPair `json:"cookies"`
	Headers     []harPair `json:"headers"`
	Query       []harPair `json:"queryString"`
	HeadersSize int       `json:"headersSize"`
	BodySize    int       `json:"bodySize"`
}

type harResponse struct {
	Status      int        `json:"status"`
	StatusText  string     `json:"statusText"`
	HTTPVersion string     `json:"httpVersion"`
	Cookies     []harPair  `json:"cookies"`
	Headers     []harPair  `json:"headers"`
	Content     harContent `json:"content"`
	Redirect    string     `json:"redirectURL"`
	HeadersSize int        `json:"headersSize"`
	BodySize    int64      `json:"bodySize"`
}

type harContent struct {
	Size int64  `json:"size"`
	Type string `json:"mimeType"`
}

type harPair struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func newHAR(path string) *har { return &har{path: path, open: map[string]*harEntry{}} }

// harMessage is what is used of the events of DevTools' Network domain.
type harMessage struct {
	RequestID string
	Timestamp float64
	WallTime  float64
	Type      string
	Request   struct {
		URL, Method string
		Headers     map[string]string
	}
	RedirectResponse, Response *harAnswer
	EncodedDataLength          float64
	ErrorText                  string
}

type harAnswer struct {
	Status               int
	StatusText, Protocol string
	MimeType             string
	Headers              map[string]string
}

// event takes an event of the browser.
func (h *har) event(method string, params []byte) {
	var m harMessage
	if json.Unmarshal(params, &m) != nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	e := h.open[m.RequestID]
	switch method {
	case "Network.requestWillBeSent":
		if e != nil && m.RedirectResponse != nil {
			e.answer(m.RedirectResponse, m.Timestamp)
			e.end(m.Timestamp)
		}
		h.begin(m)
	case "Network.responseReceived":
		if e != nil && m.Response != nil {
			e.answer(m.Response, m.Timestamp)
		}
	case "Network.loadingFinished", "Network.loadingFailed":
		if e != nil {
			e.Response.BodySize = int64(m.EncodedDataLength)
			e.Response.Content.Size = e.Response.BodySize
			e.Error = m.ErrorText
			e.end(m.Timestamp)
			delete(h.open, m.RequestID)
		}
	}
}

func (h *har) begin(m harMessage) {
	u, err := url.Parse(m.Request.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return
	}
	e := h.add(u, m.Request.Method, time.UnixMicro(int64(m.WallTime*1e6)))
	if e == nil {
		return
	}
	e.Kind, e.began = strings.ToLower(m.Type), m.Timestamp
	e.Request.Headers = headers(m.Request.Headers)
	h.open[m.RequestID] = e
}

// add makes an entry, unless there are too many.
func (h *har) add(u *url.URL, method string, started time.Time) *harEntry {
	if len(h.entries) >= maxEntries {
		h.dropped++
		return nil
	}
	e := &harEntry{Started: started.UTC(), Timings: map[string]any{"send": 0, "wait": 0, "receive": 0}}
	e.Request = harRequest{Method: method, URL: clip(u.String(), maxHeader), HTTPVersion: "unknown", Cookies: []harPair{}, Headers: []harPair{}, Query: []harPair{}, HeadersSize: -1, BodySize: -1}
	e.Response = harResponse{HTTPVersion: "unknown", Cookies: []harPair{}, Headers: []harPair{}, HeadersSize: -1, BodySize: -1}
	for name, values := range u.Query() {
		for _, v := range values {
			e.Request.Query = append(e.Request.Query, harPair{name, clip(v, maxHeader)})
		}
	}
	slices.SortStableFunc(e.Request.Query, func(a, b harPair) int { return strings.Compare(a.Name, b.Name) })
	h.entries = append(h.entries, e)
	return e
}

func (e *harEntry) answer(a *harAnswer, at float64) {
	e.Response.Status, e.Response.StatusText, e.Response.Content.Type = a.Status, a.StatusText, a.MimeType
	e.Response.Headers = headers(a.Headers)
	e.Response.HTTPVersion, e.Request.HTTPVersion = a.Protocol, a.Protocol
	for name, v := range a.Headers {
		if strings.EqualFold(name, "Location") {
			e.Response.Redirect = clip(v, maxHeader)
		}
	}
	e.answered = at
}

func (e *harEntry) end(at float64) {
	e.Time = max(0, at-e.began) * 1000
	if e.answered == 0 {
		e.answered = at
	}
	e.Timings["wait"] = max(0, e.answered-e.began) * 1000
	e.Timings["receive"] = max(0, at-e.answered) * 1000
}

// fetched records what our own client has read.
func (h *har) fetched(u *url.URL, started time.Time, d *wall.Document, err error) {
	if h == nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	e := h.add(u, http.MethodGet, started)
	if e == nil {
		return
	}
	e.Kind = "document"
	e.Time = float64(time.Since(started).Microseconds()) / 1000
	e.Timings["wait"] = e.Time
	if err != nil {
		e.Error = err.Error()
		return
	}
	e.Response.Status, e.Response.StatusText = d.Status, http.StatusText(d.Status)
	e.Response.Content = harContent{Size: int64(len(d.Body)), Type: d.Type}
	if d.URL != u.String() {
		e.Response.Redirect = d.URL
	}
}

// withheld are the headers that log somebody in.
var withheld = []string{"cookie", "set-cookie", "authorization", "proxy-authorization"}

func headers(m map[string]string) []harPair {
	out := []harPair{}
	for name, value := range m {
		if slices.Contains(withheld, strings.ToLower(name)) {
			value = "[left out]"
		}
		out = append(out, harPair{name, clip(value, maxHeader)})
	}
	slices.SortFunc(out, func(a, b harPair) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// write makes the file.
func (h *har) write() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	type log struct {
		Version string            `json:"version"`
		Creator map[string]string `json:"creator"`
		Entries []*harEntry       `json:"entries"`
		Comment string            `json:"comment,omitempty"`
	}
	l := log{Version: "1.2", Creator: map[string]string{"name": "chorale", "version": "1"}, Entries: h.entries}
	if l.Entries == nil {
		l.Entries = []*harEntry{}
	}
	if h.dropped > 0 {
		l.Comment = fmt.Sprintf("%d more requests were left out", h.dropped)
	}
	b, err := json.MarshalIndent(map[string]log{"log": l}, "", " ")
	if err != nil {
		return err
	}
	return atomicfile.Write(h.path, append(b, '\n'), 0o600)
}
