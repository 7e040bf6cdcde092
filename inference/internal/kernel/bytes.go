package kernel

import (
	"encoding/binary"
	"math"
)

//go:generate go test -count=1 -run TestAssembly -update .

// Products of bytes, for weights that are small integers times a scale of 32 (MXFP4,
// Q8_0) and several input rows: the input is rounded to signed bytes too, each block
// of 32 relative to its largest number. A block's product is then exact, and is
// multiplied by both scales.
//
// An input block is 48 bytes: the 32 numbers in order; their scale; and what sums
// begin with, since weights are made unsigned: minus 12 times the sum of the numbers
// for MXFP4, minus 128 times for Q8_0. A panel's block has 24 rows: eight times four
// neighbouring numbers of each, then the scales.
const (
	inputBlock  = 48
	inputScale  = Block
	panelStride = 4 * TileRows
	panelBlock  = (Block/4 + 1) * panelStride

	byteInputs = 4  // rows that meet a panel at once
	byteBlocks = 24 // blocks of a panel that stay in the first cache meanwhile
)

// byteKernels are the parts of such a product.
type byteKernels struct {
	// unpack brings blocks of 24 rows, which lie row bytes apart, into a panel, but
	// for the scales.
	unpack [formats]func(panel, data []byte, row, blocks int)

	// dot adds the products of a panel with four input rows to their sums. fix is
	// the place in an input block of what its sum begins with.
	dot func(sums *[byteInputs][TileRows]float32, panel []byte, x *[byteInputs][]byte, fix, blocks int)
}

// byteFix is the place in an input block of what a sum begins with, by the weights'
// format; 0 for those that are no bytes.
var byteFix = [formats]int{Q8_0: 40, MXFP4: 36, MXFP4_17: 36}

// OfBytes reports whether the weights of a format are multiplied as bytes where a
// Set can.
func (f Format) OfBytes() bool { return byteFix[f] > 0 }

// HasBytes reports whether the set multiplies bytes faster than it would numbers.
func (k *Set) HasBytes() bool { return k.bytes != nil && k != Scalar }

// BytesOf returns the size of rounded input rows of so many numbers.
func BytesOf(n int) int { return n / Block * inputBlock }

// Round rounds rows of a multiple of 32 numbers to bytes, and sets split to what
// they have become, in the split layout: with few rows, and where a matrix ends
// within a tile, numbers are multiplied as ever, and the result is the same but for
// the rounding of sums.
func Round(bytes []byte, split, src []float32) {
	for ; len(src) > 0; src, split, bytes = src[Block:], split[Block:], bytes[inputBlock:] {
		roundBlock((*[inputBlock]byte)(bytes), (*[Block]float32)(split), (*[Block]float32)(src))
	}
}

func roundBlock(b *[inputBlock]byte, split, src *[Block]float32) {
	most := float32(0)
	for _, v := range src {
		most = max(most, v, -v) // a number that is none stays one
	}
	scale, inverse := most/127, 127/most
	switch {
	case most == 0 || inverse > math.MaxFloat32: // next to nothing
		scale, inverse = 0, 0
	case !(most <= math.MaxFloat32): // infinite, or no number: nor is anything that comes of it
		scale, inverse = float32(math.NaN()), 0
		src = &[Block]float32{}
	}
	var sum int32
	for i, v := range src {
		v *= inverse
		q := int32(v + .5)
		if v < 0 {
			q = int32(v - .5)
		}
		b[i] = byte(q)
		sum += q
		split[i&1*16+i>>1] = float32(q) * scale
	}
	binary.LittleEndian.PutUint32(b[inputScale:], math.Float32bits(scale))
	binary.LittleEndian.PutUint32(b[36:], uint32(-12*sum))
	binary.LittleEndian.PutUint32(b[40:], uint32(-128*sum))
	binary.LittleEndian.PutUint32(b[44:], 0)
}

// bytes returns the bytes of input row i.
func (r *Rows) bytes(i int) []byte {
	if r.Pick != nil {
		i = int(r.Pick[i])
	}
	w := BytesOf(r.Width)
	return r.Bytes[i*w : (i+1)*w]
}

// bytesFrom is the fewest input rows for which bytes are worth it: a group of them more
// than are multiplied with packed rows.
func (k *Set) bytesFrom() int { return k.fewMost + byteInputs }

// tileBytes multiplies 24 packed rows with the input rows; s.Sums has room for
// whole groups of them.
func (k *Set) tileBytes(s *Scratch, f Format, data, scales []byte, x Rows) {
	blocks := x.Width / Block
	if cap(s.bytes) < blocks*panelBlock {
		s.bytes = make([]byte, blocks*panelBlock)
	}
	panel := s.bytes[:blocks*panelBlock]
	k.bytes.unpack[f](panel, data, f.Bytes(x.Width), blocks)
	byteScales(panel, f, data, scales, blocks)
	count := len(s.Sums)
	sums := s.Sums[:(count+byteInputs-1)/byteInputs*byteInputs]
	clear(sums)
	for at := 0; at < blocks; at += byteBlocks {
		n := min(byteBlocks, blocks-at)
		part := panel[at*panelBlock : (at+n)*panelBlock]
		for j := 0; j < count; j += byteInputs {
			for i := range s.in {
				s.in[i] = x.bytes(min(j+i, count-1))[at*inputBlock : (at+n)*inputBlock]
			}
			k.bytes.dot((*[byteInputs][TileRows]float32)(sums[j:]), part, &s.in, byteFix[f], n)
		}
	}
}

// halved has half of every scale of MXFP4, whose codes are doubled.
var halved = func() (t [256]uint32) {
	for s := range t {
		t[s] = math.Float32bits(e8m0[s] / 2)
	}
	return t
}()

// byteScales brings the scales into a panel.
func byteScales(panel []byte, f Format, data, scales []byte, blocks int) {
	row := f.Bytes(Block * blocks)
	for r := range TileRows {
		to := panel[Block/4*panelStride+4*r:]
		for b := range blocks {
			var bits uint32
			switch f {
			case MXFP4:
				bits = halved[scales[r*blocks+b]]
			case MXFP4_17:
				bits = halved[data[r*row+17*b]]
			case Q8_0:
				bits = halfBits(uint32(binary.LittleEndian.Uint16(data[r*row+34*b:])))
			}
			binary.LittleEndian.PutUint32(to[b*panelBlock:], bits)
		}
	}
}

// scalarBytes is the oracle of the others.
var scalarBytes = &byteKernels{
	unpack: [formats]func(panel, data []byte, row, blocks int){
		MXFP4: func(panel, data []byte, row, blocks int) {
			unpackBytes(panel, data, row, 16, blocks, func(b []byte, i int) byte { return doubled[b[i/2]>>(i%2*4)&15] })
		},
		MXFP4_17: func(panel, data []byte, row, blocks int) {
			unpackBytes(panel, data, row, 17, blocks, func(b []byte, i int) byte { return doubled[b[1+i%16]>>(i/16*4)&15] })
		},
		Q8_0: func(panel, data []byte, row, blocks int) {
			unpackBytes(panel, data, row, 34, blocks, func(b []byte, i int) byte { return b[2+i] + 128 })
		},
	},
	dot: dotBytesScalar,
}

// doubled has twice the values of E2M1, plus 12.
var doubled = [16]byte{12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0}

func unpackBytes(panel, data []byte, row, size, blocks int, at func(b []byte, i int) byte) {
	for r := range TileRows {
		for b := range blocks {
			from, to := data[r*row+b*size:][:size], panel[b*panelBlock:]
			for i := range Block {
				to[i/4*panelStride+4*r+i%4] = at(from, i)
			}
		}
	}
}

func dotBytesScalar(sums *[byteInputs][TileRows]float32, panel []byte, x *[byteInputs][]byte, fix, blocks int) {
	for b := range blocks {
		w := panel[b*panelBlock:]
		for j := range sums {
			in := x[j][b*inputBlock:][:inputBlock]
			scale := math.Float32frombits(binary.LittleEndian.Uint32(in[inputScale:]))
			for r := range TileRows {
				sum := int32(binary.LittleEndian.Uint32(in[fix:]))
				for i := range Block {
					sum += int32(w[i/4*panelStride+4*r+i%4]) * int32(int8(in[i]))
				}
				both := scale * math.Float32frombits(binary.LittleEndian.Uint32(w[Block/4*panelStride+4*r:]))
				sums[j][r] += float32(both * float32(sum))
			}
		}
	}
}
