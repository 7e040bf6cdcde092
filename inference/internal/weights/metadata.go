package weights

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
)

// Metadata is the key-value part of a GGUF header. Its values are views of the
// file: an array is walked over once, to know that it is whole, and copied only
// where it is asked for.
type Metadata struct {
	values map[string]value
}

// value is one value as it lies in the file.
type value struct {
	kind valueKind
	elem valueKind // of an array
	n    int       // elements of an array
	raw  []byte    // the number, the string's text, or the array's elements
}

// valueKind is how GGUF numbers the types of values.
type valueKind uint32

const (
	kindString valueKind = 8
	kindArray  valueKind = 9
)

// kinds are the types of values by number. A string or an array has no fixed
// size.
var kinds = [...]struct {
	name string
	size uint64
}{{"u8", 1}, {"i8", 1}, {"u16", 2}, {"i16", 2}, {"u32", 4}, {"i32", 4}, {"f32", 4}, {"bool", 1},
	{"string", 0}, {"array", 0}, {"u64", 8}, {"i64", 8}, {"f64", 8}}

func (k valueKind) String() string {
	if int64(k) < int64(len(kinds)) {
		return kinds[k].name
	}
	return fmt.Sprintf("type %d", uint32(k))
}

// maxDepth bounds arrays of arrays, which the format allows and nobody writes.
const maxDepth = 4

func readMetadata(r *reader, n uint64) (*Metadata, error) {
	m := &Metadata{values: map[string]value{}}
	for range n {
		key := r.name()
		kind := valueKind(r.u32())
		v := r.value(kind, 0)
		if r.err != nil {
			return nil, fmt.Errorf("key %q: %w", brief([]byte(key)), r.err)
		}
		if _, twice := m.values[key]; twice {
			return nil, fmt.Errorf("key %q appears twice", key)
		}
		m.values[key] = v
	}
	return m, nil
}

// value reads a value of a type. Each turn of its loop takes bytes of the file,
// so that the time is bounded by the file's size whatever it says.
func (r *reader) value(kind valueKind, depth int) value {
	v := value{kind: kind}
	switch {
	case int64(kind) >= int64(len(kinds)):
		r.fail("a value of unknown type %d", uint32(kind))
	case kind == kindString:
		v.raw = r.take(r.u64())
	case kind != kindArray:
		v.raw = r.take(kinds[kind].size)
	case depth == maxDepth:
		r.fail("arrays nested more than %d deep", maxDepth)
	default:
		v.elem = valueKind(r.u32())
		n, from := r.u64(), r.at
		r.elements(v.elem, n, depth+1)
		if r.err == nil {
			v.n, v.raw = int(n), r.b[from:r.at]
		}
	}
	return v
}

// elements walks over the elements of an array.
func (r *reader) elements(kind valueKind, n uint64, depth int) {
	if int64(kind) < int64(len(kinds)) && kinds[kind].size > 0 {
		hi, size := bits.Mul64(n, kinds[kind].size)
		if hi != 0 {
			size = math.MaxUint64
		}
		r.take(size)
		return
	}
	for i := uint64(0); i < n && r.err == nil; i++ {
		r.value(kind, depth)
	}
	if n > math.MaxInt32 {
		r.fail("an array of %d elements", n)
	}
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

// alignment returns to what the data's starts are rounded up.
func (m *Metadata) alignment() (uint64, error) {
	const key = "general.alignment"
	if !m.Has(key) {
		return 32, nil
	}
	n, err := m.Int(key)
	if err == nil && (n < 1 || n > 1<<20 || n&(n-1) != 0) {
		err = fmt.Errorf("%s is %d, want a power of two of at most %d", key, n, 1<<20)
	}
	return uint64(n), err
}

// checkPart holds that the file is part i of n, as its name said.
func (m *Metadata) checkPart(i, n int) error {
	for _, k := range []struct {
		key  string
		want int
	}{{"split.count", n}, {"split.no", i}} {
		if n == 1 && !m.Has(k.key) {
			continue
		}
		switch got, err := m.Int(k.key); {
		case err != nil:
			return err
		case k.key == "split.count" && got == 0 && n == 1: // as a model that was put together again says
		case got != k.want:
			return fmt.Errorf("%s is %d, want %d: the parts of a model are called name-00001-of-00003.gguf and lie together", k.key, got, k.want)
		}
	}
	return nil
}

// checkParts compares the number of tensors in all parts with what the first
// one promises.
func (m *Metadata) checkParts(tensors int) error {
	const key = "split.tensors.count"
	if !m.Has(key) {
		return nil
	}
	if n, err := m.Int(key); err != nil || n != tensors {
		return errors.Join(err, fmt.Errorf("%d tensors are there, %s is %d", tensors, key, n))
	}
	return nil
}

// Has reports whether the file has the key.
func (m *Metadata) Has(key string) bool { _, ok := m.values[key]; return ok }

func (m *Metadata) get(key, want string, fits func(value) bool) (value, error) {
	v, ok := m.values[key]
	switch {
	case !ok:
		return v, fmt.Errorf("key %s is missing", key)
	case fits(v):
		return v, nil
	case v.kind == kindArray:
		return v, fmt.Errorf("key %s is an array of %v, want %s", key, v.elem, want)
	}
	return v, fmt.Errorf("key %s is %v, want %s", key, v.kind, want)
}

// String returns a string. A missing key and a value of another type are
// errors, here and below.
func (m *Metadata) String(key string) (string, error) {
	v, err := m.get(key, "a string", func(v value) bool { return v.kind == kindString })
	return string(v.raw), err
}

// Int returns an integer of any type that fits an int.
func (m *Metadata) Int(key string) (int, error) {
	v, err := m.get(key, "an integer", value.isInt)
	if err != nil {
		return 0, err
	}
	n, ok := integer(v.kind, v.raw)
	if !ok {
		return 0, fmt.Errorf("key %s is out of range", key)
	}
	return n, nil
}

// Float returns a floating-point number or an integer.
func (m *Metadata) Float(key string) (float64, error) {
	v, err := m.get(key, "a number", func(v value) bool { return v.isInt() || v.isFloat() })
	switch {
	case err != nil:
		return 0, err
	case v.isInt():
		n, err := m.Int(key)
		return float64(n), err
	case len(v.raw) == 4:
		return float64(math.Float32frombits(binary.LittleEndian.Uint32(v.raw))), nil
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(v.raw)), nil
}

// Strings returns an array of strings. They share one copy of the array's
// bytes.
func (m *Metadata) Strings(key string) ([]string, error) {
	v, err := m.get(key, "an array of strings", func(v value) bool { return v.kind == kindArray && v.elem == kindString })
	if err != nil {
		return nil, err
	}
	text, out := string(v.raw), make([]string, v.n)
	at := 0
	for i := range out {
		n := int(binary.LittleEndian.Uint64(v.raw[at:]))
		out[i] = text[at+8 : at+8+n]
		at += 8 + n
	}
	return out, nil
}

// Ints returns an array of integers of any type that fits an int.
func (m *Metadata) Ints(key string) ([]int, error) {
	v, err := m.get(key, "an array of integers", func(v value) bool { return v.kind == kindArray && value{kind: v.elem}.isInt() })
	if err != nil {
		return nil, err
	}
	size := int(kinds[v.elem].size)
	out := make([]int, v.n)
	for i := range out {
		var ok bool
		if out[i], ok = integer(v.elem, v.raw[i*size:(i+1)*size]); !ok {
			return nil, fmt.Errorf("key %s: element %d is out of range", key, i)
		}
	}
	return out, nil
}

func (v value) isInt() bool {
	return v.kind <= 5 || v.kind == 10 || v.kind == 11
}

func (v value) isFloat() bool { return v.kind == 6 || v.kind == 12 }

// integer widens a number of an integer type.
func integer(kind valueKind, b []byte) (n int, ok bool) {
	var u uint64
	for i, x := range b {
		u |= uint64(x) << (8 * i)
	}
	if signed := kind&1 == 1; signed { // i8, i16, i32 and i64 have odd numbers
		free := 64 - 8*len(b)
		s := int64(u<<free) >> free
		return int(s), s == int64(int(s))
	}
	return int(u), u <= math.MaxInt
}
