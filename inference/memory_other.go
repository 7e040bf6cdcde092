//go:build !linux && !darwin && !windows

package inference

// availableMemory is not known here; a plan then keeps to no limit on the host.
func availableMemory() int64 { return 0 }
