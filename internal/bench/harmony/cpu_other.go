//go:build !unix

package main

import "errors"

// cpuSeconds is not measured on this system.
func cpuSeconds() float64 {
	check(errors.New("CPU time is measured on Unix systems only"))
	return 0
}
