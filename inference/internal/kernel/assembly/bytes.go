package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// In products of bytes a tile of 24 rows is one vector of 16 rows and one of 8: lane
// r has four neighbouring numbers of row r. The layout of a panel and of input rows
// stands in the kernels' bytes.go.
const (
	stride     = 96 // of what follows in a panel: four numbers, or the scale, of each row
	panelBlock = 9 * stride
	inputBlock = 48
	inputScale = 32
)

// pair is a register for rows 0 to 15 and one for rows 16 to 23.
type pair [2]vector

// rows returns register i as long as 16 rows, and the next as long as 8.
func rows(i int) pair { return pair{z[i], y(z[i+1])} }

func (p pair) load(m Mem) {
	VMOVDQU32(m, p[0])
	VMOVDQU32(m.Offset(64), p[1])
}

func (p pair) store(m Mem) {
	VMOVDQU32(p[0], m)
	VMOVDQU32(p[1], m.Offset(64))
}

// dot adds the products of four signed bytes of x with four unsigned ones of w to
// each lane of sum. The library has no name for it either.
func dot(x, w, sum vector) {
	Instruction(&ir.Instruction{Opcode: "VPDPBUSD", Operands: []Op{x, w, sum}, Inputs: []Op{x, w, sum}, Outputs: []Op{sum}})
}

// multiplyBytes writes a function that multiplies a panel by four input rows.
func multiplyBytes() {
	const inputs = 4
	TEXT("dotBytes", attr.NOSPLIT, "func(sums *float32, panel, x0, x1, x2, x3 *byte, fix, blocks int)")
	Doc("dotBytes adds the products of a panel with four input rows to their sums, which",
		"lie one after the other. fix is the place of what to begin with in a block of inputs.")
	Pragma("noescape")
	sums, panel := Load(Param("sums"), GP64()), Load(Param("panel"), GP64())
	var x [inputs]reg.Register
	var sum, acc [inputs]pair
	for j := range x {
		x[j] = Load(Param(fmt.Sprintf("x%d", j)), GP64())
	}
	fix, blocks := Load(Param("fix"), GP64()), Load(Param("blocks"), GP64())
	for j := range sum {
		sum[j], acc[j] = rows(2*j), rows(8+2*j)
		sum[j].load(Mem{Base: sums, Disp: j * stride})
	}
	w, scale, t, in := rows(16), rows(18), rows(20), z[22]
	Label("block")
	for j := range acc {
		VPBROADCASTD(Mem{Base: x[j], Index: fix, Scale: 1}, acc[j][0])
		VMOVDQA32(y(acc[j][0]), acc[j][1])
	}
	for g := range 8 {
		w.load(Mem{Base: panel, Disp: g * stride})
		for j := range acc {
			VPBROADCASTD(Mem{Base: x[j], Disp: 4 * g}, in)
			dot(in, w[0], acc[j][0])
			dot(y(in), w[1], acc[j][1])
		}
	}
	scale.load(Mem{Base: panel, Disp: 8 * stride})
	for j := range acc {
		VBROADCASTSS(Mem{Base: x[j], Disp: inputScale}, in)
		for i, one := range (pair{in, y(in)}) {
			VCVTDQ2PS(acc[j][i], acc[j][i])
			VMULPS(one, scale[i], t[i])
			VMULPS(t[i], acc[j][i], t[i])
			VADDPS(t[i], sum[j][i], sum[j][i])
		}
	}
	ADDQ(U32(panelBlock), panel)
	for j := range x {
		ADDQ(Imm(inputBlock), x[j])
	}
	DECQ(blocks)
	JNZ(LabelRef("block"))
	for j := range sum {
		sum[j].store(Mem{Base: sums, Disp: j * stride})
	}
	VZEROUPPER()
	RET()
}

// unpack writes a function that brings the numbers of 24 packed rows into a panel.
// Each quarter of a vector takes a row's 16 bytes, and another three rows three
// more vectors; halves gives what is to be turned round among them.
func unpack(name string, block, first int, halves func(load func(z []vector, at int), z [2][]vector)) {
	TEXT(name, attr.NOSPLIT, "func(panel, data *byte, row, blocks int)")
	Doc(name+" brings so many blocks of 24 rows, which lie row bytes apart, into a panel,",
		"all but the scales.")
	Pragma("noescape")
	panel, data := Load(Param("panel"), GP64()), Load(Param("data"), GP64())
	row, blocks := Load(Param("row"), GP64()), Load(Param("blocks"), GP64())
	row3 := GP64()
	LEAQ(Mem{Base: row, Index: row, Scale: 2}, row3)
	fours := [6]reg.Register{data} // every fourth row
	for i := 1; i < len(fours); i++ {
		next := GP64()
		LEAQ(Mem{Base: fours[i-1], Index: row, Scale: 4}, next)
		fours[i] = next
	}
	Label("block")
	for half, from := range []int{0, 4} {
		to := []int{4, 6}[half]
		regs := func(i int) []vector {
			v := append([]vector(nil), z[i:i+4]...)
			for k := range v {
				if half == 1 {
					v[k] = y(v[k])
				}
			}
			return v
		}
		load := func(v []vector, at int) {
			for i := range v {
				for lane, p := range fours[from:to] {
					m := []Mem{{Base: p}, {Base: p, Index: row, Scale: 1}, {Base: p, Index: row, Scale: 2}, {Base: p, Index: row3, Scale: 1}}[i].Offset(first + at)
					if lane == 0 {
						VMOVDQU32(m, v[i].AsX())
					} else {
						VINSERTI32X4(Imm(uint64(lane)), m, v[i], v[i])
					}
				}
			}
		}
		parts := [2][]vector{regs(0), regs(4)}
		halves(load, parts)
		for h, part := range parts {
			for g, v := range turn(part, regs(8)) {
				VMOVDQU32(v, Mem{Base: panel, Disp: (4*h+g)*stride + 64*half})
			}
		}
	}
	for i := range fours {
		ADDQ(U8(block), fours[i])
	}
	ADDQ(U32(panelBlock), panel)
	DECQ(blocks)
	JNZ(LabelRef("block"))
	VZEROUPPER()
	RET()
}

// turn makes four vectors with four words of a row in each quarter ones with one
// word of four rows, using four more.
func turn(v, t []vector) []vector {
	VPUNPCKLDQ(v[1], v[0], t[0])
	VPUNPCKLDQ(v[3], v[2], t[1])
	VPUNPCKHDQ(v[1], v[0], t[2])
	VPUNPCKHDQ(v[3], v[2], t[3])
	VPUNPCKLQDQ(t[1], t[0], v[0])
	VPUNPCKHQDQ(t[1], t[0], v[1])
	VPUNPCKLQDQ(t[3], t[2], v[2])
	VPUNPCKHQDQ(t[3], t[2], v[3])
	return v
}

// nibbles reads MXFP4: neighbours lie in a byte, or what is 16 apart does.
func nibbles(neighbours bool) func(func([]vector, int), [2][]vector) {
	return func(load func([]vector, int), v [2][]vector) {
		lower, values := like(v[0][0], constant("lower", 0x0f0f0f0f, 0x0f0f0f0f, 0x0f0f0f0f, 0x0f0f0f0f), 30),
			like(v[0][0], constant("values", 0x0f0e0d0c, 0x18141210, 0x090a0b0c, 0x00040608), 31)
		load(v[0], 0)
		for i, low := range v[0] {
			high := v[1][i]
			VPSRLW(Imm(4), low, high)
			VPANDD(lower, low, low)
			VPANDD(lower, high, high)
			VPSHUFB(low, values, low)
			VPSHUFB(high, values, high)
			if neighbours {
				t := like(low, nil, 29)
				VPUNPCKLBW(high, low, t)
				VPUNPCKHBW(high, low, high)
				VMOVDQA32(t, low)
			}
		}
	}
}

// signed reads Q8_0, and makes its bytes unsigned by adding 128.
func signed(load func([]vector, int), v [2][]vector) {
	upper := like(v[0][0], constant("upper", 0x80808080, 0x80808080, 0x80808080, 0x80808080), 30)
	for h := range v {
		load(v[h], 16*h)
		for _, r := range v[h] {
			VPXORD(upper, r, r)
		}
	}
}

// like returns a register as long as another, with a constant in each quarter.
func like(v vector, constant Op, i int) vector {
	r := z[i]
	if v.Size() == 32 {
		r = y(r)
	}
	if constant != nil {
		VBROADCASTI32X4(constant, r)
	}
	return r
}
