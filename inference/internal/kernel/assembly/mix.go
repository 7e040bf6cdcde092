package main

import (
	"fmt"

	"github.com/mmcloughlin/avo/attr"
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
)

// mixer is a way to write Set.Mix: the rows of sums, four or eight, and the columns of a
// panel that it takes, in so many vectors.
type mixer struct {
	name    string
	rows    int
	vectors int
	wide    bool // vectors of 16 numbers, or of 8
	halves  bool
}

// size returns the bytes of a number.
func (m *mixer) size() int {
	if m.halves {
		return 2
	}
	return 4
}

// vector returns register i as long as this takes.
func (m *mixer) vector(i int) vector { return register(i, m.wide) }

// write writes the function. The rows of sums stay in registers; a row of the panel is
// loaded once, and meets a weight of each.
func (m *mixer) write() {
	number := map[bool]string{false: "float32", true: "uint16"}[m.halves]
	TEXT(m.name, attr.NOSPLIT, fmt.Sprintf("func(sums *float32, step int, weights *float32, apart int, panel, next *%s, n, panels int)", number))
	Doc(fmt.Sprintf("%s is Set.Mix for %d rows and %d of a panel's columns, n rows in each panel.", m.name, m.rows, m.columns()),
		"Distances are in bytes.")
	Pragma("noescape")
	sums, step := Load(Param("sums"), GP64()), Load(Param("step"), GP64())
	weights, distance := Load(Param("weights"), GP64()), Load(Param("apart"), GP64())
	panel, n := Load(Param("panel"), GP64()), Load(Param("n"), GP64())
	out, outBases := apart(m.rows, sums, step)
	in, weightBases := apart(m.rows, weights, distance)
	next := Load(Param("next"), GP64())
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
	// While some rows pass by, as many bytes are fetched as are read of them.
	const lines = 4
	some := lines * 64 / (m.columns() * m.size())
	SUBQ(Imm(uint64(some)), n)
	JL(LabelRef("rest"))
	Label("rows")
	for i := range lines {
		PREFETCHT0(Mem{Base: next, Disp: 64 * i})
		for r := i * some / lines; r < (i+1)*some/lines; r++ {
			row(r)
		}
	}
	ADDQ(U32(64*lines), next)
	advance(some)
	SUBQ(Imm(uint64(some)), n)
	JGE(LabelRef("rows"))
	Label("rest")
	ADDQ(Imm(uint64(some)), n)
	JZ(LabelRef("done"))
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
