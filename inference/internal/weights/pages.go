package weights

import (
	"errors"
	"fmt"
	"os"
	"unsafe"
)

// pages are memory that tensors are views of.
type pages interface {
	bytes() []byte

	// copy writes the bytes from lo on to dst.
	copy(dst []byte, lo int)

	// release gives the pages that hold bytes lo to hi back to the system. They
	// come back with the same content when they are read again.
	release(lo, hi int)

	// load makes the tensor that has byte lo readable in place.
	load(lo int) error
}

// Copy copies part, a view within t.Data or t.Scales, to dst, which is as long.
// It is the way to read a tensor once; see Release.
func (t *Tensor) Copy(dst, part []byte) {
	if p, at := t.store.find(part); p != nil {
		p.copy(dst, at)
		return
	}
	copy(dst, part)
}

// Release gives the memory of part, a view within t.Data or t.Scales that has
// been read, back to the system. Nothing changes but what it costs: the part can
// be read again, from the file. It does nothing for tensors that are not mapped.
func (t *Tensor) Release(part []byte) {
	if p, at := t.store.find(part); p != nil {
		p.release(at, at+len(part))
	}
}

// Load makes t.Data and t.Scales readable in place: those of [Generate] are not
// before. It may be called more than once.
func (t *Tensor) Load() error {
	for _, part := range [][]byte{t.Data, t.Scales} {
		if p, at := t.store.find(part); p != nil {
			if err := p.load(at); err != nil {
				return err
			}
		}
	}
	if t.Odd != nil {
		return t.Odd.Load()
	}
	return nil
}

// find returns the pages that part is a view of, and where in them it begins.
func (s *Store) find(part []byte) (pages, int) {
	if s == nil || len(part) == 0 {
		return nil, 0
	}
	at := uintptr(unsafe.Pointer(unsafe.SliceData(part)))
	for _, p := range s.mapped {
		b := p.bytes()
		if from := uintptr(unsafe.Pointer(unsafe.SliceData(b))); at >= from && at < from+uintptr(len(b)) {
			return p, int(at - from)
		}
	}
	return nil, 0
}

// pageUp and pageDown round to whole pages.
func pageUp(n int) int   { return pageDown(n + os.Getpagesize() - 1) }
func pageDown(n int) int { return n &^ (os.Getpagesize() - 1) }

// openRegular opens a file that can be mapped.
func openRegular(path string) (f *os.File, size int, err error) {
	if f, err = os.Open(path); err != nil {
		return nil, 0, err
	}
	st, err := f.Stat()
	switch {
	case err != nil:
	case !st.Mode().IsRegular():
		err = errors.New("not a regular file")
	case st.Size() != int64(int(st.Size())):
		err = fmt.Errorf("%d bytes are too many to map on this system", st.Size())
	default:
		return f, int(st.Size()), nil
	}
	return nil, 0, errors.Join(err, f.Close())
}
