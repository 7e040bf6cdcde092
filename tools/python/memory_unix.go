//go:build unix

package python

import (
	"fmt"

	"golang.org/x/sys/unix"
)

func reserve(size int) ([]byte, error) {
	b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE|noReserve)
	if err != nil {
		return nil, fmt.Errorf("reserve %d bytes for the interpreter: %w", size, err)
	}
	return b, nil
}

// release gives the memory back. No guest code may run after it.
func (m *memory) release() error {
	b := m.region
	m.region = nil
	return unix.Munmap(b)
}
