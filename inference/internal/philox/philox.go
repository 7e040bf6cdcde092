// Package philox is Philox2x32-10 (Salmon et al., Parallel Random Numbers: As Easy as 1,
// 2, 3, SC11): 64 random bits of a counter and a key. shaders/draw.comp has it too.
package philox

const (
	factor = 0xd256d193
	step   = 0x9e3779b9
)

// Words returns the bits of a counter of two words and a key.
func Words(x, y, key uint32) (uint32, uint32) {
	for range 10 {
		product := uint64(x) * factor
		x, y = uint32(product>>32)^key^y, uint32(product)
		key += step
	}
	return x, y
}

// First sets the lower halves of out to the first words for the counters from (x, y) to
// (x+63, y); the upper halves are anything.
func First(out *[64]uint64, x, y, key uint32) { first(out, x, y, key) }

func firstPlain(out *[64]uint64, x, y, key uint32) {
	for i := range out {
		word, _ := Words(x+uint32(i), y, key)
		out[i] = uint64(word)
	}
}
