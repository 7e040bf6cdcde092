//go:build !unix

package python

func reserve(size int) ([]byte, error) { return make([]byte, size), nil }

// release leaves the memory to the garbage collector.
func (m *memory) release() error {
	m.region = nil
	return nil
}
