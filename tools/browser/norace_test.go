//go:build !race

package browser

const memoryFactor = 1
