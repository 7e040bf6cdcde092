package main

import "fmt"

// Registers: sums have the first sixteen; a row's block is widened to its even and its odd
// elements, by way of temporary ones, with constants behind them where it has any.
const (
	even, odd = 16, 20
	temporary = 24
	constant  = 28
)

// format is a way to pack rows.
type format struct {
	name   string
	scales bool // lie apart, a byte for each block
	begin  func()
	// widen widens the block at a register, and moves that behind it; likewise for the
	// place of the scale.
	widen func(row, scale int)
}

var formats = []format{
	{"BF16", false, func() {
		op("MOVD $0xffff0000, R26")
		op("VDUP R26, V%d.S4", constant)
	}, bf16},
	{"F16", false, nothing, f16},
	{"F32", false, nothing, f32},
	{"Q8", false, nothing, q8},
	{"MXFP4", true, codes, mxfp4},
	{"MXFP4_17", false, codes, mxfp4x17},
}

func nothing() {}

// take loads registers from v on, and moves the place behind them.
func take(row, v, n int) {
	if n == 1 {
		op("FMOVQ.P 16(R%d), F%d", row, v)
	}
	for i := 0; i+1 < n; i += 2 {
		op("FLDPQ.P 32(R%d), (F%d, F%d)", row, v+i, v+i+1)
	}
}

// bf16 widens BF16: even elements are lower halves of words.
func bf16(row, _ int) {
	take(row, odd, 4)
	for i := range 4 {
		op("VSHL $16, V%d.S4, V%d.S4", odd+i, even+i)
		op("VAND V%d.B16, V%d.B16, V%d.B16", constant, odd+i, odd+i)
	}
}

func f16(row, _ int) {
	take(row, temporary, 4)
	for i := range 2 {
		a, b := temporary+2*i, temporary+2*i+1
		uzp1("H8", constant, a, b)
		uzp2("H8", constant+1, a, b)
		fcvtl(even+2*i, constant)
		fcvtl2(even+2*i+1, constant)
		fcvtl(odd+2*i, constant+1)
		fcvtl2(odd+2*i+1, constant+1)
	}
}

func f32(row, _ int) {
	for i := range 4 {
		take(row, temporary, 2)
		uzp1("S4", even+i, temporary, temporary+1)
		uzp2("S4", odd+i, temporary, temporary+1)
	}
}

// q8 widens Q8_0: a scale in f16, and signed bytes.
func q8(row, _ int) {
	op("MOVHU.P 2(R%d), R26", row)
	op("VDUP R26, V%d.H8", constant)
	fcvtl(constant, constant)
	take(row, temporary, 2)
	uzp1("B16", temporary+2, temporary, temporary+1)
	uzp2("B16", temporary+3, temporary, temporary+1)
	for i, v := range []int{even, odd} {
		bytes, low, high := temporary+2+i, temporary, temporary+1
		word2(0x0f08a400, "sxtl.8h", low, bytes)
		word2(0x4f08a400, "sxtl2.8h", high, bytes)
		for k, h := range []int{low, high} {
			word2(0x0f10a400, "sxtl.4s", v+2*k, h)
			word2(0x4f10a400, "sxtl2.4s", v+2*k+1, h)
		}
		for k := range 4 {
			scvtf(v+k, v+k)
			fmul(v+k, v+k, constant)
		}
	}
}

// Elements of E2M1 are upper halves of numbers, of which tables have the two bytes.
const (
	lowBytes, highBytes = constant, constant + 1
	nothingAtAll        = constant + 2 // the lower halves
	nibble              = constant + 3
)

func codes() {
	op("MOVD $·elements(SB), R26")
	load(26, 0, lowBytes, 2)
	zero(nothingAtAll)
	op("VMOVI $15, V%d.B16", nibble)
}

// look widens sixteen codes.
func look(v, codes int) {
	low, high := temporary+2, temporary+3
	op("VTBL V%d.B16, [V%d.B16], V%d.B16", codes, lowBytes, low)
	op("VTBL V%d.B16, [V%d.B16], V%d.B16", codes, highBytes, high)
	zip1("B16", v, low, high)
	zip2("B16", v+2, low, high)
	for _, h := range []int{v, v + 2} {
		zip2("H8", h+1, nothingAtAll, h)
		zip1("H8", h, nothingAtAll, h)
	}
}

// exponent reads the byte at a place, and moves that on.
func exponent(place int) { op("MOVBU.P 1(R%d), R24", place) }

// scale multiplies all by 2^(e-127), where e is the exponent that was read.
func scale() {
	op("MOVD $·e8m0(SB), R25")
	op("ADD R24<<2, R25")
	op("VLD1R (R25), [V%d.S4]", temporary)
	for i := range 8 {
		fmul(even+i, even+i, temporary)
	}
}

// nibbles loads 16 bytes to two registers: their lower and their upper halves.
func nibbles(row int) (low, high int) {
	low, high = temporary, temporary+1
	take(row, low, 1)
	op("VUSHR $4, V%d.B16, V%d.B16", low, high)
	op("VAND V%d.B16, V%d.B16, V%d.B16", nibble, low, low)
	return low, high
}

// mxfp4 widens MXFP4: byte j has elements 2j and 2j+1.
func mxfp4(row, place int) {
	low, high := nibbles(row)
	look(even, low)
	look(odd, high)
	exponent(place)
	scale()
}

// mxfp4x17 widens GGUF's blocks: the scale, and then byte j has elements j and j+16.
func mxfp4x17(row, _ int) {
	exponent(row)
	low, high := nibbles(row)
	uzp1("B16", temporary+2, low, high)
	uzp2("B16", high, low, high)
	move(low, temporary+2)
	look(even, low)
	look(odd, high)
	scale()
}

// unpack writes an unpacker.
func (f *format) unpack() {
	const dst, step, row, place, n = 0, 1, 2, 3, 4
	function("unpack"+f.name+"NEON", "widens so many blocks, half a block and then the other at a distance of step bytes.",
		"dst *float32, step int, rows *byte, scales *byte, blocks int")
	f.begin()
	label("block")
	f.widen(row, place)
	for _, v := range []int{even, odd} {
		store(dst, 0, v, 4)
		op("ADD R%d, R%d", step, dst)
	}
	op("SUBS $1, R%d", n)
	op("BNE block")
	op("RET")
}

// few writes the products of packed rows with few input rows.
func (f *format) few(rows, inputs int) {
	const sums, row, place, apart, x, n, in = 0, 1, 2, 3, 4, 5, 10
	function(fmt.Sprintf("few%sx%d", f.name, inputs), fmt.Sprintf("sets a number in each of %d parts of sums, in %d rows of %d, to the products\n// of packed rows, which lie apart bytes apart, with input rows.", rows, inputs, tileRows),
		"sums *float32, rows *byte, scales *byte, apart int, x *[4]*float32, blocks int, ahead int")
	sum := func(r, j int) int { return 4 * (r*inputs + j) }
	rowAt, placeAt := []int{row, 6}, []int{place, 7}
	if rows == 2 {
		op("ADD R%d, R%d, R%d", apart, row, rowAt[1])
		op("ADD R%d>>4, R%d, R%d", apart, place, placeAt[1]) // one byte for sixteen
	}
	for j := range inputs {
		op("MOVD %d(R%d), R%d", 8*j, x, in+j)
	}
	for i := range 4 * rows * inputs {
		zero(i)
	}
	f.begin()
	label("block")
	for r := range rows {
		f.widen(rowAt[r], placeAt[r])
		for j := range inputs {
			for k, v := range []int{even, odd} {
				load(in+j, 4*lanes*k, temporary, 4)
				for i := range 4 {
					fmla(sum(r, j)+i, v+i, temporary+i)
				}
			}
		}
	}
	for j := range inputs {
		op("ADD $%d, R%d", 8*lanes, in+j)
	}
	op("SUBS $1, R%d", n)
	op("BNE block")
	for r := range rows {
		for j := range inputs {
			s := sum(r, j)
			fadd(s, s, s+2)
			fadd(s+1, s+1, s+3)
			faddp(s, s, s+1)
			faddp(s, s, s)
			faddp(s, s, s)
			op("FMOVS F%d, %d(R%d)", s, 4*tileRows*j+4*tileRows/rows*r, sums)
		}
	}
	op("RET")
}
