// Command assembly writes the CPU's kernels that want more than simd/archsimd has names
// for, or more registers than Go's compiler uses: products of weights with several input
// rows, or with few straight from packed rows; products of bytes (AVX512-VNNI); and Mix,
// with numbers that are broadcast from memory, of halves too. It is a module of its own,
// so that nobody else needs its library.
//
// In products of bytes a tile of 24 rows is one vector of 16 rows and one of 8: lane
// r has four neighbouring numbers of row r. The layout of a panel and of input rows
// stands in bytes.go.
package main

import (
	"fmt"
	"math"
	"math/bits"
	"slices"

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
	for n := 1; n <= groupIns; n++ {
		multiplyPanel(fmt.Sprintf("multiply16x%d", n), n, true)
	}
	multiplyPanel("multiply8x1", 1, false)
	multiplyPanel("multiply8x2", 2, false)
	for _, p := range []format{{"BF16", 64, bf16}, {"Q8", 34, q8}, {"MXFP4", 16, mxfp4}, {"MXFP4_17", 17, mxfp4x17}} {
		for n := 1; n <= groupIns; n++ {
			(&few{wide: true, rows: 4, inputs: n}).write(fmt.Sprintf("few%s_16x%d", p.name, n), p)
		}
		for n, rows := range []int{4, 4, 2, 2} {
			if rows == 4 || p.name != "BF16" { // which is widened so fast that twice two input rows take less
				(&few{rows: rows, inputs: n + 1}).write(fmt.Sprintf("few%s_8x%d", p.name, n+1), p)
			}
		}
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
	TEXT(m.name, attr.NOSPLIT, fmt.Sprintf("func(sums *float32, step int, weights *float32, apart int, panel, next *%s, run, n, panels int)", number))
	Doc(fmt.Sprintf("%s is Set.Mix for %d rows and %d of a panel's columns, n rows in each panel.", m.name, m.rows, m.columns()),
		"Distances are in bytes.")
	Pragma("noescape")
	sums, step := Load(Param("sums"), GP64()), Load(Param("step"), GP64())
	weights, distance := Load(Param("weights"), GP64()), Load(Param("apart"), GP64())
	panel, n := Load(Param("panel"), GP64()), Load(Param("n"), GP64())
	out, outBases := apart(m.rows, sums, step)
	in, weightBases := apart(m.rows, weights, distance)
	var next, run, run3 reg.Register
	if m.fetch > 0 {
		next, run, run3 = Load(Param("next"), GP64()), Load(Param("run"), GP64()), GP64()
		LEAQ(Mem{Base: run, Index: run, Scale: 2}, run3)
	}
	Label("panel")
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
	panels, err := Param("panels").Resolve()
	if err != nil {
		panic(err)
	}
	DECQ(panels.Addr)
	JZ(LabelRef("end"))
	Load(Param("n"), n)
	for i, r := range weightBases { // the same weights again, for the next columns of sums
		if i == 0 {
			Load(Param("weights"), r)
		} else {
			LEAQ(Mem{Base: weightBases[0], Index: distance, Scale: 4}, r)
		}
	}
	for _, r := range outBases {
		ADDQ(U32(4*32), r)
	}
	JMP(LabelRef("panel"))
	Label("end")
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

// groupRows rows of a matrix meet up to groupIns input rows at once, as in vector_amd64.go.
const (
	groupRows = 6
	groupIns  = 4
)

// inputs returns pointers to input rows.
func inputs(n int) []reg.Register {
	all, x := Load(Param("x"), GP64()), make([]reg.Register, n)
	for j := range x {
		x[j] = GP64()
		MOVQ(Mem{Base: all, Disp: 8 * j}, x[j])
	}
	return x
}

// multiplyPanel writes a function for the products of a group's rows in a panel with n
// input rows. Lanes stay in registers; a part of the input rows is loaded once, and meets
// a row of the panel after the other.
func multiplyPanel(name string, n int, wide bool) {
	vector := func(i int) vector { return z[i] }
	if !wide {
		vector = func(i int) reg.VecPhysical { return y(z[i]) }
	}
	TEXT(name, attr.NOSPLIT, "func(lanes, panel *float32, x *[4]*float32, at, blocks int, add bool)")
	Doc(fmt.Sprintf("%s sets %d lanes of sums to the products of a panel's rows with %d input rows, from", name, map[bool]int{true: 16, false: 8}[wide], n),
		"a place in bytes on, or adds them.")
	Pragma("noescape")
	lanes, panel, x := Load(Param("lanes"), GP64()), Load(Param("panel"), GP64()), inputs(n)
	at, blocks := Load(Param("at"), GP64()), Load(Param("blocks"), GP64())
	eachSum := func(f func(reg.VecPhysical, Mem)) {
		for r := range groupRows {
			for j := range n {
				f(vector(n*r+j), Mem{Base: lanes, Disp: 64 * (groupIns*r + j)})
			}
		}
	}
	eachSum(func(v reg.VecPhysical, _ Mem) { VXORPS(y(v), y(v), y(v)) })
	add := Load(Param("add"), GP8())
	TESTB(add, add)
	JZ(LabelRef("block"))
	eachSum(func(v reg.VecPhysical, m Mem) { VMOVUPS(m, v) })
	Label("block")
	for part := range 2 {
		in := groupRows * n
		for j := range x {
			VMOVUPS(Mem{Base: x[j], Index: at, Scale: 1, Disp: 64 * part}, vector(in+j))
		}
		for r := range groupRows {
			w := vector(in + n + r%2)
			VMOVUPS(Mem{Base: panel, Disp: 64 * (groupRows*part + r)}, w)
			for j := range x {
				VFMADD231PS(w, vector(in+j), vector(n*r+j))
			}
		}
	}
	ADDQ(U32(2*64*groupRows), panel)
	ADDQ(U32(2*64), at)
	DECQ(blocks)
	JNZ(LabelRef("block"))
	eachSum(func(v reg.VecPhysical, m Mem) { VMOVUPS(v, m) })
	VZEROUPPER()
	RET()
}

// fewAhead is how many bytes ahead packed rows are fetched. What the processor fetches by
// itself leaves a quarter of the memory's speed unused.
const fewAhead = 1024

// few is a function for the products of packed rows with few input rows: in vectors of 16
// lanes, or twice in vectors of 8.
type few struct {
	wide         bool
	rows, inputs int
	half         int // of the lanes, where they are not wide
	first        int // register that is no sum and no input
}

// format is a way to pack rows.
type format struct {
	name  string
	bytes int // of a block

	// begin returns what widens a block of row r, one of those places, to its even and
	// odd elements, in f.widened, and what goes on to the next. Temporary registers 1 and
	// 2 are free in between.
	begin func(f *few, rows []Mem) (widen func(r int) (even, odd vector), next func())
}

func (f *few) vector(i int) vector {
	if f.wide {
		return z[i]
	}
	return y(z[i])
}

// temporary returns one of eight registers that are no sums and no inputs.
func (f *few) temporary(i int) vector { return f.vector(f.first + i) }

// widened are the registers for what is widened of a row; the next row has others.
func (f *few) widened(r int) (even, odd vector) {
	return f.temporary(3 + r%2*2), f.temporary(4 + r%2*2)
}

func (f *few) sum(r, j int) vector { return f.vector(f.inputs*r + j) }

// load, copy, and have names of their own in wide vectors.
func (f *few) load(m Mem, v vector) {
	if f.wide {
		VMOVDQU32(m, v)
	} else {
		VMOVDQU(m, v)
	}
}

func (f *few) copy(from, to vector) {
	if f.wide {
		VMOVDQA32(from, to)
	} else {
		VMOVDQA(from, to)
	}
}

func (f *few) and(a, b, c vector) {
	if f.wide {
		VPANDD(a, b, c)
	} else {
		VPAND(a, b, c)
	}
}

func (f *few) write(name string, p format) {
	TEXT(name, attr.NOSPLIT, "func(sums *float32, rows, scales *byte, apart int, x *[4]*float32, blocks int)")
	Doc(fmt.Sprintf("%s sets a number in each of %d parts of sums, in %d rows of 24, to the products of packed", name, f.rows, f.inputs),
		"rows, which lie apart bytes apart, with input rows.")
	Pragma("noescape")
	f.first = f.rows * f.inputs
	if f.wide {
		f.first += 2 * f.inputs
		f.lanes(p, "block")
	} else {
		low := AllocLocal(32 * f.rows * f.inputs)
		f.half = 0
		f.lanes(p, "low")
		for i := range f.rows * f.inputs {
			VMOVUPS(f.vector(i), low.Offset(32*i))
		}
		f.half = 1
		f.lanes(p, "high")
		for i := range f.rows * f.inputs {
			VADDPS(low.Offset(32*i), f.vector(i), f.vector(i))
		}
	}
	sums := Load(Param("sums"), GP64())
	for j := range f.inputs { // lanes are added as everywhere: halves, then neighbours
		for r := range f.rows {
			if f.wide {
				VEXTRACTF64X4(Imm(1), f.sum(r, j), y(z[31]))
				VADDPS(y(z[31]), y(f.sum(r, j)), y(f.sum(r, j)))
			}
			if r%2 == 1 {
				a, b := y(f.sum(r-1, j)), y(f.sum(r, j))
				VHADDPS(b, a, a)
			}
		}
		a, b := y(f.sum(0, j)), y(f.sum(f.rows-2, j))
		t := y(f.sum(1, j)).AsX()
		VHADDPS(b, a, a)
		VEXTRACTF128(Imm(1), a, t)
		VADDPS(t, a.AsX(), a.AsX())
		for r := range f.rows { // each is of another part of the tile
			VEXTRACTPS(Imm(uint64(r)), a.AsX(), Mem{Base: sums, Disp: stride*j + stride/f.rows*r})
		}
	}
	VZEROUPPER()
	RET()
}

// lanes computes all lanes, or half of them. Sums stay in registers.
func (f *few) lanes(p format, label string) {
	rows, bases := apart(f.rows, Load(Param("rows"), GP64()), Load(Param("apart"), GP64()))
	widen, next := p.begin(f, rows)
	in, blocks := inputs(f.inputs), Load(Param("blocks"), GP64())
	for i := range f.rows * f.inputs {
		VXORPS(y(z[i]), y(z[i]), y(z[i]))
	}
	input := func(part, j int, v vector) vector {
		VMOVUPS(Mem{Base: in[j], Disp: 64*part + 32*f.half}, v)
		return v
	}
	Label(label)
	if f.wide { // there is room for them all
		for part := range 2 {
			for j := range in {
				input(part, j, f.vector(f.rows*f.inputs+part*f.inputs+j))
			}
		}
	}
	for r := 0; r < f.rows; r += 2 {
		var w [2][2]vector
		for i := range w {
			if f.half == 0 {
				PREFETCHT0(rows[r+i].Offset(fewAhead))
			}
			w[i][0], w[i][1] = widen(r + i)
		}
		for part := range 2 {
			for j := range in {
				x := f.vector(f.rows*f.inputs + part*f.inputs + j)
				if !f.wide {
					x = input(part, j, f.temporary(1))
				}
				for i := range w {
					VFMADD231PS(x, w[i][part], f.sum(r+i, j))
				}
			}
		}
	}
	for _, b := range bases {
		ADDQ(Imm(uint64(p.bytes)), b)
	}
	next()
	for _, b := range in {
		ADDQ(U32(4*32), b)
	}
	DECQ(blocks)
	JNZ(LabelRef(label))
}

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

// codes widens codes of E2M1.
type codes struct {
	*few
	table reg.Register
	sign  vector
}

// newCodes uses the first three temporary registers.
func newCodes(f *few) *codes {
	c := &codes{f, GP64(), f.temporary(0)}
	LEAQ(Mem{Symbol: Symbol{Name: "\u00b7scaled"}, Base: reg.StaticBase}, c.table)
	if !f.wide {
		VPBROADCASTD(constant("sign", 1<<31), c.sign)
	}
	return c
}

// elements loads the elements times a block's scale, a byte at a place.
func (c *codes) elements(scale Mem) vector {
	line, v := GP64(), c.temporary(1)
	MOVBLZX(scale, line.As32())
	SHLQ(Imm(6), line)
	VMOVUPS(Mem{Base: c.table, Index: line, Scale: 1}, v)
	return v
}

// look sets v to elements, whose codes are bits of its numbers from one on. A permutation
// of 16 looks at four bits alone; one of 8 at three, and the fourth is the sign.
func (c *codes) look(elements, v vector, from uint64) {
	sign := c.temporary(2)
	if !c.wide {
		VPSLLD(Imm(28-from), v, sign)
		VPAND(c.sign, sign, sign)
	}
	if from > 0 {
		VPSRLD(Imm(from), v, v)
	}
	VPERMPS(elements, v, v)
	if !c.wide {
		VPXOR(sign, v, v)
	}
}

// mxfp4 widens MXFP4 whose scales lie apart: byte j has elements 2j and 2j+1.
func mxfp4(f *few, rows []Mem) (func(int) (even, odd vector), func()) {
	c, step := newCodes(f), Load(Param("apart"), GP64())
	SHRQ(Imm(4), step)
	scales, bases := apart(f.rows, Load(Param("scales"), GP64()), step)
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
			VBROADCASTSS(Mem{Base: scales, Disp: 4 * r}, scale)
			VBROADCASTSS(Mem{Base: rest, Disp: 4 * r}, less)
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
