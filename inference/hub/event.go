package hub

import "time"

// Event is what happens while files are fetched. Events of several files may be
// told at the same time.
type Event interface {
	About() string // the file, or the repository while it is listed
}

// Received says how many bytes of a file are here.
type Received struct {
	Path string
	Done int64
}

// Checking says how many bytes of a file that is here were hashed.
type Checking struct {
	Path string
	Done int64
}

// Retrying says that an attempt failed and another one comes.
type Retrying struct {
	Path string
	Err  error
	Wait time.Duration
}

// Discarded says that what was fetched of a file is of no use and is fetched
// again.
type Discarded struct {
	Path string
	Err  error
}

// About implements Event.
func (e Received) About() string { return e.Path }

// About implements Event.
func (e Checking) About() string { return e.Path }

// About implements Event.
func (e Retrying) About() string { return e.Path }

// About implements Event.
func (e Discarded) About() string { return e.Path }

// watcher tells of attempts that failed.
func watcher(path string, tell func(Event)) func(error, time.Duration) {
	return func(err error, wait time.Duration) { tell(Retrying{path, err, wait}) }
}
