//go:build unix

package main

import "syscall"

// cpuSeconds is the CPU time of this process, its garbage collection included.
func cpuSeconds() float64 {
	var u syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return float64(u.Utime.Nano()+u.Stime.Nano()) * 1e-9
}
