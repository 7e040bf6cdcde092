//go:build unix

package speed

import (
	"syscall"
	"time"
)

// CPUTime is what this process has computed so far, on all its threads.
func CPUTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
