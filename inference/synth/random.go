package synth

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
)

const increment = 0x9E3779B97F4A7C15 // splitmix64's

func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

// stream is the sequence of 64-bit numbers that belongs to a tensor.
type stream uint64

// stream returns the numbers of a tensor; the layer of those that belong to
// none is -1.
func (m *Model) stream(layer int, kind string) stream {
	h := uint64(0xCBF29CE484222325)
	for _, b := range []byte(fmt.Sprintf("%d.%s", layer, kind)) {
		h = (h ^ uint64(b)) * 0x100000001B3
	}
	return stream(mix(h + mix(m.Seed*increment)))
}

func (s stream) at(i int) uint64 { return mix(uint64(i+1)*increment + uint64(s)) }

// Large tensors repeat a pool of numbers: making them costs little more than
// copying does.
const (
	large = 1 << 22 // elements
	pool  = 1048583
)

// normals are BF16 numbers that are nearly N(mean, std²).
type normals struct {
	stream
	mean, std float64
	count     int
}

// at returns element i.
func (n *normals) at(i int) uint16 {
	if n.count > large {
		i %= pool
	}
	z := n.stream.at(i)
	sum := z&0xffff + z>>16&0xffff + z>>32&0xffff + z>>48
	x := (float64(sum) - 131070) * (1.7320508075688772 / 65536)
	return roundBF16(n.mean + float64(n.std*x)) // the conversion keeps compilers from fusing the two
}

// roundBF16 rounds to the nearest, ties to even.
func roundBF16(x float64) uint16 {
	u := math.Float32bits(float32(x))
	return uint16((uint64(u) + 0x7fff + uint64(u>>16&1)) >> 16)
}

// fill writes the bytes from the given one on; both ends are of whole elements.
func (n *normals) fill(dst []byte, at int) {
	if n.count > large && len(dst) > 2*pool {
		once := make([]byte, 2*pool)
		n.fill(once, at)
		for len(dst) > 0 {
			dst = dst[copy(dst, once):]
		}
		return
	}
	for i := 0; i < len(dst); i += 2 {
		binary.LittleEndian.PutUint16(dst[i:], n.at((at+i)/2))
	}
}

// inverseRoot returns 1/sqrt(n), rounded once: standard deviations must not
// differ by a bit from one machine to the next.
func inverseRoot(n int) float64 {
	root := new(big.Float).SetPrec(200).SetInt64(int64(n))
	root.Sqrt(root)
	x, _ := root.Quo(big.NewFloat(1).SetPrec(200), root).Float64()
	return x
}
