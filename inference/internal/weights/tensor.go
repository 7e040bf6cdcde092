// Package weights opens the tensor files of a checkpoint and hands out views
// of them: a tensor's bytes lie in the mapped file (or in the given memory)
// and are never copied or unpacked. It knows two containers, safetensors and
// GGUF, in one file or many, and the element types that gpt-oss comes in; it
// does not know which tensors a model has.
//
// A file is judged whole before the first view is handed out: a header that
// lies about sizes, overlapping or missing data, a type that is not supported
// are errors that name the file and the tensor. Of the numbers themselves only
// the scales of safetensors are looked at, which lie together; a damaged number
// elsewhere shows as logits that are none.
//
// A file may be truncated while it is mapped, and reading past its end is then a
// fault that would end the process: see Guard.
package weights

import (
	"fmt"
	"slices"
)

// DType is the element type of a tensor, spelled as safetensors spells it.
type DType string

// The types that gpt-oss checkpoints are made of.
const (
	F32  DType = "F32"
	F16  DType = "F16"
	BF16 DType = "BF16" // the upper half of an f32
	U8   DType = "U8"

	// Q8_0 is GGUF's 8-bit integers in blocks of 32 along the last dimension. A
	// block is 34 bytes: a scale in f16, then 32 signed bytes. The value is
	// scale * byte, which is exact in f32.
	Q8_0 DType = "Q8_0"

	// MXFP4 is no type of safetensors: the OCP microscaling format of 4-bit
	// floats (E2M1) in blocks of 32 along the last dimension, each block with
	// one power of two (E8M0). The value is E2M1(nibble) * 2^(scale-127). Data
	// holds 16 bytes a block: byte j has element 2j in the low nibble and
	// element 2j+1 in the high one. Scales holds one byte a block, none 255.
	MXFP4 DType = "MXFP4"

	// MXFP4Blocks is the same numbers as GGUF stores them, under the name of
	// MXFP4. A block is 17 bytes: the scale, then byte j with element j in the
	// low nibble and element j+16 in the high one. A scale of 255 is NaN.
	MXFP4Blocks DType = "MXFP4 blocks"
)

// Block is the number of elements that share a scale, in every type that has
// scales.
const Block = 32

// A block of Q8_0 and one of MXFP4Blocks, in bytes.
const (
	Q8Bytes    = 2 + Block
	MXFP4Bytes = 1 + Block/2
)

// Tensor is a view of a checkpoint. Rows are contiguous and the last dimension
// varies fastest; numbers are little-endian.
type Tensor struct {
	Name   string // as in the file
	File   string // where it is from, for messages
	DType  DType
	Shape  []int
	Data   []byte // view, not to be written to
	Scales []byte // MXFP4 only

	// Odd is set where two tensors of the file are one here, index by index of
	// dimension 1 in turns: this one's Data has the even ones, Odd's the odd
	// ones. Shape is that of both together, and Odd's own is half of it. GGUF
	// stores the experts' gate and up rows apart, other formats in turns.
	Odd *Tensor

	store *Store // of mapped tensors, nil for others
}

// interleave joins two tensors of equal type and shape: even's index i of
// dimension 1 becomes 2i, odd's becomes 2i+1.
func interleave(even, odd *Tensor) *Tensor {
	t := *even
	t.Shape = slices.Clone(even.Shape)
	t.Shape[1] *= 2
	t.Odd = odd
	return &t
}

// Bytes returns what the tensor takes as stored.
func (t *Tensor) Bytes() int {
	n := len(t.Data) + len(t.Scales)
	if t.Odd != nil {
		n += t.Odd.Bytes()
	}
	return n
}

// Len returns the number of elements.
func (t *Tensor) Len() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// Slice returns rows lo to hi of the first dimension as a view. It panics when
// the range is outside the tensor, as slicing does.
func (t *Tensor) Slice(lo, hi int) *Tensor {
	rows := t.Shape[0]
	if lo < 0 || hi < lo || hi > rows {
		panic(fmt.Sprintf("weights: rows [%d:%d) of %s with %d rows", lo, hi, t.Name, rows))
	}
	s := *t
	s.Shape = append([]int{hi - lo}, t.Shape[1:]...)
	s.Data = cut(t.Data, lo, hi, rows)
	if t.Scales != nil {
		s.Scales = cut(t.Scales, lo, hi, rows)
	}
	if t.Odd != nil {
		s.Odd = t.Odd.Slice(lo, hi)
	}
	return &s
}

// cut returns rows lo to hi of b, which holds the given number of rows.
func cut(b []byte, lo, hi, rows int) []byte {
	if rows == 0 {
		return b
	}
	n := len(b) / rows
	return b[lo*n : hi*n : hi*n]
}
