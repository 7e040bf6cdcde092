// Command assembly writes what the CPU's vector kernels need and simd/archsimd has
// no name for: products of bytes (AVX512-VNNI), and products with a number that is
// broadcast from memory, of halves too. It is a module of its own, so that nobody
// else needs its library.
//
// In products of bytes a tile of 24 rows is one vector of 16 rows and one of 8: lane
// r has four neighbouring numbers of row r. The layout of a panel and of input rows
// stands in bytes.go.
package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	"github.com/mmcloughlin/avo/ir"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// As in bytes.go.
const (
	stride     = 96 // of what follows in a panel: four numbers, or the scale, of each row
	panelBlock = 9 * stride
	inputBlock = 48
	inputScale = 32
)

func main() {
	ConstraintExpr("goexperiment.simd")
	multiply()
	// In MXFP4 byte j of a block has element 2j low and 2j+1 high; in GGUF's blocks
	// of 17 bytes, the first of which is the scale, j and j+16. Q8_0 has f16 scales.
	unpack("unpackMXFP4Bytes", 16, 0, nibbles(true))
	unpack("unpackMXFP4x17Bytes", 17, 1, nibbles(false))
	unpack("unpackQ8Bytes", 34, 2, signed)
	for _, m := range []mixer{
		{name: "mix16", rows: 8, vectors: 2, wide: true, fetch: 2},
		{name: "mixHalves16", rows: 8, vectors: 2, wide: true, halves: true, fetch: 4},
		{name: "mixFour16", rows: 4, vectors: 2, wide: true, fetch: 2},
		{name: "mixFourHalves16", rows: 4, vectors: 2, wide: true, halves: true, fetch: 4},
		{name: "mix8", rows: 8, vectors: 1},
		{name: "mixHalves8", rows: 8, vectors: 1, halves: true},
		{name: "mixFour8", rows: 4, vectors: 2},
		{name: "mixFourHalves8", rows: 4, vectors: 2, halves: true},
	} {
		m.write()
	}
	widens()
	Generate()
}

// vector is a register as long as 16 rows or as 8.
type vector = reg.VecPhysical

// pair is a register for rows 0 to 15 and one for rows 16 to 23.
type pair [2]vector

var z = []vector{
	reg.Z0, reg.Z1, reg.Z2, reg.Z3, reg.Z4, reg.Z5, reg.Z6, reg.Z7, reg.Z8, reg.Z9, reg.Z10, reg.Z11, reg.Z12, reg.Z13, reg.Z14, reg.Z15,
	reg.Z16, reg.Z17, reg.Z18, reg.Z19, reg.Z20, reg.Z21, reg.Z22, reg.Z23, reg.Z24, reg.Z25, reg.Z26, reg.Z27, reg.Z28, reg.Z29, reg.Z30, reg.Z31,
}

// rows returns register i as long as 16 rows, and the next as long as 8.
func rows(i int) pair { return pair{z[i], y(z[i+1])} }

// y returns the lower half of a register.
func y(v vector) vector { return v.AsY().(vector) }

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

// multiply multiplies a panel by four input rows.
func multiply() {
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

// mixer is a way to write Set.Mix: the rows of sums, four or eight, the columns of a panel
// that it takes, in so many vectors, and how many of the panel's rows it takes for each
// that it has fetched of four runs.
type mixer struct {
	name    string
	rows    int
	vectors int
	wide    bool // vectors of 16 numbers, or of 8
	halves  bool
	fetch   int // 0: none
}

// size returns the bytes of a number.
func (m *mixer) size() int {
	if m.halves {
		return 2
	}
	return 4
}

// vector returns register i as long as this takes.
func (m *mixer) vector(i int) vector {
	if m.wide {
		return z[i]
	}
	return y(z[i])
}

// apart returns the places of four or eight rows, step apart, and the registers that they
// are relative to.
func apart(n int, first, step reg.Register) (rows []Mem, bases []reg.Register) {
	step3 := GP64()
	LEAQ(Mem{Base: step, Index: step, Scale: 2}, step3)
	bases = []reg.Register{first}
	if n > 4 {
		fifth := GP64()
		LEAQ(Mem{Base: first, Index: step, Scale: 4}, fifth)
		bases = append(bases, fifth)
	}
	rows = make([]Mem, n)
	for i := range rows {
		rows[i] = []Mem{{}, {Index: step, Scale: 1}, {Index: step, Scale: 2}, {Index: step3, Scale: 1}}[i%4]
		rows[i].Base = bases[i/4]
	}
	return rows, bases
}

// write writes the function. The rows of sums stay in registers; a row of the panel is
// loaded once, and meets a weight of each.
func (m *mixer) write() {
	number := map[bool]string{false: "float32", true: "uint16"}[m.halves]
	TEXT(m.name, attr.NOSPLIT, fmt.Sprintf("func(sums *float32, step int, weights *float32, apart int, panel, next *%s, run, n int)", number))
	Doc(fmt.Sprintf("%s is Set.Mix for %d rows and %d of a panel's columns. Distances are in bytes.", m.name, m.rows, m.columns()))
	Pragma("noescape")
	sums, step := Load(Param("sums"), GP64()), Load(Param("step"), GP64())
	weights, distance := Load(Param("weights"), GP64()), Load(Param("apart"), GP64())
	panel, n := Load(Param("panel"), GP64()), Load(Param("n"), GP64())
	out, _ := apart(m.rows, sums, step)
	in, weightBases := apart(m.rows, weights, distance)
	var next, run, run3 reg.Register
	if m.fetch > 0 {
		next, run, run3 = Load(Param("next"), GP64()), Load(Param("run"), GP64()), GP64()
		LEAQ(Mem{Base: run, Index: run, Scale: 2}, run3)
	}
	sum := make([][]vector, m.rows)
	for g := range sum {
		for v := range m.vectors {
			sum[g] = append(sum[g], m.vector(g*m.vectors+v))
			VMOVUPS(out[g].Offset(v*m.vectorBytes()), sum[g][v])
		}
	}
	rowBytes := 32 * m.size()
	row := func(i int) {
		var values []vector
		for v := range m.vectors {
			r := m.vector(m.rows*m.vectors + v)
			if at := (Mem{Base: panel, Disp: i*rowBytes + v*m.vectorBytes()*m.size()/4}); m.halves {
				VCVTPH2PS(at, r)
			} else {
				VMOVUPS(at, r)
			}
			values = append(values, r)
		}
		for g := range sum {
			weight := m.vector((m.rows+1)*m.vectors + g%4)
			VBROADCASTSS(in[g].Offset(4*i), weight)
			for v := range values {
				VFMADD231PS(weight, values[v], sum[g][v])
			}
		}
	}
	advance := func(rows int) {
		for _, r := range weightBases {
			ADDQ(Imm(uint64(4*rows)), r)
		}
		ADDQ(U32(rowBytes*rows), panel)
	}
	if m.fetch > 0 {
		SUBQ(Imm(uint64(m.fetch)), n)
		JL(LabelRef("rest"))
		Label("rows")
		for i, at := range [4]Mem{{Base: next}, {Base: next, Index: run, Scale: 1}, {Base: next, Index: run, Scale: 2}, {Base: next, Index: run3, Scale: 1}} {
			PREFETCHT2(at)
			for r := i * m.fetch / 4; r < (i+1)*m.fetch/4; r++ {
				row(r)
			}
		}
		ADDQ(Imm(64), next)
		advance(m.fetch)
		SUBQ(Imm(uint64(m.fetch)), n)
		JGE(LabelRef("rows"))
		Label("rest")
		ADDQ(Imm(uint64(m.fetch)), n)
		JZ(LabelRef("done"))
	}
	Label("row")
	row(0)
	advance(1)
	DECQ(n)
	JNZ(LabelRef("row"))
	Label("done")
	for g := range sum {
		for v, r := range sum[g] {
			VMOVUPS(r, out[g].Offset(v*m.vectorBytes()))
		}
	}
	VZEROUPPER()
	RET()
}

func (m *mixer) vectorBytes() int {
	if m.wide {
		return 64
	}
	return 32
}

func (m *mixer) columns() int { return m.vectors * m.vectorBytes() / 4 }

// widens writes a question about the processor that simd/archsimd does not answer.
func widens() {
	TEXT("hasF16C", attr.NOSPLIT, "func() bool")
	Doc("hasF16C reports whether the processor widens halves in vectors of eight.")
	MOVL(U32(1), reg.EAX)
	XORL(reg.ECX, reg.ECX)
	CPUID()
	SHRL(U8(29), reg.ECX)
	ANDL(U8(1), reg.ECX)
	Store(reg.CL, ReturnIndex(0))
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

var constants = map[string]Mem{}

// constant returns the place of 16 bytes.
func constant(name string, words ...uint32) Mem {
	if m, ok := constants[name]; ok {
		return m
	}
	m := GLOBL(name, attr.RODATA|attr.NOPTR)
	for i, w := range words {
		DATA(4*i, U32(w))
	}
	constants[name] = m
	return m
}
