package kernel

import (
	"encoding/binary"
	"fmt"
	"math"
	"testing"
	"time"

	"chorale/inference/internal/golden"
)

// rounded returns n random rows for a matrix as bytes: what they were, and what
// they have become.
func rounded(n, cols int, seed uint64) (was []float32, in Rows) {
	was = random(seed, n*cols)
	in = Rows{Data: make([]float32, n*cols), Width: cols, Bytes: make([]byte, n*BytesOf(cols))}
	Round(in.Bytes, in.Data, was)
	return was, in
}

// TestRound holds that a number is off by at most half a step of its block, of
// which the largest number has 127, and what becomes of blocks that have no step.
func TestRound(t *testing.T) {
	const n, cols = 3, 96
	was, in := rounded(n, cols, 7)
	for at := 0; at < len(was); at += Block {
		most := scaleOf(was[at : at+Block])
		for i, v := range was[at : at+Block] {
			is := in.Data[at+i&1*16+i>>1]
			if d := math.Abs(float64(is - v)); d > most/253 {
				t.Errorf("%v became %v, the largest of its block is %v", v, is, most)
			}
		}
	}
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	for _, c := range []struct{ value, scale float32 }{{0, 0}, {1e-45, 0}, {1e-38, 0}, {math.MaxFloat32, math.MaxFloat32 / 127}, {inf, nan}, {nan, nan}} {
		var b [inputBlock]byte
		var split, src [Block]float32
		src[5] = c.value
		roundBlock(&b, &split, &src)
		scale := math.Float32frombits(binary.LittleEndian.Uint32(b[inputScale:]))
		if scale != c.scale && (scale == scale || c.scale == c.scale) {
			t.Errorf("%v: scale %v, want %v", c.value, scale, c.scale)
		}
		if finite := c.value-c.value == 0; finite != (split[18] == split[18]) {
			t.Errorf("%v became %v", c.value, split[18])
		}
	}
}

// TestBytes holds the products of bytes against f64, to equal bits in all sets that
// have them, and to what the same input gives as numbers. With few rows and at a
// matrix's end they are numbers.
func TestBytes(t *testing.T) {
	for f := range Format(formats) {
		if !f.OfBytes() {
			continue
		}
		for _, s := range []struct{ rows, cols int }{{24, 32}, {48, 288}, {49, 800}, {24, 2880}} {
			m := packed(f, s.rows, s.cols, 1)
			for _, n := range []int{1, 7, 13, 16, 21} {
				_, in := rounded(n, s.cols, 3)
				plain := make([]float32, n*s.cols)
				for i := range plain {
					at := i % Block
					plain[i] = in.Data[i-at+at&1*16+at>>1]
				}
				exact, slack := want(m, plain)
				for _, k := range Sets() {
					got := product(k, m, in)
					for i := range got {
						if d := math.Abs(float64(got[i]) - exact[i]); !(d <= slack[i]) {
							t.Fatalf("%s: %v [%d, %d] by %d rows: number %d is %v, want %v", k.Name, f, s.rows, s.cols, n, i, got[i], exact[i])
						}
					}
					if k.HasBytes() && n >= k.bytesFrom() && s.rows%TileRows == 0 {
						same(t, fmt.Sprintf("%v: %s", f, k.Name), got, product(Scalar, m, in))
					}
				}
			}
		}
	}
}

// TestBytesAlone holds that a row's products do not depend on the others, nor on
// how they are picked.
func TestBytesAlone(t *testing.T) {
	for _, k := range Sets() {
		if k.bytes == nil {
			t.Logf("%s has no bytes", k.Name)
			continue
		}
		m := packed(MXFP4, 48, 288, 1)
		_, in := rounded(21, m.Cols, 3)
		all := product(k, m, in)
		in.Pick = []int32{20, 3, 4, 11, 0, 2, 8, 19, 7, 5, 6, 12, 13, 18, 1, 17, 9}
		some := product(k, m, in)
		for j, i := range in.Pick {
			same(t, fmt.Sprintf("%s: row %d", k.Name, i), some[j*m.Rows:(j+1)*m.Rows], all[int(i)*m.Rows:][:m.Rows])
		}
	}
}

// TestBytesExtremes holds every scale of MXFP4, and bytes of Q8_0 at both ends.
func TestBytesExtremes(t *testing.T) {
	for _, f := range []Format{MXFP4, MXFP4_17, Q8_0} {
		m := packed(f, 264, Block, 5)
		for r := range m.Rows {
			switch f {
			case MXFP4:
				m.Scales[r] = byte(r)
			case MXFP4_17:
				m.Data[17*r] = byte(r)
			default:
				m.Data[34*r+2], m.Data[34*r+3] = 128, 127
				binary.LittleEndian.PutUint16(m.Data[34*r:], uint16(r)<<8|uint16(r))
			}
		}
		_, in := rounded(4*byteInputs, Block, 3)
		oracle := product(Scalar, m, in)
		for _, k := range Sets() {
			if !k.HasBytes() {
				continue
			}
			for i, v := range product(k, m, in) {
				if w := oracle[i]; math.Float32bits(v) != math.Float32bits(w) && (v == v || w == w) {
					t.Fatalf("%s: %v: number %d is %v, want %v", k.Name, f, i, v, w)
				}
			}
		}
	}
}

// TestBytesGate holds that bytes are multiplied faster than numbers, from the fewest
// rows on that they are used for.
func TestBytesGate(t *testing.T) {
	if golden.Race {
		t.Skip("the race detector weighs on what is no assembly alone")
	}
	k := Best()
	if !k.HasBytes() {
		t.Skipf("%s has no bytes", k.Name)
	}
	var s Scratch
	for f := range Format(formats) {
		if !f.OfBytes() {
			continue
		}
		m := packed(f, TileRows, 2880, 1)
		for _, n := range []int{k.bytesFrom(), 16, 64} {
			_, in := rounded(n, m.Cols, 3)
			numbers := in
			numbers.Bytes = nil
			best := [2]time.Duration{time.Hour, time.Hour}
			for range 20 {
				for i, x := range []Rows{in, numbers} {
					start := time.Now()
					k.Tile(&s, m, 0, x)
					best[i] = min(best[i], time.Since(start))
				}
			}
			ratio := float64(best[1]) / float64(best[0])
			t.Logf("%v by %d rows: %.2f times as fast as numbers", f, n, ratio)
			if ratio < 1 {
				t.Errorf("%v by %d rows: bytes take %v, numbers %v", f, n, best[0], best[1])
			}
		}
	}
}
