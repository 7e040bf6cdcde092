package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// fewAhead is how many bytes ahead packed rows are fetched that are long. What the
// processor fetches by itself leaves a quarter of the memory's speed unused.
const fewAhead = 1024

// few is a function for the products of packed rows with few input rows: in vectors of 16
// lanes, or of 8, half of them after the other. For one input row both halves have room.
type few struct {
	wide         bool
	rows, inputs int
	half         int // of the lanes, where they are not wide
	first        int // register that is no sum and no input
}

func (f *few) both() bool { return !f.wide && f.inputs == 1 }

func (f *few) vector(i int) vector { return register(i, f.wide) }

// places returns the places of rows that a parameter is the first of, which lie apart
// bytes apart, or a power of two less, and the registers that they are relative to. A
// single row lies apart from nothing.
func (f *few) places(first string, less uint64) (rows []Mem, bases []reg.Register) {
	p := Load(Param(first), GP64())
	if f.rows == 1 {
		return []Mem{{Base: p}}, []reg.Register{p}
	}
	step := Load(Param("apart"), GP64())
	if less > 0 {
		SHRQ(Imm(less), step)
	}
	return apart(f.rows, p, step)
}

// temporary returns one of eight registers that are no sums and no inputs.
func (f *few) temporary(i int) vector { return f.vector(f.first + i) }

// widened are the registers for what is widened of a row; the next row has others.
func (f *few) widened(r int) (even, odd vector) {
	return f.temporary(3 + r%2*2), f.temporary(4 + r%2*2)
}

// sum is the register of row r's sum with input row j, or the half of it.
func (f *few) sum(r, j int) vector {
	if f.both() {
		r += f.rows * f.half
	}
	return f.vector(f.inputs*r + j)
}

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

// write writes the function for a format.
func (f *few) write(name string, p format) {
	TEXT(name, attr.NOSPLIT, "func(sums *float32, rows, scales *byte, apart int, x *[4]*float32, blocks, ahead int)")
	Doc(fmt.Sprintf("%s sets a number in each of %d parts of sums, in %d rows of 24, to the products of packed", name, f.rows, f.inputs),
		"rows, which lie apart bytes apart, with input rows.")
	Pragma("noescape")
	f.first = f.rows * f.inputs
	if f.wide {
		f.first += 2 * f.inputs
		f.lanes(p, "block")
	} else if f.both() {
		f.first *= 2
		f.lanes(p, "block")
		for r := range f.rows {
			VADDPS(f.vector(r), f.vector(f.rows+r), f.vector(r))
		}
		f.half = 0
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
	rows, bases := f.places("rows", 0)
	widen, next := p.begin(f, rows)
	in, blocks := inputs(f.inputs), Load(Param("blocks"), GP64())
	var ahead reg.Register
	if p.short() && f.half == 0 {
		ahead = Load(Param("ahead"), GP64())
		ADDQ(rows[0].Base, ahead)
	}
	sums := f.rows * f.inputs
	if f.both() {
		sums *= 2
	}
	for i := range sums {
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
	for r := 0; r < f.rows && f.both(); r++ {
		for f.half = range 2 {
			if !p.short() && f.half == 0 {
				PREFETCHT0(rows[r].Offset(fewAhead))
			}
			even, odd := widen(r)
			VFMADD231PS(Mem{Base: in[0], Disp: 32 * f.half}, even, f.sum(r, 0))
			VFMADD231PS(Mem{Base: in[0], Disp: 64 + 32*f.half}, odd, f.sum(r, 0))
		}
	}
	for r := 0; r < f.rows && !f.both(); r += 2 {
		var w [2][2]vector
		for i := range w {
			if !p.short() && f.half == 0 {
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
	if ahead != nil {
		PREFETCHT1(Mem{Base: ahead})
		ADDQ(Imm(uint64(f.rows*p.bytes)), ahead)
	}
	for _, b := range in {
		ADDQ(U32(4*32), b)
	}
	DECQ(blocks)
	JNZ(LabelRef(label))
}

// widen writes a function that widens a packed row to the split layout.
func (f *few) widen(name string, p format) {
	TEXT(name, attr.NOSPLIT, "func(dst *float32, step int, rows, scales *byte, blocks int)")
	Doc(name+" widens blocks of a packed row: even elements, and step bytes on the odd ones,", "and so on.")
	Pragma("noescape")
	for f.half = range 2 {
		rows, bases := f.places("rows", 0)
		one, next := p.begin(f, rows)
		dst, step, blocks := Load(Param("dst"), GP64()), Load(Param("step"), GP64()), Load(Param("blocks"), GP64())
		label := []string{"low", "high"}[f.half]
		Label(label)
		even, odd := one(0)
		VMOVUPS(even, Mem{Base: dst, Disp: 32 * f.half})
		VMOVUPS(odd, Mem{Base: dst, Index: step, Scale: 1, Disp: 32 * f.half})
		LEAQ(Mem{Base: dst, Index: step, Scale: 2}, dst)
		ADDQ(Imm(uint64(p.bytes)), bases[0])
		next()
		DECQ(blocks)
		JNZ(LabelRef(label))
		if f.wide {
			break
		}
	}
	VZEROUPPER()
	RET()
}
