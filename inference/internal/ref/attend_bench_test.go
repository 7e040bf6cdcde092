package ref

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"chorale/inference/internal/graph"
)

// BenchmarkAttend attends at the end of a long context in gpt-oss-20b's shape, and
// reads the same keys and values by turns, a word of every cache line. Besides the
// least time it reports how many times as long as reading attention takes.
func BenchmarkAttend(b *testing.B) {
	const slots = 1 << 15
	random := rand.New(rand.NewPCG(1, 1))
	for _, kv := range []graph.KVType{graph.KVF32, graph.KVF16} {
		c := &graph.Config{Hidden: 1, Layers: 1, Heads: 64, KVHeads: 8, HeadDim: 64, Window: []int{0}, MaxContext: slots}
		back := New(c, nil, Options{KV: kv, Threads: 1})
		defer back.Close()
		st, err := back.NewState(slots)
		if err != nil {
			b.Fatal(err)
		}
		cache := &st.(*state).cache.layers[0]
		s := &back.pass
		s.ctx = b.Context()
		k := make([]float32, c.KVWidth())
		for p := range slots {
			for i := range k {
				k[i] = random.Float32() - 0.5
			}
			cache.put(p, k, k)
		}
		sinks := pack(b, make([]float32, c.Heads))
		for _, rows := range []int{1, 4} {
			s.rows = nil
			for t := range rows {
				s.rows = append(s.rows, row{state: st.(*state), pos: slots - rows + t})
			}
			s.regs[graph.Q], s.regs[graph.Ctx] = make([]float32, rows*c.QWidth()), make([]float32, rows*c.QWidth())
			for i := range s.regs[graph.Q] {
				s.regs[graph.Q][i] = random.Float32() - 0.5
			}
			b.Run(fmt.Sprintf("%v/rows%d", kv, rows), func(b *testing.B) {
				var attend, read []float64
				for b.Loop() {
					start := time.Now()
					s.Attend(0, sinks)
					attend = append(attend, time.Since(start).Seconds())
					start = time.Now()
					for i := range cache.pages {
						touch(cache.pages[i].f32, 16)
						touch(cache.pages[i].f16, 32)
					}
					read = append(read, time.Since(start).Seconds())
				}
				ratios := make([]float64, len(read))
				for i := range ratios {
					ratios[i] = attend[i] / read[i]
				}
				slices.Sort(ratios)
				b.ReportMetric(1e3*slices.Min(attend), "best-ms")
				b.ReportMetric(1e3*slices.Min(read), "best-ms-reading")
				b.ReportMetric(ratios[len(ratios)/2], "times-reading")
				b.ReportMetric(slices.Min(attend)/slices.Min(read), "best-times-reading")
			})
		}
	}
}

var touched float32

// touch reads every so many numbers, in four places at once.
func touch[T float32 | uint16](v []T, step int) {
	n := len(v) / 4
	a, b, c, d := v[:n], v[n:2*n], v[2*n:3*n], v[3*n:4*n]
	var x, y, z, w T
	for i := 0; i < n; i += step {
		x, y, z, w = x+a[i], y+b[i], z+c[i], w+d[i]
	}
	touched += float32(x + y + z + w)
}
