package main

import (
	"time"

	"golang.org/x/sys/unix"
)

// threadTime is what the thread has computed so far.
func threadTime() time.Duration {
	var t unix.Timespec
	check(unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t))
	return time.Duration(t.Nano())
}
