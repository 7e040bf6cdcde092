//go:build !unix

package weights

import "os"

// mapping is a file in memory.
type mapping struct{ data []byte }

// mapFile reads the file whole: a system without mmap gets the same behaviour
// at the cost of the memory.
func mapFile(path string) (*mapping, error) {
	data, err := os.ReadFile(path)
	return &mapping{data}, err
}

func reserve(size int) (*mapping, error) { return &mapping{make([]byte, size)}, nil }

func commit([]byte) error { return nil }

func (m *mapping) bytes() []byte { return m.data }

func (m *mapping) copy(dst []byte, lo int) { copy(dst, m.data[lo:]) }

func (m *mapping) load(int) error { return nil }

func (m *mapping) release(lo, hi int) {}

func (m *mapping) Close() error {
	m.data = nil
	return nil
}
