package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// exponential writes e^x in f32, within 2 units in the last place. What is no number stays
// so. It uses registers from 6 to 13, and in wide vectors those from 16 on for constants.
type exponential struct {
	wide  bool
	terms reg.Register
}

// Places of constants in expTerms, in units of their distance.
const (
	expLeast   = 0
	expMost    = 1
	expLog2e   = 2
	expLn2High = 3
	expLn2Low  = 4
	expPoly    = 5
	expBias    = 12
)

func (e *exponential) vector(i int) vector { return register(i, e.wide) }

// term returns a constant: in a register where there are enough.
func (e *exponential) term(i int) Op {
	if e.wide {
		return e.vector(16 + i)
	}
	return Mem{Base: e.terms, Disp: 64 * i}
}

func (e *exponential) load() {
	e.terms = GP64()
	LEAQ(NewDataAddr(Symbol{Name: "·expTerms"}, 0), e.terms)
	if e.wide {
		for i := range expBias {
			VMOVUPS(Mem{Base: e.terms, Disp: 64 * i}, e.vector(16+i))
		}
	} else {
		for i := range expLog2e {
			VMOVUPS(Mem{Base: e.terms, Disp: 64 * i}, e.vector(12+i))
		}
	}
}

// of returns the register with e^x, the first or the second of a pair under way.
func (e *exponential) of(i int, x vector) vector {
	k, p, limits := e.vector(6+i), e.vector(8+i), 12
	if e.wide {
		limits = 16
	}
	VMAXPS(x, e.vector(limits+expLeast), x) // which leaves x where that is no number
	VMINPS(x, e.vector(limits+expMost), x)
	VMULPS(e.term(expLog2e), x, k)
	if e.wide {
		VRNDSCALEPS(Imm(0), k, k)
	} else {
		VROUNDPS(Imm(0), k, k)
	}
	VFMADD231PS(e.term(expLn2High), k, x)
	VFMADD231PS(e.term(expLn2Low), k, x)
	VMOVUPS(e.term(expPoly), p)
	for _, t := range []int{1, 2, 3, 4, 5, 6, 6} {
		VFMADD213PS(e.term(expPoly+t), x, p)
	}
	if e.wide {
		VSCALEFPS(k, p, p)
		return p
	}
	// 2^k need not be a number of f32, but those of two halves of k are.
	h, bias := e.vector(10+i), Mem{Base: e.terms, Disp: 64 * expBias}
	VCVTPS2DQ(k, k)
	VPSRAD(Imm(1), k, h)
	VPSUBD(h, k, k)
	for _, half := range []vector{h, k} {
		VPADDD(bias, half, half)
		VPSLLD(Imm(23), half, half)
		VMULPS(half, p, p)
	}
	return p
}
