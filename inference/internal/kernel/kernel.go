// Package kernel has the inner loops of the CPU backend: products of packed
// weights with f32 activations, attention over keys and values, and the small
// operations between them. It knows numbers and their layouts; it knows neither
// the model nor threads.
//
// A Set is one implementation of all of them. Scalar is plain Go, always there,
// and the oracle of the others, which use the processor's vectors; those of amd64
// are compiled where GOEXPERIMENT=simd is set. Best is what this processor runs
// fastest. Within a Set equal input gives equal bits: each sum is of one matrix
// row and one input row, in an order that depends on their length alone, so
// neither the number of rows at once nor the split over threads shows in it.
//
// The order is that of the split layout (Split). A sum runs in 16 lanes; lane j
// takes elements 2j and 2j+1 of every block of 32 by fused multiply-add, and the
// lanes are added as a tree at the end. All weight formats share it, so the same
// weights give the same bits in every format. Scalar adds in one lane and
// rounds products where the processor does not fuse them.
package kernel

import "fmt"

// Format is how a matrix is packed.
type Format uint8

// The formats of gpt-oss checkpoints. A row of the last three is whole blocks
// of 32 numbers.
const (
	BF16     Format = iota // upper halves of f32
	F16                    // IEEE halves
	F32                    //
	Q8_0                   // GGUF: 34 bytes a block, an f16 scale and 32 signed bytes
	MXFP4                  // 16 bytes a block, byte j has element 2j low and 2j+1 high; E8M0 scales apart
	MXFP4_17               // GGUF: 17 bytes a block, the scale and 16 bytes; byte j has element j low and j+16 high
	formats  = iota
)

// Block is the number of elements that share a scale, and the unit of the split
// layout.
const Block = 32

// blockBytes is the size of a block in each format, scales that lie apart not
// counted.
var blockBytes = [formats]int{2 * Block, 2 * Block, 4 * Block, 34, 16, 17}

func (f Format) String() string {
	return [formats]string{"BF16", "F16", "F32", "Q8_0", "MXFP4", "MXFP4 (17-byte blocks)"}[f]
}

// Bytes returns the size of n numbers of the format, a multiple of Block where
// the format has blocks, scales that lie apart not counted.
func (f Format) Bytes(n int) int { return n * blockBytes[f] / Block }

// Matrix is a view of packed weights, row by row.
type Matrix struct {
	Format     Format
	Rows, Cols int
	Data       []byte
	Scales     []byte // MXFP4 only: one byte a block
}

// rows returns the bytes of n rows from row r on.
func (m *Matrix) rows(r, n int) (data, scales []byte) {
	w := m.Format.Bytes(m.Cols)
	data = m.Data[r*w : (r+n)*w]
	if m.Format == MXFP4 {
		w = m.Cols / Block
		scales = m.Scales[r*w : (r+n)*w]
	}
	return data, scales
}

// Row unpacks row r in its natural order to dst, which has Cols numbers.
func (m *Matrix) Row(dst []float32, r int) {
	data, scales := m.rows(r, 1)
	var block [Block]float32
	for at := 0; at < m.Cols; at += Block {
		n := min(Block, m.Cols-at)
		unpackRow(unpackScalar[m.Format], m.Format, block[:], 16, n, data, scales)
		for i := range n {
			dst[at+i] = block[i&1*16+i>>1]
		}
		data = data[m.Format.Bytes(n):]
		if scales != nil {
			scales = scales[1:]
		}
	}
}

// unpacker widens n whole blocks to the split layout: half a block of 16
// numbers, then at a distance of step the next half, and so on. All values are
// exact.
type unpacker = func(dst []float32, step, n int, data, scales []byte)

// unpackRow widens n elements. What a short last block lacks is zero.
func unpackRow(unpack unpacker, f Format, dst []float32, step, n int, data, scales []byte) {
	whole := n / Block
	unpack(dst, step, whole, data, scales)
	if n%Block > 0 {
		var last [4 * Block]byte
		copy(last[:], data[f.Bytes(whole*Block):f.Bytes(n)])
		unpack(dst[2*step*whole:], step, 1, last[:], nil)
	}
}

// Padded returns the length of a row of n numbers in the split layout.
func Padded(n int) int { return (n + Block - 1) &^ (Block - 1) }

// Split lays rows of a width out for Tile: in each block of 32 first the
// elements at even places, then those at odd ones, a short last block filled
// with zeros. dst has Padded(width) numbers a row.
func Split(dst, src []float32, width int) {
	for len(src) > 0 {
		row := src[:width]
		src = src[width:]
		for ; len(row) >= Block; row, dst = row[Block:], dst[Block:] {
			r, d := (*[Block]float32)(row), (*[Block]float32)(dst)
			for i := range 16 {
				d[i], d[16+i] = r[2*i], r[2*i+1]
			}
		}
		if len(row) > 0 {
			clear(dst[:Block])
			for i, v := range row {
				dst[i&1*16+i>>1] = v
			}
			dst = dst[Block:]
		}
	}
}

// Rows are input rows in the split layout: all of Data in order, or those that
// Pick names.
type Rows struct {
	Data  []float32
	Width int     // Padded length of a row
	Pick  []int32 // nil for all
	Bytes []byte  // the rows as Round leaves them, or nil
}

// Len returns the number of rows.
func (r *Rows) Len() int {
	if r.Pick != nil {
		return len(r.Pick)
	}
	return len(r.Data) / r.Width
}

// row returns row i.
func (r *Rows) row(i int) []float32 {
	if r.Pick != nil {
		i = int(r.Pick[i])
	}
	return r.Data[i*r.Width : (i+1)*r.Width]
}

// TileRows is the number of matrix rows that are multiplied together.
const TileRows = 24

// Scratch is what a thread needs to multiply. The zero value is ready.
type Scratch struct {
	Sums   [][TileRows]float32 // of each input row
	panel  []float32           // unpacked rows
	lanes  []lanes             // of the vector sets
	rows   []*float32          // of the input
	scales []byte              // widened
	bytes  []byte              // as panel, of rows that are bytes
	in     [byteInputs][]byte
}

// Tiles returns the number of tiles of a matrix.
func (m *Matrix) Tiles() int { return (m.Rows + TileRows - 1) / TileRows }

// Tile multiplies tile i, the rows from i*TileRows on, with every input row. It
// leaves s.Sums; the first n of each are of the matrix.
func (k *Set) Tile(s *Scratch, m *Matrix, i int, x Rows) (n int) {
	row := i * TileRows
	n = min(TileRows, m.Rows-row)
	width := Padded(m.Cols)
	if x.Width != width {
		panic(fmt.Sprintf("kernel: input rows of %d numbers for a matrix with %d columns", x.Width, m.Cols))
	}
	count := x.Len()
	if cap(s.Sums) < count {
		s.Sums = make([][TileRows]float32, (count+byteInputs-1)/byteInputs*byteInputs)
	}
	s.Sums = s.Sums[:count]
	data, scales := m.rows(row, n)
	switch few := k.few[m.Format]; {
	case count == 0:
	case n == TileRows && x.Bytes != nil && k.bytes != nil && m.Format.OfBytes() && count >= k.bytesFrom():
		k.tileBytes(s, m.Format, data, scales, x)
	case n == TileRows && few != nil && count <= k.fewMost && m.Cols == width:
		few(s, data, scales, x)
	default:
		k.multiply(k, s, m, row, n, x)
	}
	return n
}
