package wall

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
)

// established is the answer to CONNECT.
const established = "HTTP/1.1 200 Connection established\r\n\r\n"

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
	hangUp := func() {
		near.Close()
		far.Close()
	}
	defer context.AfterFunc(r.Context(), hangUp)()
	if _, err := io.WriteString(near, established); err != nil {
		hangUp()
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
		if int64(n) > p.take(n) {
			p.noteCut()
			break
		}
		if _, werr := near.Write(buf[:n]); err != nil || werr != nil {
			break
		}
	}
	hangUp()
	wg.Wait()
}

func closeWrite(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		t.CloseWrite()
	}
}
