package main

import (
	"fmt"
	"math"

	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// activate writes Set.SwiGLU, for whole vectors.
func activate(name string, wide bool) {
	e := exponential{wide: wide}
	lanes, v := 8, func(i int) vector { return register(i, wide) }
	if wide {
		lanes = 16
	}
	TEXT(name, attr.NOSPLIT, "func(dst, u *float32, n int, most, least, slope float32)")
	Doc(fmt.Sprintf("%s is Set.SwiGLU for n numbers, a multiple of %d. most and least are the limit and its", name, lanes),
		"negative, slope is -alpha.")
	Pragma("noescape")
	dst, u, n := Load(Param("dst"), GP64()), Load(Param("u"), GP64()), Load(Param("n"), GP64())
	gate, up, y, x := v(0), v(1), v(2), v(3)
	most, least, slope, one := v(4), v(5), v(14), v(15)
	for i, name := range []string{"most", "least", "slope"} {
		place, err := Param(name).Resolve()
		if err != nil {
			panic(err)
		}
		VBROADCASTSS(place.Addr, [3]vector{most, least, slope}[i])
	}
	VBROADCASTSS(constant("one", math.Float32bits(1)), one)
	e.load()
	Label("block")
	low, high := Mem{Base: u}, Mem{Base: u, Disp: 4 * lanes}
	if wide {
		VMOVUPS(low, x)
		VMOVUPS(constant("evens", pick(0)...), gate)
		VMOVUPS(constant("odds", pick(1)...), up)
		VPERMI2PS(high, x, gate)
		VPERMI2PS(high, x, up)
	} else { // pairs of even and odd ones lie 0, 2, 1, 3 after the shuffle
		VMOVUPS(low, x)
		VMOVUPS(high, y)
		for _, half := range []struct {
			to    vector
			which uint64
		}{{gate, 0x88}, {up, 0xdd}} {
			VSHUFPS(Imm(half.which), y, x, half.to)
			VPERMPD(Imm(0xd8), half.to, half.to)
		}
	}
	VMINPS(gate, most, gate) // the first is what remains of one that is no number
	VMAXPS(up, least, up)
	VMINPS(up, most, up)
	VMULPS(slope, gate, x)
	p := e.of(0, x)
	VADDPS(one, p, p)
	VDIVPS(p, gate, y)
	VADDPS(one, up, up)
	VMULPS(up, y, y)
	VMOVUPS(y, Mem{Base: dst})
	ADDQ(Imm(uint64(4*lanes)), dst)
	ADDQ(U32(8*lanes), u)
	SUBQ(Imm(uint64(lanes)), n)
	JNZ(LabelRef("block"))
	VZEROUPPER()
	RET()
}

// pick has the places of every second number of two vectors of 16.
func pick(from uint32) (places []uint32) {
	for i := range uint32(16) {
		places = append(places, from+2*i)
	}
	return places
}
