//go:build (amd64 && goexperiment.simd) || arm64

package kernel

import "math"

// Rows of the matrix and of the input that are multiplied at once.
const (
	groupRows = 6
	groupIns  = 4
)

// Columns and input rows are multiplied in blocks, so that a group's unpacked rows stay
// in the first cache while input rows come from the second, and their lanes with them.
const (
	blockCols = 704
	blockIns  = 128
)

// lanes are the sums of a group, before their lanes are added.
type lanes [groupRows][groupIns][16]float32

// widen returns an unpacker of a format with blocks of so many bytes.
func widen(block int, f func(dst *float32, step int, rows, scales *byte, blocks int)) unpacker {
	return func(dst []float32, step, n int, data, scales []byte) {
		if n == 0 {
			return
		}
		_, _ = dst[(2*n-1)*step+15], data[block*n-1]
		var s *byte
		if scales != nil {
			s = &scales[:n][0]
		}
		f(&dst[0], 4*step, &data[0], s, n)
	}
}

// pick sets s.rows to n input rows from one on, with room for fourOf from any.
func (s *Scratch) pick(x Rows, from, n int) {
	if cap(s.rows) < n+groupIns {
		s.rows = make([]*float32, n+groupIns)
	}
	s.rows = s.rows[:n]
	for i := range s.rows {
		s.rows[i] = &x.row(from + i)[0]
	}
}

// fourOf returns up to four input rows as assembly takes them.
func fourOf(x []*float32) *[groupIns]*float32 { return (*[groupIns]*float32)(x[:groupIns]) }

// vectorMultiply returns Set.multiply from two parts: mul, which adds the products of a
// group's rows with input rows, n blocks from column at on, to its lanes, or sets them
// where at is 0; and fold, which adds the lanes up, to the sums of the rows from r on.
func vectorMultiply(mul func(l *lanes, panel []float32, x []*float32, at, n int), fold func(sums [][TileRows]float32, r int, l *lanes)) func(*Set, *Scratch, *Matrix, int, int, Rows) {
	return func(k *Set, s *Scratch, m *Matrix, row, rows int, x Rows) {
		groups := (rows + groupRows - 1) / groupRows
		if len(s.panel) < groupRows*blockCols {
			s.panel = make([]float32, groupRows*blockCols)
		}
		for ins := 0; ins < len(s.Sums); ins += blockIns {
			sums := s.Sums[ins:min(ins+blockIns, len(s.Sums))]
			fours := (len(sums) + groupIns - 1) / groupIns
			if len(s.lanes) < fours*groups {
				s.lanes = make([]lanes, fours*TileRows/groupRows)
			}
			all := s.lanes[:fours*groups]
			s.pick(x, ins, len(sums))
			for at := 0; at < x.Width; at += blockCols {
				n := min(blockCols, x.Width-at) / Block
				for g := range groups {
					k.unpackGroup(s.panel, m, row+g*groupRows, min(groupRows, rows-g*groupRows), at)
					for j := range fours {
						mul(&all[j*groups+g], s.panel, s.rows[j*groupIns:min((j+1)*groupIns, len(sums))], at, n)
					}
				}
			}
			for j := range fours {
				for g := range groups {
					fold(sums[j*groupIns:min((j+1)*groupIns, len(sums))], g*groupRows, &all[j*groups+g])
				}
			}
		}
	}
}

// unpackGroup widens so many rows of a matrix, up to groupRows from row on, into a panel:
// the columns of a block from column at on.
func (k *Set) unpackGroup(panel []float32, m *Matrix, row, rows, at int) {
	for r := range rows {
		data, scales := m.rows(row+r, 1)
		if scales != nil {
			scales = scales[at/Block:]
		}
		unpackRow(k.unpack[m.Format], m.Format, panel[16*r:], 16*groupRows, min(blockCols, m.Cols-at), data[m.Format.Bytes(at):], scales)
	}
}

// vectorFew returns Set.few from functions for one input row, two, and so on. Each takes so
// many packed ones, every one from another part of the tile: long streams are what the
// processor fetches ahead best. Meanwhile it may fetch its part of the tile that follows, so
// far ahead in memory.
func vectorFew(rows [groupIns]int, f ...func(sums *float32, rows, scales *byte, apart int, x *[groupIns]*float32, blocks, ahead int)) func(s *Scratch, data, scales []byte, x Rows) {
	return func(s *Scratch, data, scales []byte, x Rows) {
		n, row, line := x.Width/Block, len(data)/TileRows, len(scales)/TileRows
		if line == 0 { // Q8_0 may widen its scales to here
			if need := 40 * (n + 3); len(s.scales) < need {
				s.scales = make([]byte, need)
			}
			scales = s.scales
		}
		s.pick(x, 0, len(s.Sums))
		for j := 0; j < len(s.Sums); j += len(f) {
			sums := s.Sums[j:min(j+len(f), len(s.Sums))]
			some := rows[len(sums)-1]
			part := TileRows / some
			for r := range part {
				f[len(sums)-1](&sums[0][r], &data[r*row], &scales[r*line], part*row, fourOf(s.rows[j:]), n, len(data)+r*(len(data)/part-row))
			}
		}
	}
}

// mixer is a function of assembly for so many rows and columns.
type mixer[T float32 | uint16] struct {
	rows, columns int
	mix           func(sums *float32, step int, weights *float32, apart int, panel, next *T, n, panels int)
}

// vectorMix returns Set.Mix or Set.MixHalves from a function for as many rows as it takes,
// and one for MixLeast of what is left.
func vectorMix[T float32 | uint16](most, least mixer[T]) func(int, []float32, int, []float32, int, int, []T, []T) {
	return func(rows int, sums []float32, step int, weights []float32, apart, panels int, panel, next []T) {
		n := len(panel) / Panel / panels
		if n == 0 {
			return
		}
		if len(next) == 0 {
			next = panel
		}
		for r := 0; r < rows; {
			m := &most
			if rows-r < most.rows {
				m = &least
			}
			_, _ = sums[(r+m.rows-1)*step+panels*Panel-1], weights[(r+m.rows-1)*apart+n-1]
			for at := 0; at < Panel; at += m.columns {
				m.mix(&sums[r*step+at], 4*step, &weights[r*apart], 4*apart, &panel[at], &next[min(at*n*panels, len(next)-1)], n, panels)
			}
			r += m.rows
		}
	}
}

// vectorSoftmax returns Set.Softmax from a function of assembly.
func vectorSoftmax(f func(rows int, scores *float32, step, n int, tops, sums, keeps *float32)) func(int, []float32, int, int, []float32, []float32, []float32) {
	return func(rows int, scores []float32, step, n int, tops, sums, keeps []float32) {
		if rows == 0 || n == 0 {
			return
		}
		_, _, _, _ = scores[(rows-1)*step+n-1], tops[rows-1], sums[rows*SumLanes-1], keeps[rows-1]
		f(rows, &scores[0], 4*step, n, &tops[0], &sums[0], &keeps[0])
	}
}

// vectorSwiGLU returns Set.SwiGLU from a function of assembly for whole vectors of so many
// lanes, at most 16.
func vectorSwiGLU(lanes int, f func(dst, u *float32, n int, most, least, slope float32)) func(dst, u []float32, alpha, limit float32) {
	return func(dst, u []float32, alpha, limit float32) {
		n := len(dst) &^ (lanes - 1)
		if n > 0 {
			_ = u[2*n-1]
			f(&dst[0], &u[0], n, limit, -limit, -alpha)
		}
		if rest := dst[n:]; len(rest) > 0 { // half a tile of gates and ups is one
			var in [2 * 16]float32
			var out [16]float32
			copy(in[:2*len(rest)], u[2*n:])
			f(&out[0], &in[0], lanes, limit, -limit, -alpha)
			copy(rest, out[:])
		}
	}
}

// expTerms are the constants of the exponential, each in every lane: limits, ln2
// in two parts, and the polynomial for e^r on [-ln2/2, ln2/2] from the seventh
// power down to the second and one (Cephes' expf), and the exponent's bias. The assembly
// knows where each lies.
var expTerms = func() (t struct {
	least, most, log2e, ln2High, ln2Low [16]float32
	poly                                [7][16]float32
	bias                                [8]uint32
}) {
	poly := [7]float32{1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1, 1}
	for i := range 8 {
		t.bias[i] = 127
	}
	for i := range 16 {
		t.least[i], t.most[i], t.log2e[i] = -150, 150, math.Log2E
		t.ln2High[i], t.ln2Low[i] = -0.693359375, 2.12194440e-4
		for j, v := range poly {
			t.poly[j][i] = v
		}
	}
	return t
}()
