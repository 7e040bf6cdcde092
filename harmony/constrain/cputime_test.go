//go:build linux

package constrain

import (
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime is what the thread has computed so far.
func cpuTime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		panic(err)
	}
	return time.Duration(ts.Nano())
}
