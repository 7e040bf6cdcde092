//go:build !(amd64 && goexperiment.simd) && !arm64

package kernel

// vectorSets is empty where there are no vectors.
func vectorSets() []*Set { return nil }

// lanes are not needed.
type lanes struct{}
