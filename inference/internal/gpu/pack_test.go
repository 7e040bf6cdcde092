//go:build cgo && (amd64 || arm64)

package gpu

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"

	"chorale/inference/internal/drivers"
	"chorale/inference/internal/kernel"
	"chorale/inference/internal/weights"
	"chorale/shaders"
)

// whole returns all bytes of a piece.
func whole(p piece) []byte {
	all := make([]byte, p.size)
	p.fill(all, 0)
	return all
}

// TestPieces asks for tensors in pieces of every size: what they are cut into
// does not show.
func TestPieces(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	tensor := func(kind weights.DType, bytes int, shape ...int) *weights.Tensor {
		data := make([]byte, bytes)
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		return &weights.Tensor{DType: kind, Shape: shape, Data: data}
	}
	q8 := tensor(weights.Q8_0, 5*3*weights.Q8Bytes, 5, 96)
	blocks := tensor(weights.MXFP4Blocks, 2*3*2*weights.MXFP4Bytes, 2, 6, 64)
	blocks.Odd = tensor(weights.MXFP4Blocks, len(blocks.Data), 2, 3, 64)
	bf16 := tensor(weights.BF16, 35*40*2, 35, 40)
	many := tensor(weights.MXFP4Blocks, 32*2*weights.MXFP4Bytes, 1, 32, 64)
	for name, make_ := range map[string]func() piece{
		"Q8_0":            func() piece { return matrixRows(q8, nil) },
		"bf16":            func() piece { return matrixRows(bf16, nil) },
		"bf16 in tiles":   func() piece { return matrixRows(bf16, &tiler{}) },
		"codes":           func() piece { return codes(blocks, nil) },
		"codes in tiles":  func() piece { return codes(blocks, &tiler{}) },
		"scales":          func() piece { return scales(blocks, nil) },
		"scales in tiles": func() piece { return scales(many, &tiler{}) },
	} {
		want := whole(make_())
		for cut := 1; cut < len(want); cut++ {
			p, got := make_(), make([]byte, len(want))
			for at := 0; at < p.size; at += cut {
				p.fill(got[at:min(at+cut, p.size)], at)
			}
			if !bytes.Equal(got, want) {
				t.Fatalf("%s in pieces of %d differs", name, cut)
			}
		}
	}
	// Row 3 of expert 1 is row 1 of the odd part's, element 37 of it is the fifth
	// of the second block.
	all := whole(codes(blocks, nil))
	block := blocks.Odd.Data[((1*3+1)*2+1)*weights.MXFP4Bytes:]
	if got, want := all[(1*6+3)*32+37/2]>>4, block[1+5]&15; got != want {
		t.Errorf("code is %d, want %d", got, want)
	}
}

// TestHalves reads every half-precision number out of a table, and every byte of
// Q8_0 under many scales; all are exact.
func TestHalves(t *testing.T) {
	for _, driver := range drivers.All {
		t.Run(driver.Name, func(t *testing.T) {
			b := newBench(t, driver)
			const width, rows = 1024, 64
			ids, out := make([]uint32, rows), make([]float32, rows*width)
			halves := make([]uint16, rows*width)
			for i := range halves {
				halves[i] = uint16(i)
			}
			for i := range ids {
				ids[i] = uint32(i)
			}
			embed := func(table any, format shaders.Format) {
				push := shaders.EmbedPush{Tokens: rows, Width: width, Rows: rows}
				run(b, &shaders.Embed, []int{8, int(format)}, push, width/8/8, rows, ids, table, out)
			}
			same := func(i int, want float32) {
				t.Helper()
				if got := out[i]; math.Float32bits(got) != math.Float32bits(want) && !(got != got && want != want) {
					t.Fatalf("number %d is %v, want %v", i, got, want)
				}
			}
			embed(halves, shaders.FormatF16)
			for i, h := range halves {
				same(i, kernel.Half(h))
			}
			file := &weights.Tensor{DType: weights.Q8_0, Shape: []int{rows, width}}
			for i := range rows * width / weights.Block {
				file.Data = binary.LittleEndian.AppendUint16(file.Data, uint16(i*15)) // all exponents but the last
				for j := range weights.Block {
					file.Data = append(file.Data, byte(i*weights.Block+j*5))
				}
			}
			embed(whole(matrixRows(file, nil)), shaders.FormatQ8)
			m := kernel.Matrix{Format: kernel.Q8_0, Rows: rows, Cols: width, Data: file.Data}
			want := make([]float32, width)
			for r := range rows {
				m.Row(want, r)
				for i, v := range want {
					same(r*width+i, v)
				}
			}
		})
	}
}
