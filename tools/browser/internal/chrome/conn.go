package chrome

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/chromedp/cdproto"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// errGone is why calls fail when the browser has ended.
var errGone = errors.New("the browser process has ended")

// conn speaks the DevTools protocol over the two pipes of a browser. It uses
// chromedp's transport but not its targets: those switch on the events of
// every domain, with which a page can flood its reader.
type conn struct {
	pipe *chromedp.PipeConn
	done chan struct{} // closed when the reader has ended

	mu      sync.Mutex
	next    int64
	waiting map[int64]chan *cdproto.Message
	events  map[target.SessionID]func(method string, params []byte)
	gone    bool
}

func newConn(r io.ReadCloser, w io.WriteCloser) *conn {
	c := &conn{
		pipe:    chromedp.NewPipeConn(r, w),
		done:    make(chan struct{}),
		waiting: map[int64]chan *cdproto.Message{},
		events:  map[target.SessionID]func(string, []byte){},
	}
	go c.read()
	return c
}

// read hands replies to their callers and events to their session. It ends
// when the pipe is closed.
func (c *conn) read() {
	defer close(c.done)
	for {
		msg := new(cdproto.Message)
		if err := c.pipe.Read(context.Background(), msg); err != nil {
			c.mu.Lock()
			c.gone = true
			for _, ch := range c.waiting {
				close(ch)
			}
			clear(c.waiting)
			c.mu.Unlock()
			return
		}
		c.mu.Lock()
		reply := c.waiting[msg.ID]
		delete(c.waiting, msg.ID)
		event := c.events[msg.SessionID]
		c.mu.Unlock()
		switch {
		case msg.ID != 0:
			if reply != nil {
				reply <- msg
			}
		case event != nil:
			event(string(msg.Method), msg.Params)
		}
	}
}

// on sets what gets the events of a session; the browser's own have the empty
// session. It must not block.
func (c *conn) on(session target.SessionID, event func(method string, params []byte)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if event == nil {
		delete(c.events, session)
		return
	}
	c.events[session] = event
}

// call runs one command. result may be nil.
func (c *conn) call(ctx context.Context, session target.SessionID, method string, params map[string]any, result any) error {
	var body []byte
	if params != nil {
		var err error
		if body, err = json.Marshal(params); err != nil {
			return fmt.Errorf("%s: %w", method, err)
		}
	}
	ch := make(chan *cdproto.Message, 1)
	c.mu.Lock()
	if c.gone {
		c.mu.Unlock()
		return errGone
	}
	c.next++
	id := c.next
	c.waiting[id] = ch
	c.mu.Unlock()
	err := c.pipe.Write(ctx, &cdproto.Message{ID: id, SessionID: session, Method: cdproto.MethodType(method), Params: body})
	if err != nil {
		c.forget(id)
		return errGone
	}
	select {
	case <-ctx.Done():
		c.forget(id)
		return ctx.Err()
	case msg, ok := <-ch:
		switch {
		case !ok:
			return errGone
		case msg.Error != nil:
			return fmt.Errorf("%s: %s", method, msg.Error.Message)
		case result != nil:
			return json.Unmarshal(msg.Result, result)
		}
		return nil
	}
}

func (c *conn) forget(id int64) {
	c.mu.Lock()
	delete(c.waiting, id)
	c.mu.Unlock()
}

// close ends the connection, which makes the browser exit, and the reader.
func (c *conn) close() {
	c.pipe.Close()
	<-c.done
}
