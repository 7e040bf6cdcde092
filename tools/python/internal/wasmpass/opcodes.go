package wasmpass

import "fmt"

// The opcodes that the pass writes or looks for.
const (
	opLoop      = 0x03
	opIf        = 0x04
	opEnd       = 0x0b
	opCall      = 0x10
	opDrop      = 0x1a
	opGlobalGet = 0x23
	opGlobalSet = 0x24
	opI32Const  = 0x41
	opI32Eqz    = 0x45
	opI32Sub    = 0x6b

	typeI32    = 0x7f
	mutable    = 1
	blockEmpty = 0x40
)

// immediates skips what follows an opcode. It knows WebAssembly 2.0 with
// SIMD, threads, tail calls and exception handling.
func (r *reader) immediates(op byte) error {
	switch {
	case op == 0x02 || op == opLoop || op == opIf || op == 0x06: // block types
		r.leb(33)
	case op == 0x1f:
		r.tryTable()
	case op == 0x07, op == 0x08, op == 0x09, op == 0x18, // tags and labels
		op == 0x0c, op == 0x0d,
		op == opCall, op == 0x12, // functions
		op >= 0x20 && op <= 0x26, // variables and tables
		op == 0x3f, op == 0x40,   // memory.size, memory.grow
		op == 0xd2, // ref.func
		op == 0xd5, op == 0xd6,
		op == 0x14, op == 0x15:
		r.u32()
	case op == 0x0e: // br_table
		for n := r.u32(); n > 0 && r.err == nil; n-- {
			r.u32()
		}
		r.u32()
	case op == 0x11, op == 0x13: // indirect calls
		r.u32()
		r.u32()
	case op == 0x1c: // select with types
		for n := r.u32(); n > 0 && r.err == nil; n-- {
			r.valueType()
		}
	case op >= 0x28 && op <= 0x3e:
		r.memarg()
	case op == opI32Const:
		r.leb(32)
	case op == 0x42:
		r.leb(64)
	case op == 0x43:
		r.bytes(4)
	case op == 0x44:
		r.bytes(8)
	case op == 0xd0: // ref.null
		r.leb(33)
	case op == 0xfc:
		return r.bulk()
	case op == 0xfd:
		return r.simd()
	case op == 0xfe:
		r.atomic()
	case op <= 0x01, op == 0x05, op == 0x0a, op == opEnd, op == 0x0f,
		op == 0x19, op == opDrop, op == 0x1b,
		op >= opI32Eqz && op <= 0xc4,
		op == 0xd1, op == 0xd3, op == 0xd4:
	default:
		return fmt.Errorf("unknown opcode 0x%02x", op)
	}
	return nil
}

func (r *reader) memarg() {
	if align := r.u32(); align&0x40 != 0 { // a memory index follows
		r.u32()
	}
	r.leb(64)
}

func (r *reader) tryTable() {
	r.leb(33)
	for n := r.u32(); n > 0 && r.err == nil; n-- {
		if kind := r.byte(); kind < 2 { // catch and catch_ref name a tag
			r.u32()
		}
		r.u32()
	}
}

// bulk skips saturating conversions, bulk memory and table instructions.
func (r *reader) bulk() error {
	switch sub := r.u32(); {
	case sub <= 7:
	case sub == 9 || sub == 11 || sub == 13 || (sub >= 15 && sub <= 17):
		r.u32()
	case sub == 8 || sub == 10 || sub == 12 || sub == 14:
		r.u32()
		r.u32()
	default:
		return fmt.Errorf("unknown opcode 0xfc %d", sub)
	}
	return nil
}

func (r *reader) simd() error {
	switch sub := r.u32(); {
	case sub <= 11 || sub == 92 || sub == 93:
		r.memarg()
	case sub == 12 || sub == 13: // v128.const, i8x16.shuffle
		r.bytes(16)
	case sub >= 21 && sub <= 34: // lanes
		r.byte()
	case sub >= 84 && sub <= 91:
		r.memarg()
		r.byte()
	case sub <= 0x113: // the last of the relaxed instructions
	default:
		return fmt.Errorf("unknown opcode 0xfd %d", sub)
	}
	return nil
}

func (r *reader) atomic() {
	if r.u32() == 3 { // fence
		r.byte()
		return
	}
	r.memarg()
}
