package kernel

import "math"

// vectorSets returns NEON: every processor of this kind has it.
func vectorSets() []*Set { return []*Set{neon} }

// neon keeps the 16 lanes of a sum in four vectors. It is assembly throughout, as Go's
// compiler has no vectors here. Its products are to the bit those of the others.
var neon = &Set{
	Name: "NEON",
	unpack: [formats]unpacker{
		widen(64, unpackBF16NEON), widen(64, unpackF16NEON), widen(128, unpackF32NEON),
		widen(34, unpackQ8NEON), widen(16, unpackMXFP4NEON), widen(17, unpackMXFP4_17NEON),
	},
	multiply: vectorMultiply(mulNEON, foldNEON),
	few: [formats]func(*Scratch, []byte, []byte, Rows){
		BF16:     vectorFew(rowsNEON, fewBF16x1, fewBF16x2, fewBF16x3, fewBF16x4),
		F16:      vectorFew(rowsNEON, fewF16x1, fewF16x2, fewF16x3, fewF16x4),
		F32:      vectorFew(rowsNEON, fewF32x1, fewF32x2, fewF32x3, fewF32x4),
		Q8_0:     vectorFew(rowsNEON, fewQ8x1, fewQ8x2, fewQ8x3, fewQ8x4),
		MXFP4:    vectorFew(rowsNEON, fewMXFP4x1, fewMXFP4x2, fewMXFP4x3, fewMXFP4x4),
		MXFP4_17: vectorFew(rowsNEON, fewMXFP4_17x1, fewMXFP4_17x2, fewMXFP4_17x3, fewMXFP4_17x4),
	},
	fewMost:   4,
	Mix:       vectorMix(mixer[float32]{8, 8, mixNEON}, mixer[float32]{4, 16, mixFourNEON}),
	MixHalves: vectorMix(mixer[uint16]{8, 8, mixHalvesNEON}, mixer[uint16]{4, 16, mixFourHalvesNEON}),
	Axpy:      axpyOfNEON,
	Softmax:   softmaxNEON,
	Norm:      normScalar, // a hundredth of a percent of a token's time
	SwiGLU:    vectorSwiGLU(4, activateNEON),
}

// rowsNEON is how many packed rows the functions of Set.few take at once.
var rowsNEON = [groupIns]int{2, 2, 1, 1}

// elements are the upper halves of the 16 elements of E2M1: all lower bytes, then all upper
// ones.
var elements = func() (t [2][16]byte) {
	for c := range 16 {
		bits := math.Float32bits(e2m1[c][0])
		t[0][c], t[1][c] = byte(bits>>16), byte(bits>>24)
	}
	return t
}()

// mulNEON takes four lanes at a time.
func mulNEON(l *lanes, panel []float32, x []*float32, at, n int) {
	multiply := [groupIns]func(sums, panel *float32, x *[4]*float32, at, blocks, more int){multiplyx1, multiplyx2, multiplyx3, multiplyx4}[len(x)-1]
	for lane := 0; lane < 16; lane += 4 {
		multiply(&l[0][0][lane], &panel[lane], fourOf(x), 4*(at+lane), n, at)
	}
}

func foldNEON(sums [][TileRows]float32, r int, l *lanes) {
	for j := range sums {
		for i := range groupRows {
			v := &l[i][j]
			var eight [8]float32
			for k := range eight {
				eight[k] = v[k] + v[k+8]
			}
			sums[j][r+i] = eight[0] + eight[1] + (eight[2] + eight[3]) + (eight[4] + eight[5] + (eight[6] + eight[7]))
		}
	}
}

func axpyOfNEON(dst, v []float32, p float32) {
	n := len(dst) &^ 3
	if n > 0 {
		_ = v[n-1]
		axpyNEON(&dst[0], &v[0], n, p)
	}
	axpyScalar(dst[n:], v[n:], p)
}

func softmaxNEON(rows int, scores []float32, step, n int, tops, sums, keeps []float32) {
	for g := range rows {
		row := scores[step*g:][:n]
		four := [4]float32{tops[g], tops[g], tops[g], tops[g]}
		topNEON(&row[0], n, &four)
		top := max(max(four[0], four[1]), max(four[2], four[3]))
		keeps[g] = 1
		if top != tops[g] {
			keeps[g], tops[g] = Exp(tops[g]-top), top
			for i := range SumLanes {
				sums[SumLanes*g+i] *= keeps[g]
			}
		}
		var sum float32
		weighNEON(&row[0], n, &sum, top)
		sums[SumLanes*g] += sum
	}
}
