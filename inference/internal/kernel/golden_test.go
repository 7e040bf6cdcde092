package kernel

import (
	"math"
	"testing"

	"chorale/inference/internal/golden"
)

const models = "../../testdata/models"

// scaleOf returns the largest magnitude, at least 1.
func scaleOf(v []float32) float64 {
	m := float32(1)
	for _, x := range v {
		m = max(m, float32(math.Abs(float64(x))))
	}
	return float64(m)
}

func within(t *testing.T, what string, got, want []float32, tolerance float64) {
	t.Helper()
	if d := golden.MaxDiff(got, want); d > tolerance {
		t.Errorf("%s is off by %.2g, tolerance %.2g", what, d, tolerance)
	}
}

// eachSet runs f for every implementation that this processor has.
func eachSet(t *testing.T, f func(t *testing.T, k *Set)) {
	for _, k := range Sets() {
		t.Run(k.Name, func(t *testing.T) { f(t, k) })
	}
}

func TestGoldenMXFP4(t *testing.T) {
	for _, g := range golden.Kernels(t, models, "mxfp4.table_ocp") {
		table := g.F32(t, "mxfp4.table_ocp")
		for scale := range 255 {
			for code := range 16 {
				got, want := e2m1[code][0]*e8m0[scale], table[scale*16+code]
				if math.Float32bits(got) != math.Float32bits(want) {
					t.Fatalf("code %d at scale %d is %v, want %v", code, scale, got, want)
				}
			}
		}
		shape := g.Shape(t, "mxfp4.values")
		m := Matrix{Format: MXFP4, Rows: shape[0], Cols: shape[1], Data: g.U8(t, "mxfp4.hf_blocks"), Scales: g.U8(t, "mxfp4.hf_scales")}
		values := make([]float32, m.Rows*m.Cols)
		for r := range m.Rows {
			m.Row(values[r*m.Cols:(r+1)*m.Cols], r)
		}
		within(t, "unpacked values", values, g.F32(t, "mxfp4.values"), 0)

		x, want := g.F32(t, "mxfp4.x"), g.F32(t, "mxfp4.matvec")
		in := Rows{Data: make([]float32, len(x)), Width: m.Cols}
		Split(in.Data, x, m.Cols)
		eachSet(t, func(t *testing.T, k *Set) {
			var s Scratch
			for i := range m.Tiles() {
				n := k.Tile(&s, &m, i, in)
				for row := range in.Len() {
					w := want[row*m.Rows+i*TileRows:][:n]
					within(t, "product", s.Sums[row][:n], w, 1e-5*scaleOf(w))
				}
			}
		})
	}
}

func TestGoldenNorm(t *testing.T) {
	for _, g := range golden.Kernels(t, models, "rmsnorm.w") {
		x, gain, want := g.F32(t, "rmsnorm.x"), g.F32(t, "rmsnorm.w"), g.F32(t, "rmsnorm.y")
		eachSet(t, func(t *testing.T, k *Set) {
			got := make([]float32, len(x))
			for n, at := len(gain), 0; at < len(x); at += n {
				k.Norm(got[at:at+n], x[at:at+n], gain, 1e-5)
			}
			within(t, "norm", got, want, 1e-6*scaleOf(want))
		})
	}
}

func TestGoldenSwiGLU(t *testing.T) {
	for _, g := range golden.Kernels(t, models, "swiglu.y") {
		x, want := g.F32(t, "swiglu.x"), g.F32(t, "swiglu.y")
		eachSet(t, func(t *testing.T, k *Set) {
			got := make([]float32, len(want))
			k.SwiGLU(got, x, 1.702, 7)
			within(t, "activations", got, want, 1e-6*scaleOf(want))
		})
	}
}

func TestExp(t *testing.T) {
	for x := float32(-103); x < 88.7; x += 0.0137 {
		want := math.Exp(float64(x))
		if got := float64(Exp(x)); math.Abs(got-want) > want*1.2e-7+1e-45 {
			t.Fatalf("exp(%v) is %v, want %v", x, got, want)
		}
	}
	inf := float32(math.Inf(1))
	if Exp(-inf) != 0 || Exp(inf) != inf || Exp(0) != 1 || Exp(float32(math.NaN())) == Exp(0) {
		t.Error("exp is wrong at its ends")
	}
}

func TestHalf(t *testing.T) {
	for h := range 1 << 16 {
		v := Half(uint16(h))
		exp, frac := h>>10&31, float64(h&1023)
		want := math.Ldexp(1024+frac, exp-25)
		switch {
		case exp == 31 && frac > 0:
			if v == v {
				t.Fatalf("half %04x is %v, want no number", h, v)
			}
			continue
		case exp == 31:
			want = math.Inf(1)
		case exp == 0:
			want = math.Ldexp(frac, -24)
		}
		if h&0x8000 != 0 {
			want = -want
		}
		if float64(v) != want || math.Signbit(float64(v)) != (h&0x8000 != 0) {
			t.Fatalf("half %04x is %v, want %v", h, v, want)
		}
		if got := ToHalf(v); got != uint16(h) {
			t.Fatalf("%v as half is %04x, want %04x", v, got, h)
		}
		// Between two neighbours: the nearer, the even one in the middle.
		if exp < 30 {
			next := Half(uint16(h + 1))
			middle := (v + next) / 2
			if got, even := ToHalf(middle), uint16(h+h&1); got != even {
				t.Fatalf("%v as half is %04x, want %04x", middle, got, even)
			}
			if got := ToHalf(math.Nextafter32(middle, v)); got != uint16(h) {
				t.Fatalf("below %v as half is %04x, want %04x", middle, got, h)
			}
		}
	}
}
