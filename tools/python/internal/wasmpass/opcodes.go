package wasmpass

import "fmt"

// The opcodes that the pass writes or looks for.
const (
	opUnreachable        = 0x00
	opBlock              = 0x02
	opLoop               = 0x03
	opIf                 = 0x04
	opElse               = 0x05
	opTry                = 0x06
	opCatch              = 0x07
	opThrow              = 0x08
	opRethrow            = 0x09
	opThrowRef           = 0x0a
	opEnd                = 0x0b
	opBr                 = 0x0c
	opBrIf               = 0x0d
	opBrTable            = 0x0e
	opReturn             = 0x0f
	opCall               = 0x10
	opCallIndirect       = 0x11
	opReturnCall         = 0x12
	opReturnCallIndirect = 0x13
	opCallRef            = 0x14
	opReturnCallRef      = 0x15
	opDelegate           = 0x18
	opCatchAll           = 0x19
	opDrop               = 0x1a
	opSelectTyped        = 0x1c
	opTryTable           = 0x1f
	opLocalGet           = 0x20
	opLocalSet           = 0x21
	opLocalTee           = 0x22
	opGlobalGet          = 0x23
	opGlobalSet          = 0x24
	opI32Load8U          = 0x2d
	opMemorySize         = 0x3f
	opI32Const           = 0x41
	opI64Const           = 0x42
	opF32Const           = 0x43
	opF64Const           = 0x44
	opI32Eqz             = 0x45
	opI32Eq              = 0x46
	opI32GtU             = 0x4b
	opI32LeU             = 0x4d
	opI64Eqz             = 0x50
	opI64GtU             = 0x56
	opF64Ge              = 0x66
	opI32Add             = 0x6a
	opI32Sub             = 0x6b
	opI32Or              = 0x72
	opI64Add             = 0x7c
	opI64Or              = 0x84
	opI64Shl             = 0x86
	opI64ShrU            = 0x88
	opI32WrapI64         = 0xa7
	opI64ExtendI32U      = 0xad
	opRefNull            = 0xd0
	opBrOnNull           = 0xd5
	opBrOnNonNull        = 0xd6
	opBulk               = 0xfc // a second number follows
	opSIMD               = 0xfd // a second number follows

	memoryInit  = 8  // of opBulk
	memoryCopy  = 10 // of opBulk
	memoryFill  = 11 // of opBulk
	opV128Const = 12 // of opSIMD

	formFunc   = 0x60
	typeI32    = 0x7f
	typeI64    = 0x7e
	typeF32    = 0x7d
	typeF64    = 0x7c
	typeV128   = 0x7b
	typeExnref = 0x69
	mutable    = 1
	blockEmpty = 0x40
)

// immediates skips what follows an opcode. It knows WebAssembly 2.0 with
// SIMD, threads, tail calls and exception handling.
func (r *reader) immediates(op byte) error {
	switch {
	case op == opBlock || op == opLoop || op == opIf || op == opTry: // block types
		r.leb(33)
	case op == opTryTable:
		r.tryTable()
	case op == opCatch, op == opThrow, op == opRethrow, op == opDelegate, // tags and labels
		op == opBr, op == opBrIf,
		op == opCall, op == opReturnCall, // functions
		op >= 0x20 && op <= 0x26,       // variables and tables
		op == opMemorySize, op == 0x40, // and memory.grow
		op == 0xd2, // ref.func
		op == opBrOnNull, op == opBrOnNonNull,
		op == opCallRef, op == opReturnCallRef:
		r.u32()
	case op == opBrTable:
		for n := r.u32(); n > 0 && r.err == nil; n-- {
			r.u32()
		}
		r.u32()
	case op == opCallIndirect, op == opReturnCallIndirect:
		r.u32()
		r.u32()
	case op == opSelectTyped:
		for n := r.u32(); n > 0 && r.err == nil; n-- {
			r.valueType()
		}
	case op >= 0x28 && op <= 0x3e:
		r.memarg()
	case op == opI32Const:
		r.leb(32)
	case op == opI64Const:
		r.leb(64)
	case op == opF32Const:
		r.bytes(4)
	case op == opF64Const:
		r.bytes(8)
	case op == opRefNull:
		r.leb(33)
	case op == opBulk:
		return r.bulk()
	case op == opSIMD:
		return r.simd()
	case op == 0xfe:
		r.atomic()
	case op <= 0x01, op == opElse, op == opThrowRef, op == opEnd, op == opReturn,
		op == opCatchAll, op == opDrop, op == 0x1b,
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
