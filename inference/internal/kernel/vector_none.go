//go:build !goexperiment.simd || !amd64

package kernel

// vectorSets is empty where the compiler has no vectors.
func vectorSets() []*Set { return nil }

// lanes are not needed.
type lanes struct{}
