package kernel

import (
	"fmt"
	"testing"
	"time"

	"chorale/inference/internal/golden"
)

// work is a kernel with inputs of gpt-oss's shapes.
type work struct {
	name  string
	bytes int // of weights, keys or numbers that it reads
	run   func(k *Set)
}

// works are all kernels.
func works() []work {
	const cols, keys = 2880, 128
	var s Scratch
	var all []work
	for f := range Format(formats) {
		m := packed(f, TileRows, cols, 1)
		size := len(m.Data) + len(m.Scales)
		for _, n := range []int{1, 4, 12} {
			_, in := inputs(n, cols, 3)
			all = append(all, work{fmt.Sprintf("%v/%d", f, n), size, func(k *Set) { k.Tile(&s, m, 0, in) }})
		}
	}
	a, b, c := random(1, 2*cols), random(2, cols), make([]float32, cols)
	panel := a[:keys*Panel]
	halves := make([]uint16, len(panel))
	for i, v := range panel {
		halves[i] = ToHalf(v)
	}
	return append(all,
		work{"Mix", 4 * len(panel), func(k *Set) { k.Mix(mixRows, c, Panel, b, keys, 1, panel, nil) }},
		work{"MixHalves", 2 * len(panel), func(k *Set) { k.MixHalves(mixRows, c, Panel, b, keys, 1, halves, nil) }},
		work{"Axpy", 4 * cols, func(k *Set) { k.Axpy(c[:cols], a[:cols], .5) }},
		work{"Softmax", 4 * cols, func(k *Set) { copy(c[:cols], a); k.Softmax(cols/keys, c, keys, keys, b, a[cols:], a) }},
		work{"Norm", 4 * cols, func(k *Set) { k.Norm(c[:cols], a[:cols], b[:cols], 1e-5) }},
		work{"SwiGLU", 8 * cols, func(k *Set) { k.SwiGLU(c[:cols], a[:2*cols], 1.702, 7) }},
	)
}

// TestGate finds a kernel that has become slower than its scalar twin, side by
// side: most take a fifth to a thirtieth of its time, and what is wont to go
// wrong costs a factor of 30. The best of many short runs counts, so that other
// work does not.
func TestGate(t *testing.T) {
	if golden.Race {
		t.Skip("the race detector weighs on the scalar twin alone")
	}
	for _, w := range works() {
		times := map[*Set]time.Duration{}
		for range 10 {
			for _, k := range Sets() {
				start := time.Now()
				w.run(k)
				if d := time.Since(start); times[k] == 0 || d < times[k] {
					times[k] = max(d, 1)
				}
			}
		}
		for _, k := range Sets()[1:] {
			ratio := float64(times[Scalar]) / float64(times[k])
			t.Logf("%-22s %-8s %5.1f times the scalar twin", w.name, k.Name, ratio)
			if ratio < 1 {
				t.Errorf("%s: %s takes %v, scalar %v", w.name, k.Name, times[k], times[Scalar])
			}
		}
	}
}

func BenchmarkKernels(b *testing.B) {
	for _, w := range works() {
		for _, k := range Sets() {
			b.Run(w.name+"/"+k.Name, func(b *testing.B) {
				b.SetBytes(int64(w.bytes))
				for b.Loop() {
					w.run(k)
				}
			})
		}
	}
}
