package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

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
	vector := func(i int) vector { return register(i, wide) }
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
