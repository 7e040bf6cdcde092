//go:build unix

package weights

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// mapping is a file in memory.
type mapping struct{ data []byte }

// mapFile maps a file for reading. Its pages are the system's cache: nothing is
// read before it is used and nothing counts against the heap.
func mapFile(path string) (*mapping, error) {
	f, size, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if size == 0 {
		return &mapping{}, nil
	}
	data, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map: %w", err)
	}
	return &mapping{data}, nil
}

// reserve takes addresses that nothing lies behind until [commit].
func reserve(size int) (*mapping, error) {
	data, err := unix.Mmap(-1, 0, size, unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, err
	}
	return &mapping{data}, nil
}

// commit makes whole pages of a reservation memory, empty and not of the heap.
func commit(data []byte) error {
	if err := unix.Mprotect(data, unix.PROT_READ|unix.PROT_WRITE); err != nil {
		return fmt.Errorf("take %d bytes of memory: %w", len(data), err)
	}
	return nil
}

func (m *mapping) bytes() []byte { return m.data }

func (m *mapping) copy(dst []byte, lo int) { copy(dst, m.data[lo:]) }

func (m *mapping) load(int) error { return nil }

// release drops whole pages, those that the range shares with others as well:
// all of them come back from the file.
func (m *mapping) release(lo, hi int) {
	_ = unix.Madvise(m.data[pageDown(lo):min(pageUp(hi), len(m.data))], unix.MADV_DONTNEED) // it is advice
}

func (m *mapping) Close() error {
	if m.data == nil {
		return nil
	}
	data := m.data
	m.data = nil
	return unix.Munmap(data)
}
