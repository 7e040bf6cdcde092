// Package weights opens the tensor files of a checkpoint and hands out views
// of them: a tensor's bytes lie in the mapped file (or in the given memory)
// and are never copied or unpacked. It knows the safetensors container, one
// file or many, and MXFP4 as gpt-oss stores it; it does not know which tensors
// a model has.
//
// A file is judged whole before the first view is handed out: a header that
// lies about sizes, overlapping or missing data, a scale of 255 are errors that
// name the file and the tensor. A mapped file must not be truncated while it is
// open: the operating system ends a process that reads past its end.
package weights

import "fmt"

// DType is the element type of a tensor, spelled as safetensors spells it.
type DType string

// The types that gpt-oss checkpoints are made of.
const (
	BF16 DType = "BF16" // the upper half of an f32
	U8   DType = "U8"
	F32  DType = "F32"

	// MXFP4 is no type of the container: the OCP microscaling format of 4-bit
	// floats (E2M1) in blocks of 32 along the last dimension, each block with
	// one power of two (E8M0). See Tensor.
	MXFP4 DType = "MXFP4"
)

// Block is the number of MXFP4 elements that share a scale.
const Block = 32

// Tensor is a view of a checkpoint. Rows are contiguous and the last dimension
// varies fastest; numbers are little-endian.
//
// An MXFP4 tensor has its logical shape [..., rows, k] with k a multiple of 32.
// Data holds 16 bytes a block: byte j has element 2j in the low nibble and
// element 2j+1 in the high one. Scales holds one byte a block. The value is
// E2M1(nibble) * 2^(scale-127), and no scale is 255.
type Tensor struct {
	Name   string // as in the file
	File   string // where it is from, for messages
	DType  DType
	Shape  []int
	Data   []byte // view, not to be written to
	Scales []byte // MXFP4 only

	store *Store // of mapped tensors, nil for others
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
