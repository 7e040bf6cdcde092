package inference

import "golang.org/x/sys/unix"

// availableMemory is eight tenths of the machine's memory: macOS gives others'
// pages back when they are needed, and does not say how many it could.
func availableMemory() int64 {
	n, err := unix.SysctlUint64("hw.memsize")
	if err != nil {
		return 0
	}
	return int64(n / 10 * 8)
}
