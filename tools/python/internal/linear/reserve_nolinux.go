//go:build unix && !linux

package linear

const noReserve = 0
