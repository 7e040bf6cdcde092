//go:build !linux

package inference

import "time"

var began = time.Now()

// threadTime is the time on the clock where the system has no better one.
func threadTime() time.Duration { return time.Since(began) }
