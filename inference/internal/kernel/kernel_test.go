package kernel

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"chorale/inference/internal/golden"
)

// mixRows are the query heads of a KV head in gpt-oss.
const mixRows = 8

// random returns normal numbers from a seed.
func random(seed uint64, n int) []float32 {
	r := rand.New(rand.NewPCG(seed, 1))
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	return v
}

// packed returns a random matrix. Its scales are everything that sums can take
// without leaving f32's range.
func packed(f Format, rows, cols int, seed uint64) *Matrix {
	r := rand.New(rand.NewPCG(seed, 2))
	m := &Matrix{Format: f, Rows: rows, Cols: cols, Data: make([]byte, rows*f.Bytes(cols))}
	for i := range m.Data {
		m.Data[i] = byte(r.Uint32())
	}
	n := rows * cols
	switch f {
	case BF16, F16:
		for i, v := range random(seed, n) {
			h := ToHalf(v)
			if f == BF16 {
				h = uint16(math.Float32bits(v) >> 16)
			}
			binary.LittleEndian.PutUint16(m.Data[2*i:], h)
		}
	case F32:
		for i, v := range random(seed, n) {
			binary.LittleEndian.PutUint32(m.Data[4*i:], math.Float32bits(v))
		}
	case Q8_0:
		for at := 0; at < len(m.Data); at += 34 {
			binary.LittleEndian.PutUint16(m.Data[at:], ToHalf(float32(r.NormFloat64()/64)))
		}
	case MXFP4:
		m.Scales = make([]byte, n/Block)
		for i := range m.Scales {
			m.Scales[i] = byte(120 + r.IntN(8))
		}
	case MXFP4_17:
		for at := 0; at < len(m.Data); at += 17 {
			m.Data[at] = byte(120 + r.IntN(8))
		}
	}
	return m
}

// inputs returns n random rows for a matrix, as they are and in the split
// layout.
func inputs(n, cols int, seed uint64) ([]float32, Rows) {
	x := random(seed, n*cols)
	in := Rows{Data: make([]float32, n*Padded(cols)), Width: Padded(cols)}
	Split(in.Data, x, cols)
	return x, in
}

// product computes all of x mᵀ, [inputs, rows].
func product(k *Set, m *Matrix, x Rows) []float32 {
	var s Scratch
	out := make([]float32, x.Len()*m.Rows)
	for i := range m.Tiles() {
		n := k.Tile(&s, m, i, x)
		for j := range s.Sums {
			copy(out[j*m.Rows+i*TileRows:], s.Sums[j][:n])
		}
	}
	return out
}

// want computes the same in f64, and how far rounding may lead from it.
func want(m *Matrix, x []float32) (out, slack []float64) {
	row := make([]float32, m.Cols)
	n := len(x) / m.Cols
	out, slack = make([]float64, n*m.Rows), make([]float64, n*m.Rows)
	for r := range m.Rows {
		m.Row(row, r)
		for j := range n {
			var sum, size float64
			for c, w := range row {
				p := float64(w) * float64(x[j*m.Cols+c])
				sum += p
				size += math.Abs(p)
			}
			out[j*m.Rows+r], slack[j*m.Rows+r] = sum, size*2e-6
		}
	}
	return out, slack
}

var shapes = []struct{ rows, cols int }{{1, 32}, {24, 32}, {25, 64}, {50, 288}, {48, 1056}, {7, 2880}}

// TestProducts holds every set and format against f64: with one input row, with
// few, and with more than a block of them.
func TestProducts(t *testing.T) {
	eachSet(t, func(t *testing.T, k *Set) {
		for f := range Format(formats) {
			all := shapes
			if f <= F32 { // rows need not be whole blocks
				all = append(all, []struct{ rows, cols int }{{24, 1}, {26, 31}, {24, 47}, {5, 100}}...)
			}
			for _, s := range all {
				m := packed(f, s.rows, s.cols, 1)
				for _, n := range []int{0, 1, 2, 3, 5, 12, 13, 131} {
					x, in := inputs(n, s.cols, 3)
					got := product(k, m, in)
					want, slack := want(m, x)
					for i := range got {
						if d := math.Abs(float64(got[i]) - want[i]); !(d <= slack[i]) {
							t.Fatalf("%v [%d, %d] by %d rows: number %d is %v, want %v", f, s.rows, s.cols, n, i, got[i], want[i])
						}
					}
				}
			}
		}
	})
}

// TestProductsAlone holds every set to equal bits however many input rows there
// are and whichever of them are picked, and the vector sets to each other's.
func TestProductsAlone(t *testing.T) {
	const n = 69
	vectors := map[string][]float32{}
	eachSet(t, func(t *testing.T, k *Set) {
		for f := range Format(formats) {
			m := packed(f, 49, 1056, 1)
			_, in := inputs(n, m.Cols, 3)
			all := product(k, m, in)
			for _, i := range []int{0, 1, 63, 64, n - 1} {
				in.Pick = []int32{int32(i)}
				same(t, fmt.Sprintf("%v: input row %d alone", f, i), product(k, m, in), all[i*m.Rows:(i+1)*m.Rows])
			}
			for n := 2; n <= 5; n++ {
				in.Pick = []int32{7, 3, 64, 0, 12}[:n]
				few := product(k, m, in)
				for j, i := range in.Pick {
					same(t, fmt.Sprintf("%v: input row %d of %d", f, i, n), few[j*m.Rows:(j+1)*m.Rows], all[i*int32(m.Rows):][:m.Rows])
				}
			}
			if k == Scalar {
				continue
			}
			if other, ok := vectors[f.String()]; ok {
				same(t, f.String()+": two vector sets", all, other)
			}
			vectors[f.String()] = all
		}
	})
}

// TestOrder holds the vector sets of every processor to one order of sums, bit by bit:
// of 16 lanes each adds its even element of a block and then its odd one, and lanes are
// added as a tree.
func TestOrder(t *testing.T) {
	eachSet(t, func(t *testing.T, k *Set) {
		if k == Scalar {
			return // it adds in one lane
		}
		for f := range Format(formats) {
			m := packed(f, 24, 1056, 1)
			x, in := inputs(5, m.Cols, 3)
			got := product(k, m, in)
			row := make([]float32, m.Cols)
			for r := range m.Rows {
				m.Row(row, r)
				for j := range 5 {
					var lane [16]float32
					for c, w := range row {
						i := c % Block / 2
						lane[i] = fused(w, x[j*m.Cols+c], lane[i])
					}
					for i := range 8 {
						lane[i] += lane[i+8]
					}
					for n := 4; n > 0; n /= 2 {
						for i := range n {
							lane[i] = lane[2*i] + lane[2*i+1]
						}
					}
					if i := j*m.Rows + r; math.Float32bits(got[i]) != math.Float32bits(lane[0]) {
						t.Fatalf("%v: number %d is %v, want %v", f, i, got[i], lane[0])
					}
				}
			}
		}
	})
}

// fused is a*b + c, rounded once. The product is exact in f64; the sum is rounded to odd
// there, so that rounding it again errs nowhere.
func fused(a, b, c float32) float32 {
	p, q := float64(a)*float64(b), float64(c)
	sum := p + q
	rest := sum - p
	rest = p - (sum - rest) + (q - rest)
	if bits := math.Float64bits(sum); rest != 0 && bits&1 == 0 {
		if rest > 0 == (sum > 0) {
			bits++
		} else {
			bits--
		}
		sum = math.Float64frombits(bits)
	}
	return float32(sum)
}

func same(t *testing.T, what string, got, want []float32) {
	t.Helper()
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Fatalf("%s: number %d is %v, want %v", what, i, got[i], want[i])
		}
	}
}

// TestFormats holds equal weights in different formats to equal bits.
func TestFormats(t *testing.T) {
	const rows, cols = 48, 288
	narrow, wide := packed(BF16, rows, cols, 1), &Matrix{Format: F32, Rows: rows, Cols: cols}
	numbers := make([]float32, rows*cols)
	BF16.Numbers(numbers, narrow.Data, 0)
	for _, v := range numbers {
		wide.Data = binary.LittleEndian.AppendUint32(wide.Data, math.Float32bits(v))
	}
	apart, together := packed(MXFP4, rows, cols, 1), &Matrix{Format: MXFP4_17, Rows: rows, Cols: cols}
	for b, scale := range apart.Scales {
		code := func(i int) byte { return apart.Data[16*b+i/2] >> (i % 2 * 4) & 15 }
		together.Data = append(together.Data, scale)
		for j := range 16 {
			together.Data = append(together.Data, code(j)|code(j+16)<<4)
		}
	}
	eachSet(t, func(t *testing.T, k *Set) {
		for _, n := range []int{1, 4} {
			_, in := inputs(n, cols, 3)
			same(t, "BF16 and F32", product(k, narrow, in), product(k, wide, in))
			same(t, "MXFP4 of both layouts", product(k, apart, in), product(k, together, in))
		}
	})
}

// TestExtremes holds what no checkpoint should have: every scale, infinite
// numbers and such as are none. Unpacking is exact to the bit.
func TestExtremes(t *testing.T) {
	eachSet(t, func(t *testing.T, k *Set) {
		for f := range Format(formats) {
			m := packed(f, 256, Block, 5)
			for r := range m.Rows {
				switch {
				case f == MXFP4:
					m.Scales[r] = byte(r)
				case f == MXFP4_17:
					m.Data[17*r] = byte(r)
				case f == F32:
					binary.LittleEndian.PutUint32(m.Data[4*Block*r:], uint32(r)<<23|uint32(r))
				case f == Q8_0:
					binary.LittleEndian.PutUint16(m.Data[34*r:], uint16(r)<<8|uint16(r))
				default:
					binary.LittleEndian.PutUint16(m.Data[2*Block*r:], uint16(r)<<8|uint16(r))
				}
			}
			got, want := make([]float32, m.Rows*Block), make([]float32, m.Rows*Block)
			k.unpack[f](got, 16, m.Rows, m.Data, m.Scales)
			Scalar.unpack[f](want, 16, m.Rows, m.Data, m.Scales)
			for i := range want {
				if g, w := got[i], want[i]; math.Float32bits(g) != math.Float32bits(w) && (g == g || w == w) {
					t.Fatalf("%v: row %d unpacks to %v, want %v", f, i/Block, g, w)
				}
			}
			_, in := inputs(3, Block, 3)
			product(k, m, in)
		}
	})
}

// TestMix holds every set to the scalar twin, the vector sets to each other's bits
// and halves to those of the numbers that they are, in panels of any length; the
// sums of other rows and columns are left alone.
func TestMix(t *testing.T) {
	type size struct{ rows, panel, panels int }
	var sizes []size
	for _, n := range []int{0, 1, 2, 7, 16, 64, 80} {
		sizes = append(sizes, size{mixRows, n, 1}, size{MixLeast, n, 2}, size{2*mixRows + MixLeast, n, 3})
	}
	vectors := map[size][]float32{}
	eachSet(t, func(t *testing.T, k *Set) {
		for _, s := range sizes {
			const rest = 5
			rows, n := s.rows, s.panel
			step, apart := s.panels*Panel+3, n+2
			weights, panel := random(1, rows*apart), random(2, s.panels*n*Panel)
			halves := make([]uint16, len(panel))
			for i, v := range panel {
				halves[i] = ToHalf(v)
				panel[i] = Half(halves[i])
			}
			got, want := random(3, rows*step+rest), random(3, rows*step+rest)
			for g := range rows {
				for j := range s.panels * Panel {
					sum := float64(want[step*g+j])
					for i := range n {
						sum += float64(weights[apart*g+i]) * float64(panel[Panel*(j/Panel*n+i)+j%Panel])
					}
					want[step*g+j] = float32(sum)
				}
			}
			fromHalves := slices.Clone(got)
			k.Mix(rows, got, step, weights, apart, s.panels, panel, nil)
			within(t, fmt.Sprintf("%+v mixed", s), got, want, 1e-6*float64(n))
			k.MixHalves(rows, fromHalves, step, weights, apart, s.panels, halves, halves)
			same(t, fmt.Sprintf("%+v of halves", s), fromHalves, got)
			if k == Scalar {
				continue
			}
			if other, ok := vectors[s]; ok {
				same(t, "two vector sets", got, other)
			}
			vectors[s] = got
		}
	})
}

// TestHalves holds every half, finite or not, by mixing a panel of it.
func TestHalves(t *testing.T) {
	one := make([]float32, mixRows)
	for i := range one {
		one[i] = 1
	}
	eachSet(t, func(t *testing.T, k *Set) {
		for h := 0; h < 1<<16; h += Panel {
			var panel [Panel]uint16
			for i := range panel {
				panel[i] = uint16(h + i)
			}
			sums := make([]float32, mixRows*Panel)
			k.MixHalves(mixRows, sums, Panel, one, 1, 1, panel[:], nil)
			for i, got := range sums {
				if want := Half(panel[i%Panel]); got != want && (want == want || got == got) {
					t.Fatalf("half %04x is %v, want %v", panel[i%Panel], got, want)
				}
			}
		}
	})
}

// TestOps holds the small operations against the scalar twin at every length that
// leaves a rest.
func TestOps(t *testing.T) {
	eachSet(t, func(t *testing.T, k *Set) {
		for _, n := range []int{1, 2, 3, 4, 5, 8, 15, 16, 17, 33, 48, 80, 130} {
			x, y := random(1, n), random(2, n)
			a, b := random(3, n), random(3, n)
			k.Axpy(a, x, -.3)
			Scalar.Axpy(b, x, -.3)
			within(t, "axpy", a, b, 1e-6*scaleOf(b))

			k.Norm(a, x, y, 1e-5)
			Scalar.Norm(b, x, y, 1e-5)
			within(t, "norm", a, b, 1e-6*scaleOf(b))
		}
	})
}

// TestSoftmax holds rows of weights, before and after what raises their tops or does
// not, against the formula in f64.
func TestSoftmax(t *testing.T) {
	const rows, step = 11, 3*Panel + 5
	eachSet(t, func(t *testing.T, k *Set) {
		for _, n := range []int{Panel, 2 * Panel, 3 * Panel} {
			tops, sums, keeps := slices.Repeat([]float32{-math.MaxFloat32}, rows), make([]float32, rows*SumLanes), make([]float32, rows)
			before, want := slices.Clone(tops), make([]float64, rows)
			for round := range uint64(4) {
				scores := random(round, rows*step)
				for i := range scores {
					scores[i] *= 20
				}
				got := slices.Clone(scores)
				k.Softmax(rows, got, step, n, tops, sums, keeps)
				for g := range rows {
					top := max(before[g], slices.Max(scores[g*step:][:n]))
					keep, sum := math.Exp(float64(before[g])-float64(top)), 0.
					weights := make([]float32, n)
					for i, v := range scores[g*step:][:n] {
						weights[i] = float32(math.Exp(float64(v) - float64(top)))
						sum += math.Exp(float64(v) - float64(top))
					}
					want[g] = want[g]*keep + sum
					if tops[g] != top {
						t.Errorf("row %d: top %v, want %v", g, tops[g], top)
					}
					within(t, "weights", got[g*step:][:n], weights, 1e-6)
					within(t, "sum and what is kept", []float32{SumOf(sums[g*SumLanes:]), keeps[g]}, []float32{float32(want[g]), float32(keep)}, 1e-6*max(1, want[g]))
					if g < rows-1 && !slices.Equal(got[g*step+n:(g+1)*step], scores[g*step+n:(g+1)*step]) {
						t.Errorf("row %d: what is behind has changed", g)
					}
				}
				copy(before, tops)
			}
		}
	})
}

// TestEnds holds the exponential where it is largest, smallest and nothing: by
// the softmax and the activation, the kernels that have it.
func TestEnds(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	eachSet(t, func(t *testing.T, k *Set) {
		scores := make([]float32, 64)
		tops, sums, keeps := []float32{-math.MaxFloat32}, make([]float32, SumLanes), []float32{0}
		softmax := func() { k.Softmax(1, scores, len(scores), len(scores), tops, sums, keeps) }
		for i := range scores {
			scores[i] = -inf
		}
		if softmax(); tops[0] != -math.MaxFloat32 || SumOf(sums) != 0 || keeps[0] != 1 || slices.Max(scores) != 0 {
			t.Errorf("of infinitely small scores the top is %v, the sum %v", tops, sums)
		}
		for i := range scores {
			scores[i] = -inf
		}
		scores[3], scores[39], scores[17] = 80, 79, -30
		e := float32(math.Exp(-1))
		if softmax(); tops[0] != 80 || scores[3] != 1 || math.Abs(float64(scores[39]-e)) > 1e-7 || scores[0] != 0 || scores[17] != 0 || math.Abs(float64(SumOf(sums)-1-e)) > 1e-6 || keeps[0] != 0 {
			t.Errorf("weights %v, top %v, sum %v, kept %v", scores, tops, sums, keeps)
		}
		for i := range scores {
			scores[i] = float32(i)
		}
		scores[21] = nan
		if softmax(); SumOf(sums) == SumOf(sums) {
			t.Errorf("a score that is no number leaves the sum %v", sums)
		}

		u := make([]float32, 2*35)
		for i := range 35 {
			u[2*i], u[2*i+1] = float32(i-17)*20, float32(i%3-1)*9
		}
		u[0], u[2], u[4] = inf, -inf, nan
		got, want := make([]float32, 35), make([]float32, 35)
		k.SwiGLU(got, u, 1.702, 7)
		Scalar.SwiGLU(want, u, 1.702, 7)
		if got[2] == got[2] || want[1] != want[1] && got[1] == got[1] {
			t.Errorf("activations %v, want %v", got[:3], want[:3])
		}
		got, want = append(got[:1], got[3:]...), append(want[:1], want[3:]...)
		if d := golden.MaxDiff(got, want); d > 1e-5 {
			t.Errorf("activations are off by %v", d)
		}
	})
}

// TestSplit holds the layout's definition.
func TestSplit(t *testing.T) {
	for _, width := range []int{1, 16, 31, 32, 33, 100} {
		x := random(1, 2*width)
		p := Padded(width)
		got := make([]float32, 2*p)
		for i := range got {
			got[i] = 9
		}
		Split(got, x, width)
		for r := range 2 {
			for i := range p {
				want, at := float32(0), i/Block*Block+i%2*16+i%Block/2
				if i < width {
					want = x[r*width+i]
				}
				if got[r*p+at] != want {
					t.Fatalf("width %d: element %d is %v, want %v", width, i, got[r*p+at], want)
				}
			}
		}
	}
}
