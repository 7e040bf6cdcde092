package mcp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"chorale/internal/secret"
	"chorale/tools"
)

// client keeps one server connected.
type client struct {
	server  Server
	version string
	secrets secret.Values
	ctx     context.Context // done when the client is closed
	cancel  context.CancelFunc

	turn     chan struct{} // holds a token while a connection is made, so that there is one
	link     *link         // nil where there is none
	declared []Declaration
}

var errClosed = errors.New("mcp: the servers are closed")

// startLimit is how long a server may take to start and to name its tools.
const startLimit = 60 * time.Second

func newClient(s Server, version string) (*client, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	values, err := secret.Read(s.Secrets)
	if err != nil {
		return nil, err
	}
	c := &client{server: s, version: version, secrets: values, turn: make(chan struct{}, 1)}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c, nil
}

// open connects for the first time and reads the declarations that all later
// connections are held against.
func (c *client) open(ctx context.Context) error {
	if err := c.take(ctx); err != nil {
		return err
	}
	defer func() { <-c.turn }()
	l, err := c.dial(ctx)
	if err != nil {
		return err
	}
	c.link = l
	l.meter.order.listen(true)
	offered, err := c.list(ctx, l)
	if err != nil {
		return err
	}
	inOrder := l.meter.order.arrange(offered)
	l.meter.order.listen(false)
	for _, name := range c.server.Only {
		i := slices.IndexFunc(offered, func(t *sdk.Tool) bool { return t.Name == name })
		if i < 0 {
			return fmt.Errorf("it has no tool %q; it has %s", clip(name), names(offered))
		}
		d, err := declare(c.server.Name, offered[i], inOrder[name])
		if err != nil {
			return fmt.Errorf("tool %q: %w", clip(name), err)
		}
		c.declared = append(c.declared, d)
	}
	return nil
}

func names(offered []*sdk.Tool) string {
	var all []string
	for _, t := range offered[:min(len(offered), 100)] {
		all = append(all, fmt.Sprintf("%q", clip(t.Name)))
	}
	if all == nil {
		return "none"
	}
	return strings.Join(all, ", ")
}

// take waits for the turn, which another call may have.
func (c *client) take(ctx context.Context) error {
	select {
	case c.turn <- struct{}{}:
		if c.ctx.Err() == nil {
			return nil
		}
		<-c.turn
		return errClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// connected is the connection, made anew where the server has ended or broken
// off. What the server now declares is held against what it declared first;
// changed reports that of the tool it is something else.
func (c *client) connected(ctx context.Context, tool string) (l *link, changed bool, err error) {
	if err := c.take(ctx); err != nil {
		return nil, false, err
	}
	defer func() { <-c.turn }()
	if c.link != nil {
		select {
		case <-c.link.lost:
			c.link.kill() // what is left of it
			c.link = nil
		default:
		}
	}
	fresh := c.link == nil
	if fresh {
		if c.link, err = c.dial(ctx); err != nil {
			return nil, false, err
		}
	}
	if fresh || c.link.stale.Swap(false) {
		if err := c.verify(ctx); err != nil {
			c.link.kill()
			c.link = nil
			return nil, false, err
		}
	}
	return c.link, c.link.changed[tool], nil
}

// verify notes the tools whose declarations are not the first ones any more.
func (c *client) verify(ctx context.Context) error {
	offered, err := c.list(ctx, c.link)
	if err != nil {
		return err
	}
	c.link.changed = map[string]bool{}
	for _, d := range c.declared {
		c.link.changed[d.Tool] = !slices.ContainsFunc(offered, func(t *sdk.Tool) bool {
			hash, err := fingerprint(t)
			return err == nil && t.Name == d.Tool && hash == d.Hash
		})
	}
	return nil
}

// dial starts the server or reaches it, and shakes hands. The caller has
// the turn.
func (c *client) dial(ctx context.Context) (*link, error) {
	ctx, done := c.limited(ctx)
	defer done()
	l := &link{lost: make(chan struct{})}
	var transport sdk.Transport
	var err error
	if c.server.URL != "" {
		transport, l.meter, err = c.remote()
	} else {
		l.process, transport, l.meter, err = c.start()
	}
	if err != nil {
		return nil, err
	}
	speaker := sdk.NewClient(&sdk.Implementation{Name: "chorale", Version: c.version}, &sdk.ClientOptions{
		Logger:                 slog.New(slog.DiscardHandler),
		Capabilities:           &sdk.ClientCapabilities{}, // nothing can be asked of us
		MultiRoundTrip:         &sdk.MultiRoundTripOptions{Disabled: true},
		ToolListChangedHandler: func(context.Context, *sdk.ToolListChangedRequest) { l.stale.Store(true) },
	})
	type reply struct {
		session *sdk.ClientSession
		err     error
	}
	shaken := make(chan reply, 1)
	go func() { // a server that does not read holds its writer up
		session, err := speaker.Connect(ctx, transport, nil)
		shaken <- reply{session, err}
	}()
	var r reply
	select {
	case r = <-shaken:
	case <-ctx.Done():
		if l.process != nil {
			l.process.kill()
		}
		if r = <-shaken; r.session != nil {
			_ = r.session.Close()
		}
		return nil, context.Cause(ctx)
	}
	if r.err != nil {
		return nil, l.abandon(r.err)
	}
	l.session = r.session
	go func() {
		_ = l.session.Wait()
		close(l.lost)
	}()
	return l, nil
}

// abandon ends a program that did not shake hands, and says why.
func (l *link) abandon(err error) error {
	if l.process == nil {
		return err
	}
	if errors.Is(err, sdk.ErrConnectionClosed) {
		err = errors.New("it ended: " + l.process.farewell())
	}
	l.process.kill()
	return err
}

// limited is a context that ends with ctx, the client, or the time to start.
func (c *client) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeoutCause(ctx, startLimit, fmt.Errorf("the server did not answer within %s", startLimit))
	both, stop := context.WithCancelCause(ctx)
	release := context.AfterFunc(c.ctx, func() { stop(errClosed) })
	return both, func() { release(); stop(nil); cancel() }
}

// Bounds of a list of tools.
const (
	maxPages = 50
	maxTools = 2000
)

// list asks a server for all its tools.
func (c *client) list(ctx context.Context, l *link) ([]*sdk.Tool, error) {
	ctx, done := c.limited(ctx)
	defer done()
	l.meter.refill()
	var all []*sdk.Tool
	params := &sdk.ListToolsParams{}
	for range maxPages {
		r, err := await(ctx, l, func() (*sdk.ListToolsResult, error) { return l.session.ListTools(ctx, params) })
		if err != nil {
			return nil, fmt.Errorf("list its tools: %w", err)
		}
		all = append(all, r.Tools...)
		if r.NextCursor == "" {
			return all, nil
		}
		if len(all) > maxTools {
			break
		}
		params = &sdk.ListToolsParams{Cursor: r.NextCursor}
	}
	return nil, errors.New("list its tools: the list does not end")
}

// await makes a request, and kills the server's program if ctx ends first: one
// that does not read would hold the request up for ever, and one that computes
// would go on. A server behind an address is told that it is cancelled.
func await[R any](ctx context.Context, l *link, request func() (R, error)) (R, error) {
	type reply struct {
		result R
		err    error
	}
	done := make(chan reply, 1)
	go func() {
		result, err := request()
		done <- reply{result, err}
	}()
	select {
	case r := <-done:
		if ctx.Err() == nil {
			return r.result, r.err
		}
		l.endProcess()
	case <-ctx.Done():
		l.endProcess()
		<-done
	}
	var none R
	return none, context.Cause(ctx)
}

// call makes one call. What goes wrong at the server is told to the model.
func (c *client) call(ctx context.Context, d Declaration, args json.RawMessage, l tools.Limits) (tools.Result, error) {
	link, changed, err := c.connected(ctx, d.Tool)
	switch {
	case ctx.Err() != nil:
		return tools.Result{}, context.Cause(ctx)
	case errors.Is(err, errClosed):
		return tools.Result{}, err
	case err != nil:
		return c.failed("the server %s cannot be started: %v", c.server.Name, err), nil
	case changed:
		return c.failed("the server %s no longer declares this tool as it was accepted; a person has to accept it anew", c.server.Name), nil
	}
	link.meter.refill()
	result, err := await(ctx, link, func() (*sdk.CallToolResult, error) {
		return link.session.CallTool(ctx, &sdk.CallToolParams{Name: d.Tool, Arguments: args})
	})
	var refused *jsonrpc.Error
	switch {
	case ctx.Err() != nil:
		return tools.Result{}, context.Cause(ctx)
	case errors.As(err, &refused) && !errors.Is(err, sdk.ErrConnectionClosed):
		return c.failed("%s", refused.Message), nil
	case err != nil:
		why := link.why(err)
		link.kill() // so that the next call finds it gone
		return c.failed("the server %s broke off (%s); whether it did what was asked is not known", c.server.Name, why), nil
	}
	return c.read(d, result), nil
}

// why says what became of a connection that broke.
func (l *link) why(err error) string {
	switch {
	case l.meter.left.Load() <= 0:
		return errFlood.Error()
	case l.process != nil:
		return l.process.farewell()
	}
	return err.Error()
}

func (c *client) failed(format string, args ...any) tools.Result {
	return tools.Result{Failed: true, Text: c.secrets.Redact("Error: " + fmt.Sprintf(format, args...))}
}

// close ends the server in order.
func (c *client) close() {
	c.cancel()
	c.turn <- struct{}{} // who has it is cancelled
	defer func() { <-c.turn }()
	if c.link != nil {
		c.link.end()
		c.link = nil
	}
}
