package mcp

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"chorale/internal/fence"
	"chorale/internal/sandbox"
	"chorale/internal/sandbox/confine"
	"chorale/internal/wall"
)

// What a server may send: in one message, and altogether until the next call.
const (
	maxMessage = 8 << 20
	maxTraffic = 32 << 20
	lineCost   = 4 << 10 // what a line counts for besides its bytes: small messages cost time
)

// maxProcessor is the processor time of a server's program (Linux).
const maxProcessor = 2 * time.Hour

// link is one connection to a server, and the program behind it if there is one.
type link struct {
	session *sdk.ClientSession
	meter   *meter
	process *process      // nil behind an address
	lost    chan struct{} // closed when the connection is gone
	stale   atomic.Bool   // the server says that its tools have changed
	changed map[string]bool
}

// end closes the connection in order: the program sees the end of its input,
// then a signal, then is killed with all that it started.
func (l *link) end() {
	if l.process != nil {
		l.process.end()
	}
	_ = l.session.Close()
	<-l.lost
}

// kill ends the connection at once.
func (l *link) kill() {
	if l.process != nil {
		l.process.kill()
	}
	l.meter.stop()
	_ = l.session.Close()
	<-l.lost
}

// endProcess kills the connection if it is one to a program.
func (l *link) endProcess() {
	if l.process != nil {
		l.kill()
	}
}

// meter counts what a server sends, and breaks the connection when it is too
// much.
type meter struct {
	left  atomic.Int64
	order orderer
}

var errFlood = errors.New("the server sent more than it may")

func newMeter() *meter {
	m := &meter{}
	m.refill()
	return m
}

func (m *meter) refill() { m.left.Store(maxTraffic) }
func (m *meter) stop()   { m.left.Store(0) }

// metered is a stream whose bytes count.
type metered struct {
	io.ReadCloser
	meter *meter
	line  []byte // that has not ended, while the orderer listens
}

func (r *metered) Read(p []byte) (int, error) {
	if r.meter.left.Load() <= 0 {
		return 0, errFlood
	}
	n, err := r.ReadCloser.Read(p)
	r.meter.left.Add(-int64(n + lineCost*bytes.Count(p[:n], []byte{'\n'})))
	if r.line = r.meter.order.hear(r.line, p[:n]); err != nil {
		r.meter.order.rest(r.line)
	}
	return n, err
}

// process is a server's program.
type process struct {
	proc   *sandbox.Proc
	stdin  *os.File
	stderr *sandbox.Capture
	cancel context.CancelFunc

	scratch string // its own folder, removed when it has ended
}

// How long a program has to end when its input has ended, and again when it was
// told to.
const endGrace = 2 * time.Second

func (p *process) end() {
	p.stdin.Close()
	for _, next := range []func(){p.proc.Terminate, p.kill} {
		select {
		case <-p.proc.Done():
		case <-time.After(endGrace):
			next()
		}
	}
	p.kill()
}

func (p *process) kill() {
	p.cancel()
	_, _ = p.proc.Wait() // that it was killed is known
	p.stdin.Close()
	_ = os.RemoveAll(p.scratch)
}

// farewell says how the program ended, and its last words.
func (p *process) farewell() string {
	select {
	case <-p.proc.Done():
	case <-time.After(endGrace): // it closed its output and lives on
		return "its output has ended"
	}
	code, _ := p.proc.Wait()
	text := fmt.Sprintf("exit code %d", code)
	if said := strings.TrimSpace(p.stderr.String()); said != "" {
		text += ": " + said
	}
	return text
}

// start starts a server's program.
func (c *client) start() (*process, sdk.Transport, *meter, error) {
	file, err := c.program()
	if err != nil {
		return nil, nil, nil, err
	}
	childIn, in, err := os.Pipe()
	if err != nil {
		return nil, nil, nil, err
	}
	out, childOut, err := os.Pipe()
	if err != nil {
		return nil, nil, nil, errors.Join(err, childIn.Close(), in.Close())
	}
	scratch, err := os.MkdirTemp("", "chorale-mcp-")
	if err != nil {
		return nil, nil, nil, errors.Join(err, childIn.Close(), in.Close(), out.Close(), childOut.Close())
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &process{stdin: in, stderr: sandbox.NewCapture(1 << 10), cancel: cancel, scratch: scratch}
	memory := c.server.Memory
	if memory == 0 {
		memory = 2 << 30
	}
	box := confine.Box{Read: c.server.from(c.server.Read), Write: c.server.from(c.server.Write), Network: c.server.Network}
	p.proc, err = c.server.Fence.Start(ctx, fence.Program{Scratch: scratch, Implied: cmp.Or(c.server.Dir, "."), Command: sandbox.Command{
		Path: file, Args: c.server.Command[1:], Dir: c.server.Dir, Env: c.environment(scratch),
		Stdin: childIn, Stdout: childOut, Stderr: p.stderr, Memory: memory, Time: maxProcessor, Box: &box,
	}})
	childIn.Close()
	childOut.Close()
	if err != nil {
		cancel()
		return nil, nil, nil, errors.Join(err, in.Close(), out.Close(), os.RemoveAll(scratch))
	}
	m := newMeter()
	return p, &sdk.IOTransport{Reader: &metered{ReadCloser: out, meter: m}, Writer: in, MaxLineLength: maxMessage}, m, nil
}

// program is the file of a server's program: a name is looked up in PATH, what
// has a slash starts from the server's folder.
func (c *client) program() (string, error) {
	name := c.server.Command[0]
	if strings.ContainsRune(name, '/') && !filepath.IsAbs(name) {
		var err error
		if name, err = filepath.Abs(filepath.Join(c.server.Dir, name)); err != nil {
			return "", err
		}
	}
	file, err := exec.LookPath(name)
	if err != nil {
		return "", err
	}
	return filepath.Abs(file)
}

// environment is all that a program sees of ours: where programs lie, a folder
// of its own, what the task lists, and its secrets under their names.
func (c *client) environment(scratch string) []string {
	env := []string{"LANG=C.UTF-8", "HOME=" + scratch, "TMPDIR=" + scratch}
	for _, name := range append([]string{"PATH"}, c.server.Env...) {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	for name := range c.server.Secrets {
		env = append(env, name+"="+c.secrets.Expand("{{secret."+name+"}}"))
	}
	return env
}

// remote is the transport to a server behind an address. It reaches that
// origin and no other, also by redirect.
func (c *client) remote() (sdk.Transport, *meter, error) {
	u, err := url.Parse(c.server.URL)
	if err != nil {
		return nil, nil, err
	}
	rule, err := wall.Origin(u)
	if err != nil {
		return nil, nil, err
	}
	m := newMeter()
	headers := http.Header{}
	for name, value := range c.server.Headers {
		headers.Set(name, c.secrets.Expand(value))
	}
	out := outgoing{next: wall.Transport(&wall.Dialer{Rule: rule}), headers: headers, meter: m}
	return &sdk.StreamableClientTransport{
		Endpoint: c.server.URL, HTTPClient: &http.Client{Transport: out},
		MaxRetries: -1, MaxEventSize: maxMessage,
		DisableStandaloneSSE: true, // nothing is asked of us between calls
	}, m, nil
}

// outgoing adds the task's headers to every request, and counts what comes back.
type outgoing struct {
	next    http.RoundTripper
	headers http.Header
	meter   *meter
}

func (o outgoing) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	for name, values := range o.headers {
		r.Header[name] = values
	}
	resp, err := o.next.RoundTrip(r)
	if err == nil {
		resp.Body = &metered{ReadCloser: resp.Body, meter: o.meter}
	}
	return resp, err
}
