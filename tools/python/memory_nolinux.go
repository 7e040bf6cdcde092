//go:build unix && !linux

package python

const noReserve = 0
