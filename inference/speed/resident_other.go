//go:build !linux

package speed

import "time"

// resident and sinceStart are not known on this system.
func resident() int64           { return 0 }
func sinceStart() time.Duration { return 0 }
