package weights

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"sort"
)

// maxHeader bounds the JSON header, as the reference implementation does. The
// 120b checkpoint's headers are under 1 MB.
const maxHeader = 100 << 20

// sizes of the container's element types, in bytes.
var sizes = map[DType]int{
	"BOOL": 1, U8: 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1,
	"I16": 2, "U16": 2, "F16": 2, BF16: 2,
	"I32": 4, "U32": 4, F32: 4,
	"I64": 8, "U64": 8, "F64": 8,
}

// errNoHeader is the error of a file that does not say which tensors it has.
var errNoHeader = errors.New("not safetensors, or truncated")

// parse reads the header of one safetensors file and returns views of its
// tensors in the order of their data. The data must be covered without gap or
// overlap.
func parse(file string, b []byte) ([]*Tensor, error) {
	if len(b) < 8 {
		return nil, fmt.Errorf("%s: %d bytes is too short: %w", file, len(b), errNoHeader)
	}
	n := binary.LittleEndian.Uint64(b)
	if n > maxHeader || n > uint64(len(b)-8) {
		return nil, fmt.Errorf("%s: header of %d bytes in a file of %d: %w", file, n, len(b), errNoHeader)
	}
	infos, err := parseHeader(b[8 : 8+n])
	if err != nil {
		return nil, fmt.Errorf("%s: header: %w", file, err)
	}
	return place(file, b[8+n:], infos)
}

// info is the header's entry for one tensor.
type info struct {
	name    string
	DType   DType     `json:"dtype"`
	Shape   []uint64  `json:"shape"`
	Offsets [2]uint64 `json:"data_offsets"`
}

func parseHeader(header []byte) ([]info, error) {
	dec := json.NewDecoder(bytes.NewReader(header))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return nil, fmt.Errorf("not a JSON object")
	}
	var infos []info
	seen := map[string]bool{}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, err
		}
		name := key.(string) // the decoder allows nothing else for a key
		if seen[name] {
			return nil, fmt.Errorf("tensor %q appears twice", name)
		}
		seen[name] = true
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return nil, fmt.Errorf("tensor %q: %w", name, err)
		}
		if name == "__metadata__" {
			continue
		}
		in, err := parseInfo(name, raw)
		if err != nil {
			return nil, fmt.Errorf("tensor %q: %w", name, err)
		}
		infos = append(infos, in)
	}
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	if rest := bytes.TrimSpace(header[dec.InputOffset():]); len(rest) > 0 {
		return nil, fmt.Errorf("%d bytes after the JSON object", len(rest))
	}
	return infos, nil
}

func parseInfo(name string, raw json.RawMessage) (info, error) {
	in := info{name: name}
	var present map[string]json.RawMessage
	if err := json.Unmarshal(raw, &present); err != nil {
		return in, err
	}
	for _, key := range []string{"dtype", "shape", "data_offsets"} {
		if present[key] == nil {
			return in, fmt.Errorf("%s is missing", key)
		}
	}
	var offsets []uint64
	if err := json.Unmarshal(present["data_offsets"], &offsets); err != nil || len(offsets) != 2 {
		return in, fmt.Errorf("data_offsets is %s, want two numbers", brief(present["data_offsets"]))
	}
	if err := json.Unmarshal(present["shape"], &in.Shape); err != nil || len(in.Shape) > 8 {
		return in, fmt.Errorf("shape is %s, want at most eight sizes", brief(present["shape"]))
	}
	if err := json.Unmarshal(present["dtype"], &in.DType); err != nil {
		return in, fmt.Errorf("dtype is %s", brief(present["dtype"]))
	}
	in.Offsets = [2]uint64(offsets)
	return in, nil
}

// brief shortens outside text for a message.
func brief(b []byte) string {
	if len(b) > 60 {
		return string(b[:60]) + "…"
	}
	return string(b)
}

// place turns header entries into views of data.
func place(file string, data []byte, infos []info) ([]*Tensor, error) {
	sort.Slice(infos, func(i, j int) bool {
		a, b := infos[i].Offsets, infos[j].Offsets
		return a[0] < b[0] || a[0] == b[0] && a[1] < b[1]
	})
	var end uint64
	tensors := make([]*Tensor, 0, len(infos))
	for _, in := range infos {
		fail := func(format string, args ...any) error {
			return fmt.Errorf("%s: tensor %q: %s", file, in.name, fmt.Sprintf(format, args...))
		}
		a, b := in.Offsets[0], in.Offsets[1]
		want, shape, ok := extent(in)
		switch {
		case sizes[in.DType] == 0:
			return nil, fail("unknown dtype %q", in.DType)
		case !ok:
			return nil, fail("shape %v is too large", in.Shape)
		case b < a || b > uint64(len(data)):
			return nil, fail("data [%d:%d) lies outside the file's %d bytes of data: the file is truncated or damaged", a, b, len(data))
		case b-a != want:
			return nil, fail("%d bytes of data, but %s %v takes %d", b-a, in.DType, in.Shape, want)
		case a < end:
			return nil, fail("data [%d:%d) overlaps the tensor before it", a, b)
		case a > end:
			return nil, fail("%d unused bytes before its data", a-end)
		}
		end = b
		tensors = append(tensors, &Tensor{Name: in.name, File: file, DType: in.DType, Shape: shape, Data: data[a:b:b]})
	}
	if end != uint64(len(data)) {
		return nil, fmt.Errorf("%s: %d bytes after the last tensor", file, uint64(len(data))-end)
	}
	return tensors, nil
}

// extent returns the size in bytes that an entry's type and shape call for.
func extent(in info) (size uint64, shape []int, ok bool) {
	size = uint64(sizes[in.DType])
	for _, d := range in.Shape {
		hi, lo := bits.Mul64(size, d)
		if hi != 0 || lo > 1<<62 || d > 1<<48 || d > math.MaxInt {
			return 0, nil, false
		}
		size = lo
		shape = append(shape, int(d))
	}
	return size, shape, true
}
