// Package lockfile locks a file among processes: one holder that alone may
// change what the lock stands for, or any number that only use it. The system
// frees the lock of a process that ends, in whatever way.
//
// It refuses to tell who holds a lock: nothing may be decided by that.
package lockfile

import (
	"context"
	"errors"
	"os"
	"time"
)

// ErrHeld is the error of a lock that another process, or another Lock of this
// one, holds.
var ErrHeld = errors.New("another process holds the lock")

// Lock is a held lock.
type Lock struct{ file *os.File }

// Exclusive takes the lock alone. ErrHeld says that somebody else has it. The
// file is made where it is missing, and stays.
func Exclusive(path string) (*Lock, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	return hold(f, true)
}

// Shared takes the lock together with others that take it so. ErrHeld says that
// somebody has it alone. The file must be there; to read it is enough.
func Shared(path string) (*Lock, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return hold(f, false)
}

// hold locks the open file, which it closes where it can't.
func hold(f *os.File, alone bool) (*Lock, error) {
	if err := try(f, alone); err != nil {
		f.Close()
		if err != ErrHeld {
			err = &os.PathError{Op: "lock", Path: f.Name(), Err: err}
		}
		return nil, err
	}
	return &Lock{f}, nil
}

// pause is how long Wait sleeps between two attempts.
const pause = 100 * time.Millisecond

// Wait is Exclusive that waits its turn. waiting is called once if it has to.
func Wait(ctx context.Context, path string, waiting func()) (*Lock, error) {
	for told := false; ; {
		l, err := Exclusive(path)
		if !errors.Is(err, ErrHeld) {
			return l, err
		}
		if !told {
			told = true
			waiting()
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// Close frees the lock.
func (l *Lock) Close() error { return l.file.Close() }
