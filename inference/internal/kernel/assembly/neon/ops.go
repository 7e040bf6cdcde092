package main

import "fmt"

// mixer is Set.Mix or Set.MixHalves for so many rows, and columns of so many vectors.
type mixer struct {
	name          string
	rows, vectors int
	halves        bool
}

const panelColumns = 32

func (m mixer) write() {
	const sums, step, weights, apart, panel, n, panels = 0, 1, 2, 3, 4, 6, 7
	const weight, at, size, left = 16, 9, 5, 8 // at: of the rows' weights
	typ, bytes := "float32", 4
	if m.halves {
		typ, bytes = "uint16", 2
	}
	function(m.name+"NEON", fmt.Sprintf("is Set.Mix for %d rows and %d of a panel's columns, n rows in each panel. Distances\n// are in bytes.", m.rows, 4*m.vectors),
		fmt.Sprintf("sums *float32, step int, weights *float32, apart int, panel *%s, next *%s, n int, panels int", typ, typ))
	sum := func(g int) int { return g * m.vectors }
	each := func(f func(base, at, v, n int)) {
		op("MOVD R%d, R%d", sums, size)
		for g := range m.rows {
			f(size, 0, sum(g), m.vectors)
			op("ADD R%d, R%d", step, size)
		}
	}
	// key adds row i of those whose weights are loaded.
	key := func(i int) {
		if m.halves {
			load(panel, 0, 28, m.vectors/2)
			for v := range m.vectors / 2 {
				fcvtl(24+2*v, 28+v)
				fcvtl2(24+2*v+1, 28+v)
			}
		} else {
			load(panel, 0, 24, m.vectors)
		}
		op("ADD $%d, R%d", panelColumns*bytes, panel)
		for g := range m.rows {
			for v := range m.vectors {
				fmlaElement(sum(g)+v, 24+v, weight+g, i)
			}
		}
	}
	label("panel")
	each(load)
	op("MOVD R%d, R%d", weights, at)
	for g := 1; g < m.rows; g++ {
		op("ADD R%d, R%d, R%d", apart, at+g-1, at+g)
	}
	op("MOVD R%d, R%d", n, left)
	op("SUBS $4, R%d", left)
	op("BLT rest")
	label("four")
	for g := range m.rows {
		op("FMOVQ.P 16(R%d), F%d", at+g, weight+g)
	}
	for i := range 4 {
		key(i)
	}
	op("SUBS $4, R%d", left)
	op("BGE four")
	label("rest")
	op("ADDS $4, R%d", left)
	op("BEQ done")
	label("one")
	for g := range m.rows {
		op("FMOVS.P 4(R%d), F%d", at+g, weight+g)
	}
	key(0)
	op("SUBS $1, R%d", left)
	op("BNE one")
	label("done")
	each(store)
	op("ADD $%d, R%d", 4*panelColumns, sums)
	op("SUBS $1, R%d", panels)
	op("BNE panel")
	op("RET")
}

// The kernels that follow take fours of numbers.
const fours = "so many numbers, a multiple of four"

func axpy() {
	const dst, src, n, factor = 0, 1, 2, 16
	p := function("axpyNEON", "adds factor times src to dst, "+fours+".", "dst *float32, src *float32, n int", "factor float32")
	all(factor, p[0])
	label("four")
	op("FMOVQ.P 16(R%d), F0", src)
	op("FMOVQ.P 16(R%d), F1", dst)
	fmla(1, 0, factor)
	store(dst, -16, 1, 1)
	op("SUBS $4, R%d", n)
	op("BNE four")
	op("RET")
}

func topOf() {
	const p, n, tops = 0, 1, 2
	function("topNEON", "raises tops to "+fours+".", "p *float32, n int, tops *[4]float32")
	load(tops, 0, 0, 1)
	label("four")
	op("FMOVQ.P 16(R%d), F1", p)
	fmax(0, 0, 1)
	op("SUBS $4, R%d", n)
	op("BNE four")
	store(tops, 0, 0, 1)
	op("RET")
}

// Constants of the exponential, in their order in expTerms; of what is behind the
// polynomial the exponent's bias.
const (
	least, most, log2e, ln2High, ln2Low, polynomial = 16, 17, 18, 19, 20, 21
	one                                             = polynomial + 6
	bias                                            = 28
)

func terms() {
	op("MOVD $·expTerms(SB), R26")
	for i := range 12 {
		load(26, 64*i, least+i, 1)
	}
	load(26, 64*12, bias, 1)
}

// exp sets v1 to e^v0, by the registers up to v6. It scales in two steps, as 2^k need not
// be a number of f32. What is none stays so.
func exp() {
	const x, p, k, r, q, h = 1, 1, 2, 3, 4, 5
	fmax(x, 0, least)
	fmin(x, x, most)
	fmul(k, x, log2e)
	frintn(k, k)
	move(r, x)
	fmla(r, k, ln2High)
	fmla(r, k, ln2Low)
	move(p, polynomial)
	from, to := p, q
	for i := range 7 {
		move(to, polynomial+min(i+1, 6))
		fmla(to, from, r)
		from, to = to, from
	}
	fcvtns(k, k)
	halve(h, k)
	op("VSUB V%d.S4, V%d.S4, V%d.S4", h, k, k)
	for _, e := range []int{h, k} {
		op("VADD V%d.S4, V%d.S4, V%d.S4", bias, e, e)
		op("VSHL $23, V%d.S4, V%d.S4", e, e)
	}
	fmul(from, from, h)
	fmul(1, from, k)
}

func weigh() {
	const p, n, sum, total, top = 0, 1, 2, 7, 31
	place := function("weighNEON", "turns scores into weights, "+fours+", and sets sum to what they add up to.",
		"scores *float32, n int, sum *float32", "top float32")
	terms()
	all(top, place[0])
	zero(total)
	label("four")
	op("FMOVQ.P 16(R%d), F0", p)
	fsub(0, 0, top)
	exp()
	store(p, -16, 1, 1)
	fadd(total, total, 1)
	op("SUBS $4, R%d", n)
	op("BNE four")
	faddp(total, total, total)
	faddp(total, total, total)
	op("FMOVS F%d, (R%d)", total, sum)
	op("RET")
}

func activate() {
	const dst, u, n, highest, lowest, slope, gate, up = 0, 1, 2, 29, 30, 31, 10, 11
	p := function("activateNEON", "is Set.SwiGLU for "+fours+". least is -limit, slope is -alpha.",
		"dst *float32, u *float32, n int", "limit float32", "least float32", "slope float32")
	terms()
	all(highest, p[0])
	all(lowest, p[1])
	all(slope, p[2])
	label("four")
	op("FLDPQ.P 32(R%d), (F8, F9)", u)
	uzp1("S4", gate, 8, 9)
	uzp2("S4", up, 8, 9)
	fmin(gate, gate, highest)
	fmax(up, up, lowest)
	fmin(up, up, highest)
	fmul(0, gate, slope)
	exp()
	fadd(1, 1, one)
	fdiv(gate, gate, 1)
	fadd(up, up, one)
	fmul(gate, gate, up)
	op("FMOVQ.P F%d, 16(R%d)", gate, dst)
	op("SUBS $4, R%d", n)
	op("BNE four")
	op("RET")
}

func pause() {
	stubs.WriteString("\n// Pause leaves the processor to its other thread for a moment.\nfunc Pause()\n")
	code.WriteString("\n// func Pause()\nTEXT ·Pause(SB), NOSPLIT, $0-0\n")
	op("YIELD")
	op("RET")
}
