package main

import (
	"math"
	"math/bits"
	"slices"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// format is a way to pack rows.
type format struct {
	name  string
	bytes int // of a block

	// begin returns what widens a block of row r, one of those places, to its even and
	// odd elements, in f.widened, and what goes on to the next. Temporary registers 1 and
	// 2 are free in between, but for the second half of a row where the first has just
	// been (few.both).
	begin func(f *few, rows []Mem) (widen func(r int) (even, odd vector), next func())
}

// short reports whether a block of four rows is about one cache line. A row is then over
// soon, and what is fetched is the next tile, from end to end, a line a block (of 17 bytes,
// which exceed that, all lines but one of 17).
func (p *format) short() bool { return 4*p.bytes < 2*64 }

// bf16 widens BF16: even numbers are lower halves.
func bf16(f *few, rows []Mem) (func(int) (even, odd vector), func()) {
	upper := f.temporary(0)
	VPBROADCASTD(constant("upperHalf", 0xffff0000), upper)
	return func(r int) (even, odd vector) {
		even, odd = f.widened(r)
		f.load(rows[r].Offset(32*f.half), even)
		f.and(even, upper, odd)
		VPSLLD(Imm(16), even, even)
		return even, odd
	}, func() {}
}

// codes widens codes of E2M1, with temporary registers 1 and 2.
type codes struct {
	*few
	table reg.Register
}

func newCodes(f *few) *codes {
	c, table := &codes{f, GP64()}, "\u00b7crossed"
	if f.wide {
		table = "\u00b7scaled"
	}
	LEAQ(Mem{Symbol: Symbol{Name: table}, Base: reg.StaticBase}, c.table)
	return c
}

// elements loads the elements times a block's scale, a byte at a place.
func (c *codes) elements(scale Mem) vector {
	line, v := GP64(), c.temporary(1)
	if c.both() && c.half == 1 {
		return v // as the first half has left it
	}
	MOVBLZX(scale, line.As32())
	if c.wide {
		SHLQ(Imm(6), line)
	} else {
		SHLQ(Imm(5), line)
	}
	VMOVUPS(Mem{Base: c.table, Index: line, Scale: 1}, v)
	return v
}

// look sets v to elements, whose codes are bits of its numbers from one on. A permutation
// of 16 looks at four bits alone; one of 8 at three, and the fourth is the sign: all four
// go to the top, where those three are crossed out by what the table has there.
func (c *codes) look(elements, v vector, from uint64) {
	if from > 0 {
		VPSRLD(Imm(from), v, v)
	}
	top := c.temporary(2)
	if !c.wide {
		VPSLLD(Imm(28), v, top)
	}
	VPERMPS(elements, v, v)
	if !c.wide {
		VPXOR(top, v, v)
	}
}

// mxfp4 widens MXFP4 whose scales lie apart: byte j has elements 2j and 2j+1.
func mxfp4(f *few, rows []Mem) (func(int) (even, odd vector), func()) {
	c := newCodes(f)
	scales, bases := f.places("scales", 4) // one byte for sixteen
	if f.rows > 1 && f.half == 0 {         // those of the next tile
		ahead, end := Load(Param("ahead"), GP64()), Load(Param("blocks"), GP64())
		SHRQ(Imm(4), ahead)
		ADDQ(bases[0], ahead)
		LEAQ(Mem{Base: ahead, Index: end, Scale: uint8(f.rows)}, end)
		Label("scales")
		PREFETCHT1(Mem{Base: ahead})
		ADDQ(Imm(64), ahead)
		CMPQ(ahead, end)
		JB(LabelRef("scales"))
	}
	return func(r int) (even, odd vector) {
			even, odd = f.widened(r)
			elements := c.elements(scales[r])
			VPMOVZXBD(rows[r].Offset(8*f.half), even)
			f.copy(even, odd)
			c.look(elements, even, 0)
			c.look(elements, odd, 4)
			return even, odd
		}, func() {
			for _, b := range bases {
				INCQ(b)
			}
		}
}

// mxfp4x17 widens GGUF's blocks: byte j has elements j and j+16. A lane takes the word
// in which its elements are.
func mxfp4x17(f *few, rows []Mem) (func(int) (even, odd vector), func()) {
	words := f.temporary(7)
	low, high := []uint32{0x80800100, 0x80800302, 0x80800504, 0x80800706}, []uint32{0x80800908, 0x80800b0a, 0x80800d0c, 0x80800f0e}
	f.load(constant("words", slices.Concat(low, high, low, high)...), words)
	c := newCodes(f)
	return func(r int) (even, odd vector) {
		even, odd = f.widened(r)
		elements := c.elements(rows[r])
		if at := rows[r].Offset(1); f.wide {
			VBROADCASTI32X4(at, even)
		} else {
			VBROADCASTI128(at, even)
		}
		VPSHUFB(words, even, even)
		if f.wide {
			VPSRLVD(constant("upperLanes", 0, 0, 0, 0, 0, 0, 0, 0, 4, 4, 4, 4, 4, 4, 4, 4), even, even)
		}
		f.copy(even, odd)
		c.look(elements, even, uint64(4*f.half))
		c.look(elements, odd, uint64(8+4*f.half))
		return even, odd
	}, func() {}
}

// q8 widens Q8_0. A byte b becomes b+128 in the middle of a number's bits, which is then
// 2^15+128+b, and that times the scale, less the scale's product with the rest, is exact.
// Scales, and those products, are widened to begin with, to where the scales are not.
func q8(f *few, rows []Mem) (func(int) (even, odd vector), func()) {
	const block = 34
	numbers := f.vector(0).Size() / 4 // that are widened at once
	scales, rest, blocks := Load(Param("scales"), GP64()), GP64(), Load(Param("blocks"), GP64())
	LEAQ(Mem{Base: blocks, Disp: int(numbers)/f.rows - 1}, rest)
	SHRQ(Imm(uint64(bits.Len(numbers)-bits.Len(uint(f.rows)))), rest)
	times := GP64()
	MOVQ(rest, times)
	SHLQ(Imm(uint64(bits.Len(numbers)+1)), rest)
	if f.half == 0 {
		halves, row, scale, product := GP64(), GP64(), GP64(), GP64()
		LEAQ(Mem{Base: scales, Index: rest, Scale: 2}, halves)
		MOVQ(rows[0].Base, row)
		Label("gather")
		for r := range f.rows {
			h, at := GP64(), rows[r]
			at.Base = row
			MOVWLZX(at, h.As32())
			MOVW(h.As16(), Mem{Base: halves, Disp: 2 * r})
		}
		ADDQ(Imm(block), row)
		ADDQ(Imm(uint64(2*f.rows)), halves)
		DECQ(blocks)
		JNZ(LabelRef("gather"))
		less, v := f.temporary(0), f.temporary(1)
		VPBROADCASTD(constant("less", math.Float32bits(-(1<<15+128))), less)
		MOVQ(scales, scale)
		LEAQ(Mem{Base: scales, Index: rest, Scale: 1}, product)
		LEAQ(Mem{Base: scales, Index: rest, Scale: 2}, halves)
		Label("widen")
		VCVTPH2PS(Mem{Base: halves}, v)
		VMOVUPS(v, Mem{Base: scale})
		VMULPS(less, v, v)
		VMOVUPS(v, Mem{Base: product})
		ADDQ(Imm(uint64(2*numbers)), halves)
		ADDQ(Imm(uint64(4*numbers)), scale)
		ADDQ(Imm(uint64(4*numbers)), product)
		DECQ(times)
		JNZ(LabelRef("widen"))
	}
	ADDQ(scales, rest)
	middle, number := f.temporary(0), f.temporary(7)
	VPBROADCASTD(constant("middle", 0xff00), middle)
	VPBROADCASTD(constant("number", math.Float32bits(1<<15)|0x8000), number)
	return func(r int) (even, odd vector) {
			even, odd = f.widened(r)
			scale, less := f.temporary(1), f.temporary(2)
			VPMOVZXWD(rows[r].Offset(2+16*f.half), odd)
			if !f.both() || f.half == 0 {
				VBROADCASTSS(Mem{Base: scales, Disp: 4 * r}, scale)
				VBROADCASTSS(Mem{Base: rest, Disp: 4 * r}, less)
			}
			VPSLLD(Imm(8), odd, even)
			for _, v := range []vector{even, odd} {
				if f.wide {
					VPTERNLOGD(Imm(0x6a), number, middle, v) // v and middle, exclusive or number
				} else {
					VPAND(middle, v, v)
					VPXOR(number, v, v)
				}
				VFMADD213PS(less, scale, v)
			}
			return even, odd
		}, func() {
			ADDQ(Imm(uint64(4*f.rows)), scales)
			ADDQ(Imm(uint64(4*f.rows)), rest)
		}
}
