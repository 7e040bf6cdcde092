package weights

import "unsafe"

// pages are memory that tensors are views of.
type pages interface {
	bytes() []byte

	// release gives the pages that hold bytes lo to hi back to the system.
	// They come back with the same content when they are read again.
	release(lo, hi int)
}

// Copy copies part, a view within t.Data or t.Scales, to dst, which is as long.
// It is the way to read a tensor once, without its bytes staying in memory; see
// Release.
func (t *Tensor) Copy(dst, part []byte) { copy(dst, part) }

// Release gives the memory of part, a view within t.Data or t.Scales that has
// been read, back to the system. Nothing changes but what it costs: the part can
// be read again, from the file. It does nothing for tensors that are not mapped.
func (t *Tensor) Release(part []byte) {
	if p, at := t.store.find(part); p != nil {
		p.release(at, at+len(part))
	}
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
