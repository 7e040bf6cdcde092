package philox

import "testing"

// TestPhilox compares with the known answers of Random123 (kat_vectors).
func TestPhilox(t *testing.T) {
	for _, v := range [][5]uint32{
		{0, 0, 0, 0xff1dae59, 0x6cd10df2},
		{0xffffffff, 0xffffffff, 0xffffffff, 0x2c3f628b, 0xab4fd7ad},
		{0x243f6a88, 0x85a308d3, 0x13198a2e, 0xdd7ce038, 0xf62a4c12},
	} {
		if x, y := Words(v[0], v[1], v[2]); x != v[3] || y != v[4] {
			t.Errorf("Philox(%#x, %#x, %#x) = %#x, %#x; want %#x, %#x", v[0], v[1], v[2], x, y, v[3], v[4])
		}
	}
}

// TestFirst holds vectors to the same numbers, over the end of 32 bits too.
func TestFirst(t *testing.T) {
	for _, v := range [][3]uint32{{0, 0, 0}, {64, 7, 8}, {1<<32 - 30, 1<<32 - 1, 0x12345678}} {
		var out [64]uint64
		First(&out, v[0], v[1], v[2])
		for i, got := range out {
			if want, _ := Words(v[0]+uint32(i), v[1], v[2]); uint32(got) != want {
				t.Errorf("first word %d from %#x on: %#x, want %#x", i, v, uint32(got), want)
			}
		}
	}
}
