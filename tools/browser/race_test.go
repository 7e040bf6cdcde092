//go:build race

package browser

// The race detector keeps several words for each word of ours.
const memoryFactor = 4
