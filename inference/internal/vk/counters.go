package vk

import "sync/atomic"

// live counts what is on all devices of the process.
var live struct{ objects, bytes, peak atomic.Int64 }

// Live returns how many objects this process has on devices, and the memory of
// its buffers in bytes.
func Live() (objects, bytes int64) { return live.objects.Load(), live.bytes.Load() }

// Work is what this process has had its devices do so far.
type Work struct {
	Submits    int64 // of recorded commands
	Dispatches int64 // of kernels, in them
	Read       int64 // bytes of results that the host took
}

var work struct{ submits, dispatches, read atomic.Int64 }

// Done returns the counts.
func Done() Work {
	return Work{work.submits.Load(), work.dispatches.Load(), work.read.Load()}
}

// CountRead adds to Work.Read: results lie in mapped memory, so only who takes
// them knows how much that was.
func CountRead(bytes int) { work.read.Add(int64(bytes)) }

// Peak returns the most memory that this process's buffers have taken at a time,
// in bytes.
func Peak() int64 { return live.peak.Load() }

// allot adds to the memory of buffers.
func allot(bytes int64) {
	now := live.bytes.Add(bytes)
	for {
		most := live.peak.Load()
		if now <= most || live.peak.CompareAndSwap(most, now) {
			return
		}
	}
}
