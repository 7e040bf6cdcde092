package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// softmax writes Set.Softmax, for rows whose length is a multiple of two vectors.
func softmax(name string, wide bool) {
	e := exponential{wide: wide}
	lanes, v := 8, func(i int) vector { return register(i, wide) }
	if wide {
		lanes = 16
	}
	TEXT(name, attr.NOSPLIT, "func(rows int, scores *float32, step, n int, tops, sums, keeps *float32)")
	Doc(fmt.Sprintf("%s is Set.Softmax in vectors of %d numbers, for n a multiple of %d. The distance is in bytes.", name, lanes, 2*lanes))
	Pragma("noescape")
	rows, scores, step, n := Load(Param("rows"), GP64()), Load(Param("scores"), GP64()), Load(Param("step"), GP64()), Load(Param("n"), GP64())
	tops, sums, keeps := Load(Param("tops"), GP64()), Load(Param("sums"), GP64()), Load(Param("keeps"), GP64())
	at := GP64()
	e.load()
	each := func(label string, f func(i int, place Mem)) {
		MOVQ(scores, at)
		left := GP64()
		MOVQ(n, left)
		Label(label)
		for i := range 2 {
			f(i, Mem{Base: at, Disp: 4 * lanes * i})
		}
		ADDQ(Imm(uint64(8*lanes)), at)
		SUBQ(Imm(uint64(2*lanes)), left)
		JG(LabelRef(label))
	}
	// fold leaves in every lane what f makes of all of two vectors.
	fold := func(a, b vector, f func(...Op)) {
		f(b, a, a)
		if wide {
			VSHUFF64X2(Imm(0x4e), a, a, b)
			f(b, a, a)
			VSHUFF64X2(Imm(0xb1), a, a, b)
		} else {
			VPERM2F128(Imm(1), a, a, b)
		}
		f(b, a, a)
		for _, order := range []uint64{0x4e, 0xb1} {
			VSHUFPS(Imm(order), a, a, b)
			f(b, a, a)
		}
	}
	places := []Mem{{Base: sums}}
	if !wide {
		places = append(places, Mem{Base: sums, Disp: 32})
	}
	top, most, total := v(0), [2]vector{v(1), v(2)}, v(3)

	Label("row")
	VBROADCASTSS(Mem{Base: tops}, top)
	MOVL(U32(0x3f800000), Mem{Base: keeps})
	for i := range most {
		VMOVAPS(top, most[i])
	}
	each("most", func(i int, place Mem) {
		VMOVUPS(place, v(4+i))
		VMAXPS(most[i], v(4+i), most[i]) // the last is what remains of one that is no number
	})
	VMAXPS(most[1], most[0], most[0])
	const greater = 30
	if wide {
		VCMPPS(Imm(greater), top, most[0], reg.K1)
		KORTESTW(reg.K1, reg.K1)
	} else {
		any := GP32()
		VCMPPS(Imm(greater), top, most[0], v(4))
		VMOVMSKPS(v(4), any)
		TESTL(any, any)
	}
	JZ(LabelRef("same")) // as most rows' tops are after the first pages
	fold(most[0], most[1], func(ops ...Op) { VMAXPS(ops...) })
	x := v(4)
	VSUBPS(most[0], top, x)
	VMOVAPS(most[0], top)
	keep := e.of(0, x)
	VMOVSS(lowest(keep), Mem{Base: keeps})
	VMOVSS(lowest(top), Mem{Base: tops})
	for _, lanes := range places {
		VMULPS(lanes, keep, x)
		VMOVUPS(x, lanes)
	}
	Label("same")
	VMOVUPS(places[0], total)
	each("weights", func(i int, place Mem) {
		x := v(4 + i)
		VMOVUPS(place, x)
		VSUBPS(top, x, x)
		p := e.of(i, x)
		VMOVUPS(p, place)
		VADDPS(p, total, total)
	})
	VMOVUPS(total, places[0])
	ADDQ(Imm(4), tops)
	ADDQ(Imm(4), keeps)
	ADDQ(Imm(64), sums)
	ADDQ(step, scores)
	DECQ(rows)
	JNZ(LabelRef("row"))
	VZEROUPPER()
	RET()
}

// lowest returns the first four lanes of a register.
func lowest(v vector) vector { return v.AsX().(vector) }
