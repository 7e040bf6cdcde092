//go:build !goexperiment.simd || !amd64

package philox

func first(out *[64]uint64, x, y, key uint32) { firstPlain(out, x, y, key) }
