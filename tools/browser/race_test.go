//go:build race

package browser

const (
	raceEnabled  = true
	memoryFactor = 4 // the race detector keeps several words for each of ours
)
