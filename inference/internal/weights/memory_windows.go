package weights

import (
	"unsafe"

	"golang.org/x/sys/windows"
)

// memoryStatus is MEMORYSTATUSEX of the Windows API.
type memoryStatus struct {
	length, load                uint32
	physical, availablePhysical uint64
	pageFile, availablePageFile uint64
	virtual, availableVirtual   uint64
	availableExtendedVirtual    uint64
}

var globalMemoryStatus = windows.NewLazySystemDLL("kernel32.dll").NewProc("GlobalMemoryStatusEx")

// AvailableMemory is how many bytes of physical memory Windows calls available,
// but no more than it lets this process commit; 0 where it does not say.
func AvailableMemory() int64 {
	var s memoryStatus
	s.length = uint32(unsafe.Sizeof(s))
	if globalMemoryStatus.Find() != nil {
		return 0
	}
	if ok, _, _ := globalMemoryStatus.Call(uintptr(unsafe.Pointer(&s))); ok == 0 {
		return 0
	}
	return int64(min(s.availablePhysical, s.availablePageFile))
}
