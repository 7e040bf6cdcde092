package weights

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
)

// The limits of a GGUF header. Released files of gpt-oss have a few dozen keys
// and under a thousand tensors; a header that claims more is damaged, and lists
// are not made before each entry has been read.
const (
	maxKeys    = 1 << 16
	maxTensors = 1 << 20
	maxName    = 1 << 8 // bytes of a tensor's name or a key
)

// ggmlType is how GGUF numbers element types. A block of so many elements takes
// so many bytes.
type ggmlType struct {
	name            string
	elements, bytes uint64
	dtype           DType // "" where this package does not read it
}

// ggmlTypes are those of ggml.h. The ones that are not read are here for their
// names alone.
var ggmlTypes = map[uint32]ggmlType{
	0: {"F32", 1, 4, F32}, 1: {"F16", 1, 2, F16}, 8: {"Q8_0", Block, Q8Bytes, Q8_0},
	30: {"BF16", 1, 2, BF16}, 39: {"MXFP4", Block, MXFP4Bytes, MXFP4Blocks},

	2: {name: "Q4_0"}, 3: {name: "Q4_1"}, 6: {name: "Q5_0"}, 7: {name: "Q5_1"}, 9: {name: "Q8_1"},
	10: {name: "Q2_K"}, 11: {name: "Q3_K"}, 12: {name: "Q4_K"}, 13: {name: "Q5_K"}, 14: {name: "Q6_K"}, 15: {name: "Q8_K"},
	16: {name: "IQ2_XXS"}, 17: {name: "IQ2_XS"}, 18: {name: "IQ3_XXS"}, 19: {name: "IQ1_S"}, 20: {name: "IQ4_NL"},
	21: {name: "IQ3_S"}, 22: {name: "IQ2_S"}, 23: {name: "IQ4_XS"}, 24: {name: "I8"}, 25: {name: "I16"}, 26: {name: "I32"},
	27: {name: "I64"}, 28: {name: "F64"}, 29: {name: "IQ1_M"}, 34: {name: "TQ1_0"}, 35: {name: "TQ2_0"},
}

// reader walks over a GGUF header. It keeps its first error, after which every
// read gives zeros.
type reader struct {
	b   []byte
	at  int
	err error
}

var errHeaderEnds = errors.New("the header goes on past the end of the file: truncated or damaged")

// take returns the next n bytes as a view, nil where there are fewer.
func (r *reader) take(n uint64) []byte {
	if r.err != nil {
		return nil
	}
	if n > uint64(len(r.b)-r.at) {
		r.err = errHeaderEnds
		return nil
	}
	b := r.b[r.at : r.at+int(n)]
	r.at += int(n)
	return b
}

func (r *reader) u32() uint32 {
	if b := r.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (r *reader) u64() uint64 {
	if b := r.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// name reads a string that must be short.
func (r *reader) name() string {
	n := r.u64()
	if r.err == nil && (n == 0 || n > maxName) {
		r.err = fmt.Errorf("a name of %d bytes, want 1 to %d", n, maxName)
	}
	return string(r.take(n))
}

// isGGUF reports whether a file begins as GGUF does.
func isGGUF(b []byte) bool { return len(b) >= 4 && string(b[:4]) == "GGUF" }

// parseGGUF reads the header of a GGUF file, version 3, and returns its
// metadata and views of its tensors in the order of their data. See
// https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
func parseGGUF(file string, b []byte) (*Metadata, []*Tensor, error) {
	fail := func(err error) (*Metadata, []*Tensor, error) { return nil, nil, fmt.Errorf("%s: %w", file, err) }
	r := &reader{b: b}
	if magic := r.take(4); !isGGUF(magic) {
		return fail(errors.New("not GGUF, or truncated"))
	}
	if v := r.u32(); r.err == nil && v != 3 {
		if bits.ReverseBytes32(v) == 3 {
			return fail(errors.New("big-endian GGUF is not supported"))
		}
		return fail(fmt.Errorf("GGUF version %d is not supported, only 3 is", v))
	}
	tensors, keys := r.u64(), r.u64()
	switch {
	case r.err != nil:
		return fail(r.err)
	case tensors > maxTensors || keys > maxKeys:
		return fail(fmt.Errorf("%d tensors and %d keys are more than a checkpoint has: damaged", tensors, keys))
	}
	m, err := readMetadata(r, keys)
	if err != nil {
		return fail(err)
	}
	infos, err := readTensorInfos(r, tensors)
	if err != nil {
		return fail(err)
	}
	align, err := m.alignment()
	if err != nil {
		return fail(err)
	}
	start := roundUp(uint64(r.at), align)
	if start > uint64(len(b)) {
		if len(infos) > 0 {
			return fail(errHeaderEnds)
		}
		start = uint64(len(b)) // the first of several files may hold no tensors
	}
	views, err := placeGGUF(file, b[start:], infos, align)
	return m, views, err
}

// ggufInfo is the header's entry for one tensor.
type ggufInfo struct {
	name         string
	kind         ggmlType
	shape        []int // slowest first
	offset, size uint64
}

func readTensorInfos(r *reader, n uint64) ([]ggufInfo, error) {
	var infos []ggufInfo
	seen := map[string]bool{}
	for range n {
		in := ggufInfo{name: r.name()}
		dims := r.u32()
		if r.err == nil && dims > 4 {
			r.err = fmt.Errorf("tensor %q has %d dimensions, want at most 4", in.name, dims)
		}
		var shape [4]uint64
		for i := range min(dims, 4) {
			shape[i] = r.u64()
		}
		kind := r.u32()
		in.offset = r.u64()
		if r.err != nil {
			return nil, r.err
		}
		if seen[in.name] {
			return nil, fmt.Errorf("tensor %q appears twice", in.name)
		}
		seen[in.name] = true
		if err := in.judge(kind, shape[:dims]); err != nil {
			return nil, fmt.Errorf("tensor %q: %w", in.name, err)
		}
		infos = append(infos, in)
	}
	return infos, nil
}

// judge sets type, shape and size from the header's numbers; dims are fastest
// first.
func (in *ggufInfo) judge(kind uint32, dims []uint64) error {
	t, known := ggmlTypes[kind]
	switch {
	case !known:
		return fmt.Errorf("its type %d is unknown; supported are F32, F16, BF16, Q8_0 and MXFP4", kind)
	case t.dtype == "":
		return fmt.Errorf("its type %s is not supported; F32, F16, BF16, Q8_0 and MXFP4 are", t.name)
	}
	in.kind = t
	count := uint64(1)
	for i, d := range dims {
		hi, lo := bits.Mul64(count, d)
		if hi != 0 || lo > 1<<60 || d > math.MaxInt32 {
			return fmt.Errorf("its dimensions %v are too large", dims)
		}
		if i == 0 && d%t.elements != 0 {
			return fmt.Errorf("its rows of %d elements are no whole blocks of %d, as %s has them", d, t.elements, t.name)
		}
		count = lo
		in.shape = append(in.shape, int(d))
	}
	if len(dims) == 0 && t.elements > 1 {
		return fmt.Errorf("one element is no whole block of %d, as %s has them", t.elements, t.name)
	}
	slices.Reverse(in.shape)
	hi, size := bits.Mul64(count/t.elements, t.bytes)
	if hi != 0 || size > math.MaxInt {
		return fmt.Errorf("its dimensions %v are too large", dims)
	}
	in.size = size
	return nil
}

// placeGGUF turns header entries into views of data. Tensors lie one behind the
// other, each start rounded up to the alignment.
func placeGGUF(file string, data []byte, infos []ggufInfo, align uint64) ([]*Tensor, error) {
	slices.SortStableFunc(infos, func(a, b ggufInfo) int {
		return cmp.Or(cmp.Compare(a.offset, b.offset), cmp.Compare(a.size, b.size)) // empty tensors share a start
	})
	var end uint64
	tensors := make([]*Tensor, 0, len(infos))
	for _, in := range infos {
		fail := func(format string, args ...any) error {
			return fmt.Errorf("%s: tensor %q: %s", file, in.name, fmt.Sprintf(format, args...))
		}
		n := uint64(len(data))
		switch {
		case in.offset%align != 0:
			return nil, fail("its offset %d is no multiple of the alignment %d", in.offset, align)
		case in.offset > n || in.size > n-in.offset:
			return nil, fail("%d bytes from %d on lie outside the file's %d bytes of data: the file is truncated or damaged", in.size, in.offset, n)
		case in.offset < end:
			return nil, fail("its data from %d on overlaps the tensor before it", in.offset)
		case in.offset > roundUp(end, align):
			return nil, fail("%d unused bytes before its data", in.offset-end)
		}
		end = in.offset + in.size
		tensors = append(tensors, &Tensor{Name: in.name, File: file, DType: in.kind.dtype, Shape: in.shape, Data: data[in.offset:end:end]})
	}
	if rest := uint64(len(data)) - end; rest >= align && len(infos) > 0 {
		return nil, fmt.Errorf("%s: %d bytes after the last tensor", file, rest)
	}
	return tensors, nil
}

// roundUp returns the next multiple of align, a power of two. The n that it is
// given are sizes within a file, so nothing overflows.
func roundUp(n, align uint64) uint64 { return (n + align - 1) &^ (align - 1) }
