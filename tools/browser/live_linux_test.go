package browser

import (
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"chorale/tools/browser/internal/vectors"
)

// hostileLive is what is told of pages that stay open and misbehave.
var hostileLive = map[string]string{
	"alert-storm":       `keeps opening dialogs`,
	"beforeunload-trap": `Trap`,
	"memory-hog":        `too much memory`,
	"popup-storm":       `Popups`,
	"reload-loop":       `moves on before it can be read`,
	"renderer-crash":    `Crash`,
	"spin-forever":      `its scripts never rest`,
	"stalled-body":      `was cut short`,
}

// TestHostileLive has hostile pages stay open, waits, acts on them, and leaves
// them for a harmless one.
func TestHostileLive(t *testing.T) {
	needChromium(t)
	host := &hostileHost{}
	srv := httptest.NewServer(host)
	defer srv.Close()
	b, err := Open(t.Context(), Options{Allow: []string{srv.Listener.Addr().String()}, JavaScript: true, Tokens: o200k, Pages: true, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	p := &pages{t, b, map[string]string{}}
	vectors.Each(t, testdata, func(t *testing.T, dir string) int {
		n := 0
		for _, name := range vectors.Names(filepath.Join(dir, "hostile")) {
			var c hostileCase
			at := filepath.Join(dir, "hostile", name)
			vectors.Decode(t, filepath.Join(at, "case.json"), &c)
			if hostileLive[c.Name] == "" {
				continue
			}
			n++
			t.Run(c.Name, func(t *testing.T) {
				p.T = t
				c.live(p, at, host, srv.URL)
			})
		}
		return n
	})
}

func (c *hostileCase) live(p *pages, dir string, host *hostileHost, url string) {
	end := make(chan struct{})
	defer close(end)
	handler := c.handler(p.T, dir, new(atomic.Int32), end)
	host.now.Store(&handler)
	p.b.web.loadTime = 2 * time.Second
	step := func(name, args string) string {
		start := time.Now()
		r := p.page(name, args)
		p.Logf("%s %v: %.300q", name, time.Since(start).Round(time.Millisecond), r.Text)
		if d := time.Since(start); d > 25*time.Second {
			p.Errorf("%s took %v", name, d)
		}
		return r.Text
	}
	s := p.b.session
	s.stack = append(s.stack, &page{url: url + c.Open})
	told := step("page_snapshot", fmt.Sprintf(`{"cursor": %d}`, len(s.stack)-1)) +
		step("page_wait", `{"seconds": 0.5}`) + step("page_press", `{"key": "Tab"}`)
	if want := hostileLive[c.Name]; !strings.Contains(strings.Join(strings.Fields(told), " "), want) {
		p.Errorf("want %q in %s", want, told)
	}
	s.stack = append(s.stack, &page{url: url + "/ok.html"})
	if got := step("page_snapshot", fmt.Sprintf(`{"cursor": %d, "text": true}`, len(s.stack)-1)); !strings.Contains(got, "viewing lines") || strings.Contains(got, "Note:") {
		p.Errorf("the next page: %s", got)
	}
}
