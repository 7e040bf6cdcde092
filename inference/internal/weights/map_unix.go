//go:build unix

package weights

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// mapping is a file in memory.
type mapping struct{ data []byte }

// mapFile maps a file for reading. Its pages are the system's cache: nothing is
// read before it is used and nothing counts against the heap.
func mapFile(path string) (*mapping, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("not a regular file")
	}
	if st.Size() == 0 {
		return &mapping{}, nil
	}
	if st.Size() != int64(int(st.Size())) {
		return nil, fmt.Errorf("%d bytes are too many to map on this system", st.Size())
	}
	data, err := syscall.Mmap(int(f.Fd()), 0, int(st.Size()), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map: %w", err)
	}
	return &mapping{data}, nil
}

func (m *mapping) bytes() []byte { return m.data }

// release drops whole pages, those that the range shares with others as well:
// all of them come back from the file.
func (m *mapping) release(lo, hi int) {
	page := os.Getpagesize()
	lo, hi = lo/page*page, min((hi+page-1)/page*page, len(m.data))
	_ = unix.Madvise(m.data[lo:hi], unix.MADV_DONTNEED) // it is advice
}

func (m *mapping) Close() error {
	if m.data == nil {
		return nil
	}
	data := m.data
	m.data = nil
	return syscall.Munmap(data)
}
