//go:build !linux

package confine

import "runtime"

// Thread does nothing: see Missing.
func Thread(Box) error { return nil }

// Missing names what this system cannot do, in words for a person.
func Missing() []string {
	return []string{"commands have all your rights: files, network, processes (they are confined on Linux only, not on " + runtime.GOOS + ")"}
}
