package ref

import (
	"chorale/inference/internal/graph"
	"chorale/inference/internal/kernel"
	"chorale/inference/internal/sample"
	"chorale/inference/internal/weights"
)

// scratch is what one thread needs.
type scratch struct {
	kernel.Scratch
	chooser sample.Chooser
	gateUp  [][2 * kernel.TileRows]float32 // of each input row, by turns

	// Of queries under way.
	sees       []extent  // of a page, by each row
	queries    []float32 // [KV heads, rows, query heads, HeadDim]
	scores     []float32 // of a page, then weights, [query heads, CachePage]
	seen       seen
	keeps      []float32 // of a row's query heads (kernel.Set.Softmax)
	tops, sums []float32 // so far, [rows, query heads]
}

// formats are the tensors' types as the kernels know them. Bind lets no other
// pass.
var formats = map[weights.DType]kernel.Format{
	weights.BF16: kernel.BF16, weights.F16: kernel.F16, weights.F32: kernel.F32, weights.Q8_0: kernel.Q8_0,
	weights.MXFP4: kernel.MXFP4, weights.MXFP4Blocks: kernel.MXFP4_17,
}

// dense views a tensor [out, in].
func dense(t *weights.Tensor) kernel.Matrix {
	return kernel.Matrix{Format: formats[t.DType], Rows: t.Shape[0], Cols: t.Shape[1], Data: t.Data, Scales: t.Scales}
}

// expert views one expert of a tensor [experts, out, in]; the even rows alone
// where t has an Odd part.
func expert(t *weights.Tensor, e int) kernel.Matrix {
	e1, rows := t.Slice(e, e+1), t.Shape[1]
	if t.Odd != nil {
		rows /= 2
	}
	return kernel.Matrix{Format: formats[t.DType], Rows: rows, Cols: t.Shape[2], Data: e1.Data, Scales: e1.Scales}
}

// vector unpacks a tensor [n] into the pass's memory.
func (s *pass) vector(t *weights.Tensor) []float32 {
	n := t.Shape[0]
	s.gain = resize(s.gain, n)
	m := kernel.Matrix{Format: formats[t.DType], Rows: 1, Cols: n, Data: t.Data}
	m.Row(s.gain, 0)
	return s.gain
}

// numbers sets dst to numbers of a tensor of any shape from one on, not counting an
// Odd part's.
func numbers(dst []float32, t *weights.Tensor, from int) {
	formats[t.DType].Numbers(dst, t.Data, from)
}

// split lays rows of a width out for multiplying with w: rounded to bytes where the
// backend does that and w's numbers are bytes.
func (s *pass) split(src []float32, width int, w *weights.Tensor) kernel.Rows {
	p := kernel.Padded(width)
	s.input = resize(s.input, len(src)/width*p)
	rows := kernel.Rows{Data: s.input, Width: p}
	if !s.bytes || !formats[w.DType].OfBytes() {
		s.eachRow(len(src)/width, width, func(t int) { kernel.Split(s.input[t*p:][:p], src[t*width:][:width], width) })
		return rows
	}
	if n := kernel.BytesOf(len(src)); cap(s.rounded) < n {
		s.rounded = make([]byte, n)
	}
	rows.Bytes = s.rounded[:kernel.BytesOf(len(src))]
	s.spread(len(src)/width, grain(width), func(_ *scratch, lo, hi int) {
		kernel.Round(rows.Bytes[kernel.BytesOf(lo*width):], s.input[lo*width:], src[lo*width:hi*width])
	})
	return rows
}

// grain returns how many tiles make a piece of work that is worth handing to
// another thread, about 10 microseconds. macs is the work of one row.
func grain(macs int) int { return max(1, 256_000/(kernel.TileRows*max(macs, 1))) }

func (s *pass) linear(dst, src graph.Reg, a *graph.Affine, add bool) {
	if s.err != nil {
		return
	}
	m := dense(a.W)
	in := s.split(s.regs[src], m.Cols, a.W)
	out := s.regs[dst]
	s.spread(m.Tiles(), grain(m.Cols*in.Len()), func(k *scratch, lo, hi int) {
		for i := lo; i < hi; i++ {
			n := s.kernels.Tile(&k.Scratch, &m, i, in)
			row := i * kernel.TileRows
			var b [kernel.TileRows]float32
			if a.B != nil {
				numbers(b[:n], a.B, row)
			}
			for t := range k.Sums {
				y := out[t*m.Rows+row:][:n]
				for r, v := range k.Sums[t][:n] {
					v += b[r]
					if add {
						v += y[r]
					}
					y[r] = v
				}
			}
		}
	})
	s.wrote(dst)
}
