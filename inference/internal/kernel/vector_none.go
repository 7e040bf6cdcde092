//go:build !(amd64 && goexperiment.simd) && !arm64

package kernel

import "runtime"

// vectorSets is empty where there are no vectors.
func vectorSets() []*Set { return nil }

// Pause leaves the processor to others for a moment.
func Pause() { runtime.Gosched() }

// lanes are not needed.
type lanes struct{}
