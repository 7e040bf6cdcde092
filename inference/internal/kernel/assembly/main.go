// Command assembly writes the CPU's kernels that want more than simd/archsimd has names
// for, or more registers than Go's compiler uses: products of weights with several input
// rows, or with few straight from packed rows; products of bytes (AVX512-VNNI); and Mix,
// with numbers that are broadcast from memory, of halves too. It is a module of its own,
// so that nobody else needs its library.
package main

import (
	"fmt"
	"slices"

	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func main() {
	ConstraintExpr("goexperiment.simd")
	multiplyBytes()
	// In MXFP4 byte j of a block has element 2j low and 2j+1 high; in GGUF's blocks
	// of 17 bytes, the first of which is the scale, j and j+16. Q8_0 has f16 scales.
	unpack("unpackMXFP4Bytes", 16, 0, nibbles(true))
	unpack("unpackMXFP4x17Bytes", 17, 1, nibbles(false))
	unpack("unpackQ8Bytes", 34, 2, signed)
	for _, m := range []mixer{
		{name: "mix16", rows: 8, vectors: 2, wide: true},
		{name: "mixHalves16", rows: 8, vectors: 2, wide: true, halves: true},
		{name: "mixFour16", rows: 4, vectors: 2, wide: true},
		{name: "mixFourHalves16", rows: 4, vectors: 2, wide: true, halves: true},
		{name: "mixFour8", rows: 4, vectors: 2},
		{name: "mixFourHalves8", rows: 4, vectors: 2, halves: true},
	} {
		m.write()
	}
	softmax("softmaxRows16", true)
	softmax("softmaxRows8", false)
	activate("activate16", true)
	activate("activate8", false)
	for n := 1; n <= groupIns; n++ {
		multiplyPanel(fmt.Sprintf("multiply16x%d", n), n, true)
	}
	multiplyPanel("multiply8x1", 1, false)
	multiplyPanel("multiply8x2", 2, false)
	for _, p := range []format{{"BF16", 64, bf16}, {"MXFP4", 16, mxfp4}, {"MXFP4_17", 17, mxfp4x17}} {
		(&few{wide: true, rows: 1}).widen(fmt.Sprintf("widen%s_16", p.name), p)
		(&few{rows: 1}).widen(fmt.Sprintf("widen%s_8", p.name), p)
	}
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
	pause()
	Generate()
}

// vector is a register as long as 16 rows or as 8.
type vector = reg.VecPhysical

var z = []vector{
	reg.Z0, reg.Z1, reg.Z2, reg.Z3, reg.Z4, reg.Z5, reg.Z6, reg.Z7, reg.Z8, reg.Z9, reg.Z10, reg.Z11, reg.Z12, reg.Z13, reg.Z14, reg.Z15,
	reg.Z16, reg.Z17, reg.Z18, reg.Z19, reg.Z20, reg.Z21, reg.Z22, reg.Z23, reg.Z24, reg.Z25, reg.Z26, reg.Z27, reg.Z28, reg.Z29, reg.Z30, reg.Z31,
}

// y returns the lower half of a register.
func y(v vector) vector { return v.AsY().(vector) }

// register returns register i as long as 16 rows or as 8.
func register(i int, wide bool) vector {
	if wide {
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

// pause writes what a thread does that waits for another.
func pause() {
	TEXT("Pause", attr.NOSPLIT, "func()")
	Doc("Pause leaves the processor to its other thread for a moment.")
	PAUSE()
	RET()
}

var constants = map[string]place{}

// place is where a constant lies, and what it is.
type place struct {
	Mem
	words []uint32
}

// constant returns the place of so many words. A name is of the same words wherever it is
// used.
func constant(name string, words ...uint32) Mem {
	if c, ok := constants[name]; ok {
		if !slices.Equal(c.words, words) {
			panic("two constants are named " + name)
		}
		return c.Mem
	}
	m := GLOBL(name, attr.RODATA|attr.NOPTR)
	for i, w := range words {
		DATA(4*i, U32(w))
	}
	constants[name] = place{m, words}
	return m
}
