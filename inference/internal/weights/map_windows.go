package weights

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"
)

// mapping is a file in memory, or a reservation.
type mapping struct {
	data  []byte
	unmap func(addr uintptr) error
}

// mapFile maps a file for reading, as on other systems.
func mapFile(path string) (*mapping, error) {
	f, size, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if size == 0 {
		return &mapping{}, nil
	}
	section, err := windows.CreateFileMapping(windows.Handle(f.Fd()), nil, windows.PAGE_READONLY, 0, 0, nil)
	if err != nil {
		return nil, fmt.Errorf("map: %w", err)
	}
	defer windows.CloseHandle(section) // the view keeps it open
	addr, err := windows.MapViewOfFile(section, windows.FILE_MAP_READ, 0, 0, 0)
	if err != nil {
		return nil, fmt.Errorf("map: %w", err)
	}
	return &mapping{view(addr, size), windows.UnmapViewOfFile}, nil
}

// reserve takes addresses that nothing lies behind until [commit].
func reserve(size int) (*mapping, error) {
	addr, err := windows.VirtualAlloc(0, uintptr(size), windows.MEM_RESERVE, windows.PAGE_NOACCESS)
	if err != nil {
		return nil, err
	}
	return &mapping{view(addr, size), func(addr uintptr) error { return windows.VirtualFree(addr, 0, windows.MEM_RELEASE) }}, nil
}

// commit makes whole pages of a reservation memory, empty and not of the heap.
func commit(data []byte) error {
	_, err := windows.VirtualAlloc(address(data), uintptr(len(data)), windows.MEM_COMMIT, windows.PAGE_READWRITE)
	if err != nil {
		return fmt.Errorf("take %d bytes of memory: %w", len(data), err)
	}
	return nil
}

// view is memory that the system gave, which Go's collector does not move.
func view(addr uintptr, size int) []byte {
	return unsafe.Slice((*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&addr))), size)
}

func address(data []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(data))) }

func (m *mapping) bytes() []byte { return m.data }

func (m *mapping) copy(dst []byte, lo int) { copy(dst, m.data[lo:]) }

func (m *mapping) load(int) error { return nil }

// release takes whole pages out of the working set: unlocking pages that are not
// locked does that, and says that they were not.
func (m *mapping) release(lo, hi int) {
	_ = windows.VirtualUnlock(address(m.data[pageDown(lo):]), uintptr(hi-pageDown(lo)))
}

func (m *mapping) Close() error {
	if m.data == nil {
		return nil
	}
	addr := address(m.data)
	m.data = nil
	return m.unmap(addr)
}
