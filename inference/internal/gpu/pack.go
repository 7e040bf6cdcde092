//go:build cgo && (amd64 || arm64)

package gpu

import (
	"encoding/binary"
	"math"
	"slices"

	"chorale/inference/internal/kernel"
	"chorale/inference/internal/weights"
	"chorale/shaders"
)

// What the device holds is what the file holds, number for number. Where the
// kernels want it arranged in another way, it is arranged on its way through the
// staging buffer, row by row.

// formats are the types of dense matrices as the kernels know them.
var formats = map[weights.DType]shaders.Format{
	weights.BF16: shaders.FormatBF16, weights.F16: shaders.FormatF16, weights.F32: shaders.FormatF32, weights.Q8_0: shaders.FormatQ8,
}

// rowBytes is the size of a row of a dense matrix on the device.
func rowBytes(t weights.DType, width int) int {
	switch t {
	case weights.F32:
		return 4 * width
	case weights.Q8_0:
		return width + ceil(width/weights.Block*2, 16)*16
	}
	return 2 * width
}

// matrixRows is a dense matrix, in the form that dense.glsl reads.
func matrixRows(t *weights.Tensor, tiles *tiler) piece {
	if t.DType != weights.Q8_0 {
		p := stored(t, t.Data)
		if tiles != nil && t.DType != weights.F32 {
			p = tiles.piece(p, t.Shape[0])
		}
		return p
	}
	rows, width := t.Shape[0], t.Shape[1]
	return packed(t, rows, rowBytes(t.DType, width), func(dst, src []byte) {
		codes, scales := dst[:width], dst[width:]
		clear(scales[width/weights.Block*2:])
		for len(codes) > 0 {
			copy(scales, src[:2])
			copy(codes, src[2:weights.Q8Bytes])
			codes, scales, src = codes[weights.Block:], scales[2:], src[weights.Q8Bytes:]
		}
	})
}

// codes are the 4-bit codes of experts' matrices: as safetensors have them, or in tiles
// and turned (see mxfp4.glsl).
func codes(t *weights.Tensor, tiles *tiler) piece {
	rows, width := t.Shape[0]*t.Shape[1], t.Shape[2]
	p := stored(t, t.Data)
	if t.DType != weights.MXFP4 {
		p = packed(t, rows, width/2, func(dst, src []byte) {
			for ; len(dst) > 0; dst, src = dst[16:], src[weights.MXFP4Bytes:] {
				neighbours(dst[:16], src[1:weights.MXFP4Bytes])
			}
		})
	}
	if tiles != nil {
		plain := p.fill
		p.fill = func(dst []byte, at int) {
			plain(dst, at)
			turn(dst)
		}
		p = tiles.piece(p, rows)
	}
	return p
}

// tiler arranges rows of vectors of 16 bytes as base.glsl has them for TEXEL. The pieces
// that it makes share its memory. Nil is for kernels that read rows.
type tiler struct{ rows, tiles []byte }

// piece returns a piece of rows in tiles, the last one filled up with zeros.
func (t *tiler) piece(p piece, rows int) piece {
	size := p.size / rows
	tile := tall * size
	whole := ceil(rows, tall) * tile
	return piece{size: whole, fill: func(dst []byte, at int) {
		first := at / tile * tile
		n := ceil(at+len(dst)-first, tile) * tile
		t.rows, t.tiles = slices.Grow(t.rows[:0], n)[:n], slices.Grow(t.tiles[:0], n)[:n]
		stored := min(n, p.size-first)
		p.fill(t.rows[:stored], first)
		clear(t.rows[stored:])
		to := t.tiles
		for rows := t.rows; len(rows) > 0; rows = rows[tile:] {
			for odd := range 2 {
				for at := 0; at < size; at += 16 {
					for r := odd; r < tall; r += 2 {
						*(*[16]byte)(to) = [16]byte(rows[r*size+at:])
						to = to[16:]
					}
				}
			}
		}
		copy(dst, t.tiles[at-first:])
	}}
}

// turn has the sign of each code lowest, for mxfp4.glsl.
func turn(codes []byte) {
	for ; len(codes) > 0; codes = codes[8:] {
		w := binary.LittleEndian.Uint64(codes)
		binary.LittleEndian.PutUint64(codes, w<<1&0xeeeeeeeeeeeeeeee|w>>3&0x1111111111111111)
	}
}

// scales are the scales that belong to codes, four rows side by side: [row / 4][block][4],
// or those of an invocation as experts.glsl has them for TEXEL.
func scales(t *weights.Tensor, tiles *tiler) piece {
	each, blocks := t.Shape[1], t.Shape[2]/weights.Block // rows of an expert
	together, size, four := 4, 4*blocks, 16              // rows, their bytes, and bytes from four blocks to the next
	row := func(group, i int) int { return together*group + i }
	first := func(i int) int { return i } // where a row's first scale stands
	if tiles != nil {
		// A group is a workgroup's rows, two tiles far apart.
		together = texelRows * texelLanes
		four = 16 * texelLanes
		size = ceil(blocks, 4) * four
		groups := each / together
		row = func(group, i int) int { return group/groups*each + tall*(group%groups+i/tall*groups) + i%tall }
		first = func(i int) int { return i%tall/2*16 + i/tall*2 + i%2 }
	}
	rows := t.Shape[0] * each
	read := func(dst []byte, r int) { t.Copy(dst, t.Scales[r*blocks:][:blocks]) }
	release := func(lo, hi int) { t.Release(t.Scales[lo*blocks : hi*blocks]) }
	if t.DType != weights.MXFP4 {
		file := rowsOf(t, rows)
		release = file.release
		read = func(dst []byte, r int) {
			src := file.row(r)
			for i := range dst {
				dst[i] = src[i*weights.MXFP4Bytes]
			}
		}
	}
	one, all := make([]byte, blocks), make([]byte, size)
	return piece{size: rows / together * size, fill: func(dst []byte, at int) {
		from, to := at/size, (at+len(dst)-1)/size
		for g, skip := from, at%size; len(dst) > 0; g, skip = g+1, 0 {
			for i := range together {
				read(one, row(g, i))
				of := all[first(i):]
				for b, s := range one {
					of[b/4*four+b%4*4] = s
				}
			}
			dst = dst[copy(dst, all[skip:]):]
		}
		for i := 0; i < together; i += min(tall, together) {
			release(row(from, i), row(to, min(i+tall, together)-1)+1)
		}
	}}
}

// neighbours rearranges a block's 32 codes: element j, which stands in the low
// nibble of byte j of src or in the high one of byte j-16, comes to stand in
// byte j/2, low nibble first.
func neighbours(dst, src []byte) {
	a, b := binary.LittleEndian.Uint64(src), binary.LittleEndian.Uint64(src[8:])
	const low = 0x0f0f0f0f0f0f0f0f
	binary.LittleEndian.PutUint32(dst, squeeze(a&low))
	binary.LittleEndian.PutUint32(dst[4:], squeeze(b&low))
	binary.LittleEndian.PutUint32(dst[8:], squeeze(a>>4&low))
	binary.LittleEndian.PutUint32(dst[12:], squeeze(b>>4&low))
}

// squeeze puts the low nibbles of eight bytes side by side.
func squeeze(x uint64) uint32 {
	x = (x | x>>4) & 0x00ff00ff00ff00ff
	x = (x | x>>8) & 0x0000ffff0000ffff
	return uint32(x | x>>16)
}

// fileRows are a tensor's rows as the file has them. Those of a tensor with an Odd
// part come from its two parts by turns.
type fileRows struct {
	parts []*weights.Tensor
	count int // rows of a part
}

func rowsOf(t *weights.Tensor, rows int) fileRows {
	f := fileRows{[]*weights.Tensor{t}, rows}
	if t.Odd != nil {
		f = fileRows{[]*weights.Tensor{t, t.Odd}, rows / 2}
	}
	return f
}

// of returns rows lo to hi of part i.
func (f *fileRows) of(i, lo, hi int) []byte {
	data := f.parts[i].Data
	size := len(data) / f.count
	return data[lo*size : hi*size]
}

func (f *fileRows) row(r int) []byte {
	n := len(f.parts)
	return f.of(r%n, r/n, r/n+1)
}

// release gives the pages of rows lo to hi back.
func (f *fileRows) release(lo, hi int) {
	n := len(f.parts)
	for i, p := range f.parts {
		p.Release(f.of(i, (lo+i)/n, min((hi-1)/n+1, f.count)))
	}
}

// packed is a tensor's rows, each made of the file's row by pack, size bytes
// long.
func packed(t *weights.Tensor, rows, size int, pack func(dst, src []byte)) piece {
	file := rowsOf(t, rows)
	row := make([]byte, len(file.row(0)))
	cut := make([]byte, size) // a row that does not end where the call does
	return piece{size: rows * size, fill: func(dst []byte, at int) {
		first, last := at/size, (at+len(dst)-1)/size
		for r, skip := first, at%size; len(dst) > 0; r, skip = r+1, 0 {
			t.Copy(row, file.row(r))
			if skip == 0 && len(dst) >= size {
				pack(dst[:size], row)
				dst = dst[size:]
				continue
			}
			pack(cut, row)
			dst = dst[copy(dst, cut[skip:]):]
		}
		file.release(first, last+1)
	}}
}

// numbers are gains, biases or sinks in f32, which holds every value of the
// types that files have them in. The parts of a tensor with an Odd part come by
// turns.
func numbers(t *weights.Tensor) piece {
	parts := []*weights.Tensor{t}
	if t.Odd != nil {
		parts = append(parts, t.Odd)
	}
	n, count := len(parts), t.Len()
	size := len(t.Data) / (count / n) // of a number as stored
	return piece{size: 4 * count, fill: func(dst []byte, at int) {
		first, end := at/4, (at+len(dst))/4
		lo, hi := first/n, ceil(end, n)
		stored := make([][]byte, n)
		for i, p := range parts {
			stored[i] = make([]byte, (hi-lo)*size)
			from := p.Data[lo*size : hi*size]
			p.Copy(stored[i], from)
			p.Release(from)
		}
		for k := first; k < end; k++ {
			binary.LittleEndian.PutUint32(dst[4*(k-first):], number(t.DType, stored[k%n], k/n-lo))
		}
	}}
}

// number returns the bits of number i in f32.
func number(t weights.DType, data []byte, i int) uint32 {
	switch t {
	case weights.F32:
		return binary.LittleEndian.Uint32(data[4*i:])
	case weights.F16:
		return math.Float32bits(kernel.Half(binary.LittleEndian.Uint16(data[2*i:])))
	}
	return uint32(binary.LittleEndian.Uint16(data[2*i:])) << 16
}
