//go:build unix

package linear

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

func reserve(size int) ([]byte, error) {
	b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE|noReserve)
	if err != nil {
		return nil, fmt.Errorf("reserve %d bytes for the guest: %w", size, err)
	}
	return b, nil
}

// Release gives the memory back. No guest code may run after it.
func (m *Memory) Release() error {
	b := m.region
	m.region = nil
	return unix.Munmap(b)
}

// place maps the image over the beginning of a reserved region, which is
// unmapped as a whole later.
func (im *Image) place(region []byte) error {
	_, err := unix.MmapPtr(int(im.file.Fd()), 0, unsafe.Pointer(&region[0]), uintptr(im.size),
		unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_FIXED|noReserve)
	return err
}
