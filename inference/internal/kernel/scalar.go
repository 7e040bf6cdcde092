package kernel

import "math"

// Two kernels multiply: six rows by one input row, and three rows by two. Six
// sums are what Go's compiler keeps in registers on amd64: with eight it spills
// and takes more than twice the time.

// panelCols is how many columns of six rows stay in the first cache while the
// input rows pass by.
const panelCols = 512

func multiplyScalar(k *Set, s *Scratch, m *Matrix, first, rows int, x Rows) {
	sums, width := s.Sums, x.Width
	clear(sums)
	if len(s.panel) < TileRows*width {
		s.panel = make([]float32, TileRows*width)
	}
	panel := s.panel[:TileRows*width]
	for r := range rows {
		data, scales := m.rows(first+r, 1)
		unpackRow(k.unpack[m.Format], m.Format, panel[r*width:], 16, m.Cols, data, scales)
	}
	for row := 0; row < TileRows; row += 6 {
		for lo := 0; lo < width; lo += panelCols {
			hi := min(lo+panelCols, width)
			var p [6][]float32
			for i := range p {
				p[i] = panel[(row+i)*width+lo : (row+i)*width+hi]
			}
			multiply6(sums, row, &p, x, lo, hi)
		}
	}
}

// multiply6 adds the products of columns lo to hi of six rows from row on.
func multiply6(sums [][TileRows]float32, row int, p *[6][]float32, x Rows, lo, hi int) {
	j := 0
	for ; j+2 <= len(sums); j += 2 {
		u, v := x.row(j)[lo:hi], x.row(j + 1)[lo:hi]
		a, b := sums[j][row:row+6], sums[j+1][row:row+6]
		dot3x2(p[0], p[1], p[2], u, v, (*[3]float32)(a), (*[3]float32)(b))
		dot3x2(p[3], p[4], p[5], u, v, (*[3]float32)(a[3:]), (*[3]float32)(b[3:]))
	}
	if j < len(sums) {
		dot6x1(p, x.row(j)[lo:hi], (*[6]float32)(sums[j][row:]))
	}
}

// dot3x2 adds the products of three rows with two input rows to their sums.
func dot3x2(w0, w1, w2, x, y []float32, a, b *[3]float32) {
	n := len(x)
	w0, w1, w2, y = w0[:n], w1[:n], w2[:n], y[:n]
	a0, a1, a2 := a[0], a[1], a[2]
	b0, b1, b2 := b[0], b[1], b[2]
	for i, p := range x {
		q := y[i]
		a0 += w0[i] * p
		b0 += w0[i] * q
		a1 += w1[i] * p
		b1 += w1[i] * q
		a2 += w2[i] * p
		b2 += w2[i] * q
	}
	*a = [3]float32{a0, a1, a2}
	*b = [3]float32{b0, b1, b2}
}

// dot6x1 adds the products of six rows with one input row to their sums.
func dot6x1(w *[6][]float32, x []float32, a *[6]float32) {
	n := len(x)
	w0, w1, w2, w3, w4, w5 := w[0][:n], w[1][:n], w[2][:n], w[3][:n], w[4][:n], w[5][:n]
	a0, a1, a2, a3, a4, a5 := a[0], a[1], a[2], a[3], a[4], a[5]
	for i, p := range x {
		a0 += w0[i] * p
		a1 += w1[i] * p
		a2 += w2[i] * p
		a3 += w3[i] * p
		a4 += w4[i] * p
		a5 += w5[i] * p
	}
	*a = [6]float32{a0, a1, a2, a3, a4, a5}
}

func mixScalar(rows int, sums []float32, step int, weights []float32, apart, panels int, panel, _ []float32) {
	n := len(panel) / panels
	for p := range panels {
		for g := range rows {
			row := (*[Panel]float32)(sums[step*g+Panel*p:])
			for i := range n / Panel {
				w := weights[apart*g+i]
				for j, v := range (*[Panel]float32)(panel[n*p+Panel*i:]) {
					row[j] += w * v
				}
			}
		}
	}
}

func mixHalvesScalar(rows int, sums []float32, step int, weights []float32, apart, panels int, panel, _ []uint16) {
	wide := make([]float32, len(panel))
	for i, h := range panel {
		wide[i] = Half(h)
	}
	mixScalar(rows, sums, step, weights, apart, panels, wide, nil)
}

func axpyScalar(dst, v []float32, p float32) {
	v = v[:len(dst)]
	for i := range dst {
		dst[i] += p * v[i]
	}
}

func softmaxScalar(rows int, scores []float32, step, n int, tops, sums, keeps []float32) {
	for g := range rows {
		row, lanes, top := scores[step*g:][:n], sums[SumLanes*g:][:SumLanes], tops[g]
		for _, v := range row {
			if v > top {
				top = v
			}
		}
		keeps[g], tops[g] = Exp(tops[g]-top), top
		for i := range lanes {
			lanes[i] *= keeps[g]
		}
		for i, v := range row {
			row[i] = Exp(v - top)
			lanes[i%SumLanes] += row[i]
		}
	}
}

func normScalar(dst, x, gain []float32, eps float32) {
	var sum float64
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	scale := float32(1 / math.Sqrt(sum/float64(len(x))+float64(eps)))
	for i, v := range x {
		dst[i] = v * scale * gain[i]
	}
}

func swigluScalar(dst, u []float32, alpha, limit float32) {
	u = u[:2*len(dst)]
	for i := range dst {
		gate := min(u[2*i], limit)
		up := min(max(u[2*i+1], -limit), limit)
		dst[i] = gate / (1 + Exp(-alpha*gate)) * (up + 1)
	}
}

// Exp is e^x in f32, rounded from f64: 2^k by the exponent's bits, the rest by
// a series on [-ln2/2, ln2/2] with a relative error under 1e-8.
func Exp(x float32) float32 {
	switch {
	case x < -104:
		return 0
	case x > 89:
		return float32(math.Inf(1))
	case x != x:
		return x
	}
	k := math.Floor(float64(x)*math.Log2E + 0.5)
	r := float64(x) - k*math.Ln2
	p := 1.0/720 + r*(1.0/5040)
	p = 1.0/120 + r*p
	p = 1.0/24 + r*p
	p = 1.0/6 + r*p
	p = 1.0/2 + r*p
	p = 1 + r*p
	p = 1 + r*p
	return float32(p * math.Float64frombits(uint64(int64(k)+1023)<<52))
}
