package python

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"io/fs"

	"github.com/tetratelabs/wazero/experimental/sys"
	wsys "github.com/tetratelabs/wazero/sys"
)

// The guest's descriptor tells the prelude's frames by a nonce that it read
// first. It keeps a cell from ending its turn by accident. Code that searches
// the interpreter for the nonce may still do so, and deceives itself: a frame
// can only claim what the cell could as well have printed.
const nonceSize = 16

// startOutput is how much is kept of what an interpreter prints before its
// first cell: the reason why it did not start.
const startOutput = 4096

// The kinds of frames that the prelude writes behind the nonce.
const (
	frameReady = 'r' // the interpreter has started
	frameValue = 'v' // a piece of the last expression's repr
	frameTrace = 'e' // a piece of a traceback
	frameNote  = 'n' // a line about what happened, for the reader of the text alone
	frameDone  = 'd' // the cell ends: the error's type, NUL, its text; or nothing
)

// control is the private line between the prelude and the host, a file that
// can be opened once. A read waits for the next cell while none runs; while one
// runs it finds the end of the file. The methods are called by the guest's
// goroutine, the host has the channels.
type control struct {
	sys.UnimplementedFile
	nonce   [nonceSize]byte
	opened  bool // by the prelude
	started bool
	pending []byte   // not yet read by the guest
	running bool     // a cell has been handed out
	ended   *capture // of a cell that says it has ended; nil: there is none
	stop    *stopFlag
	cells   chan cell     // from the host
	ready   chan struct{} // closed when the interpreter has started
	done    chan *capture // to the host, at the end of each cell
	out     *capture      // of the running cell, or of what comes before and after
}

// cell is a piece of code and the place for what it gives.
type cell struct {
	code string
	out  *capture
}

func newControl(stop *stopFlag) *control {
	c := &control{
		stop:  stop,
		cells: make(chan cell, 1),
		ready: make(chan struct{}),
		done:  make(chan *capture, 1),
		out:   newCapture(startOutput),
	}
	rand.Read(c.nonce[:])
	c.pending = bytes.Clone(c.nonce[:])
	return c
}

// Stat implements sys.File.
func (c *control) Stat() (wsys.Stat_t, sys.Errno) {
	return wsys.Stat_t{Mode: fs.ModeDevice | fs.ModeCharDevice | 0o600}, 0
}

// Read implements sys.File.
func (c *control) Read(p []byte) (int, sys.Errno) {
	if len(c.pending) == 0 && !c.running {
		if c.ended != nil {
			c.done <- c.ended // has room: the host takes one for each cell
			c.ended = nil
		}
		select {
		case next := <-c.cells:
			c.running, c.out = true, next.out
			c.pending = append(binary.LittleEndian.AppendUint64(nil, uint64(len(next.code))), next.code...)
		case <-c.stop.done:
			leave()
		}
	}
	n := copy(p, c.pending)
	c.pending = c.pending[n:]
	return n, 0
}

// Write implements sys.File.
func (c *control) Write(p []byte) (int, sys.Errno) {
	if len(p) <= nonceSize || subtle.ConstantTimeCompare(p[:nonceSize], c.nonce[:]) != 1 {
		return 0, sys.EPERM
	}
	payload := p[nonceSize+1:]
	switch kind := p[nonceSize]; {
	case kind == frameReady && !c.started:
		c.started = true
		close(c.ready)
	case kind == frameValue && c.running:
		c.out.addValue(payload)
	case kind == frameTrace && c.running:
		c.out.addTrace(payload)
	case kind == frameNote && c.running:
		c.out.addNote(payload)
	case kind == frameDone && c.running:
		c.end(payload)
	default:
		return 0, sys.EPERM
	}
	return len(p), 0
}

// end notes that the cell says it has ended. It has when the guest waits for
// the next one: till then it may be at work, and its time runs. What it writes
// meanwhile belongs to nobody.
func (c *control) end(payload []byte) {
	c.out.setError(payload)
	c.ended = c.out
	c.running, c.pending, c.out = false, nil, newCapture(0)
}

// SetAppend implements sys.File. Every write appends.
func (c *control) SetAppend(bool) sys.Errno { return 0 }
