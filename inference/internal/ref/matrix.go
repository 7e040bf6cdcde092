package ref

import (
	"chorale/inference/internal/weights"
)

// A tile is as many rows of a matrix as are unpacked together, and a panel as
// many of their columns: six rows of 512 take 12 KB, which stays in the first
// cache while the batch passes by. The number of rows is fixed by the kernels.
const (
	tileRows = 6
	panelLen = 512
)

// scratch is what one thread needs to compute tiles.
type scratch struct {
	panel  [tileRows][panelLen]float32
	acc    [chunk][tileRows]float32
	scores []float32
}

// matrix is a packed weight matrix, BF16, or MXFP4 where it has scales.
type matrix struct {
	out, in      int
	data, scales []byte
}

// dense views a BF16 tensor [out, in].
func dense(t *weights.Tensor) matrix {
	return matrix{out: t.Shape[0], in: t.Shape[1], data: t.Data}
}

// expert views one expert of an MXFP4 tensor [experts, out, in].
func expert(t *weights.Tensor, e int) matrix {
	e1 := t.Slice(e, e+1)
	return matrix{out: t.Shape[1], in: t.Shape[2], data: e1.Data, scales: e1.Scales}
}

// tiles returns the number of tiles.
func (m *matrix) tiles() int { return (m.out + tileRows - 1) / tileRows }

// unpack widens columns col to col+len(dst) of a row.
func (m *matrix) unpack(dst []float32, row, col int) {
	at := row*m.in + col
	if m.scales == nil {
		unpackBF16(dst, m.data[2*at:])
		return
	}
	n := len(dst) / weights.Block
	unpackMXFP4(dst, m.data[at/2:], m.scales[at/weights.Block:][:n])
}

// rows is a batch of input rows of one width: all of data in order, or those
// that pick names.
type rows struct {
	data  []float32
	width int
	pick  []int32 // nil for all
}

func (r *rows) len() int {
	if r.pick != nil {
		return len(r.pick)
	}
	return len(r.data) / r.width
}

// part returns columns lo to hi of row i.
func (r *rows) part(i, lo, hi int) []float32 {
	if r.pick != nil {
		i = int(r.pick[i])
	}
	return r.data[i*r.width+lo : i*r.width+hi]
}

// tile multiplies tile i with the input rows, at most chunk. The sums are left
// in s.acc, by input row; the first n of each are of the matrix.
func (m *matrix) tile(s *scratch, i int, in rows) (n int) {
	row := i * tileRows
	n = min(tileRows, m.out-row)
	acc := s.acc[:in.len()]
	clear(acc)
	for col := 0; col < m.in; col += panelLen {
		end := min(col+panelLen, m.in)
		for r := range n {
			m.unpack(s.panel[r][:end-col], row+r, col)
		}
		s.multiply(acc, in, col, end)
	}
	return n
}

// multiply adds the products of the panel, columns lo to hi of the matrix, with
// the input rows.
func (s *scratch) multiply(acc [][tileRows]float32, in rows, lo, hi int) {
	p := &s.panel
	j := 0
	for ; j+2 <= len(acc); j += 2 {
		x, y := in.part(j, lo, hi), in.part(j+1, lo, hi)
		a, b := &acc[j], &acc[j+1]
		dot3x2(p[0][:], p[1][:], p[2][:], x, y, (*[3]float32)(a[:3]), (*[3]float32)(b[:3]))
		dot3x2(p[3][:], p[4][:], p[5][:], x, y, (*[3]float32)(a[3:]), (*[3]float32)(b[3:]))
	}
	if j < len(acc) {
		x := in.part(j, lo, hi)
		dot6x1(p[0][:], p[1][:], p[2][:], p[3][:], p[4][:], p[5][:], x, &acc[j])
	}
}
