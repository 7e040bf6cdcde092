package python

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"chorale/tools"
	"chorale/tools/python/internal/scratch"
)

// Options configure a session. The zero value is a session with the default
// limits and a temporary folder.
type Options struct {
	Runtime Runtime      // which interpreter; empty: Auto
	Cache   string       // where Prepare put the interpreter; empty: the user's cache
	Engine  *Engine      // to share the compiled code; nil: an own one, loaded at first use
	Dir     string       // host folder behind /mnt/data; empty: a temporary one that Close removes
	Limits  tools.Limits // of each Run; zero fields: DefaultLimits. A tool's Call brings its own
	Memory  int64        // bytes that the interpreter may ever have, whatever the limits of a call; 0: DefaultLimits.Memory or more
	Disk    int64        // bytes that the files in /mnt/data may hold; 0: 256 MiB
	Files   int          // files and folders in /mnt/data; 0: 2000
	Handles int          // files open at once in each folder; 0: 64
	Mounts  []Mount      // folders of the host beside /mnt/data
}

// DefaultLimits are those of a Run. The time is what the tool's description
// promises the model.
var DefaultLimits = tools.Limits{Time: 120 * time.Second, Output: 64 << 10, Memory: 512 << 20}

func (o Options) withDefaults() Options {
	or := func(v *int64, d int64) {
		if *v == 0 {
			*v = d
		}
	}
	or(&o.Limits.Memory, DefaultLimits.Memory)
	or(&o.Memory, max(DefaultLimits.Memory, o.Limits.Memory))
	or(&o.Disk, 256<<20)
	or((*int64)(&o.Limits.Time), int64(DefaultLimits.Time))
	if o.Limits.Output == 0 {
		o.Limits.Output = DefaultLimits.Output
	}
	if o.Files == 0 {
		o.Files = 2000
	}
	if o.Handles == 0 {
		o.Handles = 64
	}
	return o
}

// Output is what a cell gave.
type Output struct {
	Text      string           // all of it in order, within the limit, with notes on what was lost or left out
	Stdout    string           // what was printed
	Stderr    string           // what was printed to sys.stderr; tracebacks are in Err
	Value     string           // repr of the last expression, as a notebook shows it; "" if None
	Err       *Exception       // what ended the cell early; nil if nothing did
	Lost      string           // why the interpreter was given up: its variables are gone, its files are not; "" if it lives
	Cut       int64            // bytes left out of Text
	Artifacts []tools.Artifact // files that are new or changed in /mnt/data
}

// Failed reports whether the cell did not do what its code says. sys.exit()
// without a complaint is no failure.
func (o Output) Failed() bool {
	return o.Lost != "" || o.Err != nil && !(o.Err.Type == "SystemExit" && o.Err.Trace == "")
}

// Exception is an uncaught Python exception.
type Exception struct {
	Type    string // name of its class
	Message string // str() of it, possibly cut
	Trace   string // traceback as the model reads it
}

// ErrClosed is returned by a session that was closed.
var ErrClosed = errors.New("the Python session is closed")

// Session is a notebook: cells run one after the other and share their
// variables. A cell that exceeds its time, or breaks the interpreter, costs
// the variables; the next cell finds a new interpreter and the same files.
type Session struct {
	options  Options
	dir      string          // host folder of /mnt/data
	life     context.Context // done with ErrClosed when the session is closed
	end      context.CancelCauseFunc
	closing  sync.Once
	turn     chan struct{} // holds a token while the session is in use
	own      bool          // whether the engine is closed with the session
	instance *instance     // nil: none is running
	files    listing       // of the folder after the last cell

	quotas map[string]scratch.Limits // of folders that have been opened, by their mounts' names
}

// New starts a session, which the caller closes.
func New(ctx context.Context, o Options) (*Session, error) {
	s, err := open(o)
	if err != nil {
		return nil, err
	}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// open makes a session that starts its interpreter at the first cell.
func open(o Options) (*Session, error) {
	o = o.withDefaults()
	if o.Engine != nil {
		o.Runtime = o.Engine.Runtime()
	} else {
		im, _, err := o.Runtime.find(o.Cache)
		if err != nil {
			return nil, err
		}
		o.Runtime = Runtime(im.name)
	}
	if err := CheckMounts(o.Mounts); err != nil {
		return nil, err
	}
	s := &Session{options: o, dir: o.Dir, turn: make(chan struct{}, 1), quotas: map[string]scratch.Limits{}}
	s.life, s.end = context.WithCancelCause(context.Background())
	var err error
	if s.dir == "" {
		s.dir, err = os.MkdirTemp("", "chorale-python-")
	} else {
		s.dir, err = filepath.Abs(o.Dir)
	}
	if err == nil {
		s.files, err = list(s.dir)
	}
	if err != nil {
		return nil, fmt.Errorf("open the folder for %s: %w", dataPath, err)
	}
	return s, nil
}

// start brings up an interpreter if there is none.
func (s *Session) start(ctx context.Context) error {
	if s.instance != nil {
		return nil
	}
	if s.options.Engine == nil {
		e, err := Load(ctx, s.options.Cache, s.options.Runtime)
		if err != nil {
			return err
		}
		s.options.Engine, s.own = e, true
	}
	files, err := s.folders()
	if err != nil {
		return err
	}
	in, err := s.options.Engine.begin(files, s.options.Memory, nil)
	if err != nil {
		return errors.Join(err, files.close())
	}
	if err := in.waitReady(ctx); err != nil {
		return err
	}
	s.instance = in
	return nil
}

// Run runs a cell within the session's limits. What goes wrong in the cell is
// in the Output; an error means that there is none: ctx is done, the session
// is closed, or the interpreter can't be started.
func (s *Session) Run(ctx context.Context, code string) (Output, error) {
	return s.run(ctx, code, s.options.Limits)
}

func (s *Session) run(ctx context.Context, code string, limits tools.Limits) (Output, error) {
	if !s.take(ctx) {
		return Output{}, cmp.Or(context.Cause(s.life), context.Cause(ctx))
	}
	defer func() { <-s.turn }()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.life, func() { cancel(ErrClosed) })()
	if err := s.start(ctx); err != nil {
		return Output{}, err
	}
	return s.cell(ctx, code, limits)
}

// take waits for the session's turn.
func (s *Session) take(ctx context.Context) bool {
	if ctx.Err() != nil || s.life.Err() != nil {
		return false
	}
	select {
	case s.turn <- struct{}{}:
		return true
	case <-ctx.Done():
	case <-s.life.Done():
	}
	return false
}

// cell runs code in the interpreter that start has brought up.
func (s *Session) cell(ctx context.Context, code string, limits tools.Limits) (Output, error) {
	in, out, lost := s.instance, newCapture(limits.Output), ""
	in.mem.Restrict(limits.Memory)
	late := time.NewTimer(limits.Time)
	defer late.Stop()
	in.cells <- cell{code, out}
	select {
	case <-in.done:
	case <-in.ended:
		lost = in.reason()
	case <-late.C:
		lost = fmt.Sprintf("the code was stopped at its time limit of %s", limits.Time)
	case <-ctx.Done():
		s.drop()
		return Output{}, context.Cause(ctx)
	}
	if lost != "" {
		s.drop()
	}
	return s.output(in, out, lost, limits)
}

// drop gives the interpreter up; the next cell starts another.
func (s *Session) drop() {
	s.instance.close()
	s.instance = nil
}

// output puts together what a cell gave and what is to be said about it.
func (s *Session) output(in *instance, c *capture, lost string, limits tools.Limits) (Output, error) {
	o := Output{Err: c.err, Lost: lost}
	var notes string
	for _, f := range in.files {
		if refused := f.fs.Refused(); refused != "" {
			notes += "[/" + f.path + ": " + refused + "]\n"
		}
	}
	if lost != "" {
		notes += "[The Python interpreter was restarted because " + lost + ". Variables and imports are gone; files in " + dataPath + " are kept.]\n"
	}
	if last := c.all.last(); notes != "" && c.all.total > 0 && last != '\n' {
		notes = "\n" + notes
	}
	if len(notes) > limits.Output {
		notes = notes[:limits.Output]
	}
	o.Text, o.Cut = c.all.text(limits.Output - len(notes))
	o.Text += notes
	o.Stdout, _ = c.stdout.text(limits.Output)
	o.Stderr, _ = c.stderr.text(limits.Output)
	o.Value, _ = c.value.text(limits.Output)
	now, err := list(s.dir)
	if err != nil {
		return o, fmt.Errorf("list the files in %s: %w", dataPath, err)
	}
	o.Artifacts = now.changed(s.files, s.dir)
	s.files = now
	return o, nil
}

// Close ends the session and everything it owns. It may come at any time, also
// while a cell runs, and again.
func (s *Session) Close() error {
	var err error
	s.closing.Do(func() { err = s.free() })
	return err
}

func (s *Session) free() error {
	s.end(ErrClosed)
	s.turn <- struct{}{} // for good: nothing runs after this
	if s.instance != nil {
		s.drop()
	}
	var errs []error
	if s.own {
		errs = append(errs, s.options.Engine.Close())
	}
	if s.options.Dir == "" {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}
