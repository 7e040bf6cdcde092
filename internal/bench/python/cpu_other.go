//go:build !unix

package main

import "time"

var began = time.Now()

// cpuTime is the time on the clock where the system has no better one.
func cpuTime() time.Duration { return time.Since(began) }
