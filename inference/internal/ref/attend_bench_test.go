package ref

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"chorale/inference/internal/graph"
)

// BenchmarkAttend attends at the end of a long context in gpt-oss-20b's shape, by all
// threads, and has them read the same keys and values by turns, a word of every cache
// line. Before each, other memory is read, as a token's weights are. Besides the least
// time it reports how many times as long as reading attention takes.
func BenchmarkAttend(b *testing.B) {
	const slots = 1 << 15
	others := make([]float32, 64<<20)
	for i := range others {
		others[i] = 1
	}
	random := rand.New(rand.NewPCG(1, 1))
	for _, kv := range []graph.KVType{graph.KVF32, graph.KVF16} {
		c := &graph.Config{Hidden: 1, Layers: 1, Heads: 64, KVHeads: 8, HeadDim: 64, Window: []int{0}, MaxContext: slots}
		back := New(c, nil, Options{KV: kv})
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
				timed := func(f func()) float64 {
					s.spread(64, 1, func(_ *scratch, lo, hi int) {
						for i := lo; i < hi; i++ {
							touch(others[i<<20:(i+1)<<20], 16)
						}
					})
					start := time.Now()
					f()
					return time.Since(start).Seconds()
				}
				for b.Loop() {
					attend = append(attend, timed(func() { s.Attend(0, sinks) }))
					read = append(read, timed(func() {
						s.spread(len(cache.pages), 1, func(_ *scratch, lo, hi int) {
							for i := lo; i < hi; i++ {
								touch(cache.pages[i].f32, 16)
								touch(cache.pages[i].f16, 32)
							}
						})
					}))
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

// touch reads every so many numbers, in four places at once.
//
//go:noinline
func touch[T float32 | uint16](v []T, step int) T {
	n := len(v) / 4
	a, b, c, d := v[:n], v[n:2*n], v[2*n:3*n], v[3*n:4*n]
	var x, y, z, w T
	for i := 0; i < n; i += step {
		x, y, z, w = x+a[i], y+b[i], z+c[i], w+d[i]
	}
	return x + y + z + w
}
