package speed

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// resident is the most memory that this process has had at a time, mapped files
// included, in bytes. (What getrusage says includes the parent's.)
func resident() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		var kilobytes int64
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kilobytes); err == nil {
			return kilobytes << 10
		}
	}
	return 0
}

// sinceStart is how long ago this process was started, to a hundredth of a
// second.
func sinceStart() time.Duration {
	var up float64
	uptime, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return 0
	}
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return 0
	}
	// The name, in brackets, may hold anything; the start is field 22.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	var ticks float64
	if _, err := fmt.Sscan(string(uptime), &up); err != nil || len(fields) < 20 {
		return 0
	}
	if _, err := fmt.Sscan(fields[19], &ticks); err != nil {
		return 0
	}
	const perSecond = 100 // of the ticks that Linux shows to programs
	return time.Duration((up - ticks/perSecond) * float64(time.Second))
}
