package wasmpass

import (
	"errors"
	"fmt"
)

var errEnd = errors.New("unexpected end")

// reader decodes the binary format. The first error sticks; after it every
// read gives zero.
type reader struct {
	b   []byte
	pos int
	err error
}

// end reports an error of the reads, or bytes that nobody read.
func (r *reader) end(what string) error {
	if r.err == nil && r.pos != len(r.b) {
		r.err = fmt.Errorf("%d bytes too many", len(r.b)-r.pos)
	}
	if r.err != nil {
		return fmt.Errorf("%s: %w", what, r.err)
	}
	return nil
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *reader) byte() byte {
	if r.err != nil || r.pos >= len(r.b) {
		r.fail(errEnd)
		return 0
	}
	r.pos++
	return r.b[r.pos-1]
}

func (r *reader) bytes(n uint32) []byte {
	if r.err != nil || uint64(n) > uint64(len(r.b)-r.pos) {
		r.fail(errEnd)
		return nil
	}
	r.pos += int(n)
	return r.b[r.pos-int(n) : r.pos]
}

// leb skips or reads an LEB128 number of at most bits bits. The value is
// right for unsigned numbers; of signed ones only the end matters here.
func (r *reader) leb(bits int) uint64 {
	var v uint64
	for shift := 0; ; shift += 7 {
		if shift >= bits {
			r.fail(fmt.Errorf("number of more than %d bits", bits))
			return 0
		}
		c := r.byte()
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return v
		}
	}
}

func (r *reader) u32() uint32 {
	v := r.leb(32)
	if v > 1<<32-1 {
		r.fail(errors.New("number of more than 32 bits"))
		return 0
	}
	return uint32(v)
}

// s32 reads a signed number.
func (r *reader) s32() int32 {
	from := r.pos
	v := r.leb(32)
	if used := 7 * (r.pos - from); used < 32 {
		return int32(v) << (32 - used) >> (32 - used)
	}
	return int32(v)
}

// count reads the length of a section's vector; an absent section has none.
func (r *reader) count() uint32 {
	if len(r.b) == 0 {
		return 0
	}
	return r.u32()
}

func (r *reader) name() string { return string(r.bytes(r.u32())) }

// vec skips a vector of elements of the given size and returns its length.
func (r *reader) vec(size uint32) uint32 {
	n := r.u32()
	if uint64(n)*uint64(size) > uint64(len(r.b)) {
		r.fail(errEnd)
		return 0
	}
	r.bytes(n * size)
	return n
}

func (r *reader) limits() {
	flags := r.byte()
	r.leb(64)
	if flags&1 != 0 {
		r.leb(64)
	}
}

// valueType skips a value type: one byte, or a reference with its heap type.
func (r *reader) valueType() {
	if t := r.byte(); t == 0x63 || t == 0x64 {
		r.leb(33)
	}
}

func appendU32(b []byte, v uint32) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

func appendS32(b []byte, v int32) []byte {
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if (v == 0 && c&0x40 == 0) || (v == -1 && c&0x40 != 0) {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}
