package ref

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"chorale/inference/internal/golden"
	"chorale/inference/internal/graph"
	"chorale/inference/internal/kernel"
)

// TestAttendSpans attends where rows see several spans, with and without a window,
// with heads that fill panels and query heads that fill the kernels' rows, and such as
// do not, with one KV head and several. It holds the backend to the formula, and to equal
// bits whether rows come together or alone and whether spans are computed one after the
// other or not.
func TestAttendSpans(t *testing.T) {
	const slots, last = 2*span + 192, 6
	random := rand.New(rand.NewPCG(2, 1))
	numbers := func(n int) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = kernel.Half(kernel.ToHalf(random.Float32() - 0.5))
		}
		return v
	}
	for _, shape := range []struct{ kvHeads, heads, dim, window int }{{1, 2, 64, 0}, {1, 10, 64, 0}, {1, 8, 40, span + 100}, {1, 3, 40, 100}, {3, 24, 64, 0}, {5, 10, 40, span + 7}} {
		keys, values, sinks := numbers(shape.kvHeads*slots*64), numbers(shape.kvHeads*slots*64), make([]float32, shape.heads)
		queries := numbers(last * shape.heads * 64)
		for i := range sinks {
			sinks[i] = float32(i%5 - 2)
		}
		for i := range max(len(keys), len(queries)) { // shorter heads are such with zeros
			if i%64 >= shape.dim {
				for _, v := range [][]float32{keys, values, queries} {
					v[i%len(v)] = 0
				}
			}
		}
		short := func(v []float32, n int) (out []float32) {
			for head := range slices.Chunk(v[:n*64], 64) {
				out = append(out, head[:shape.dim]...)
			}
			return out
		}
		var want []float32
		for r := range last {
			q := slices.Clone(queries[r*shape.heads*64:][:shape.heads*64])
			for i := range q { // the formula divides by the root of 64
				q[i] *= float32(8 / math.Sqrt(float64(shape.dim)))
			}
			for h, group := 0, shape.heads/shape.kvHeads; h < shape.kvHeads; h++ {
				of := golden.Attention(q[h*group*64:], keys[h*slots*64:], values[h*slots*64:], sinks[h*group:(h+1)*group], slots-last+r+1, shape.window)
				want = append(want, short(of, group)...)
			}
		}
		c := &graph.Config{Hidden: 1, Layers: 1, Heads: shape.heads, KVHeads: shape.kvHeads, HeadDim: shape.dim, Window: []int{shape.window}, MaxContext: slots}
		packed := pack(t, sinks)
		for _, kernels := range kernel.Sets() {
			for _, kv := range []graph.KVType{graph.KVF32, graph.KVF16} {
				var first []float32
				for _, threads := range []int{1, 3} {
					for _, batch := range []int{last, 1} {
						b := New(c, nil, Options{Threads: threads, KV: kv, Kernels: kernels})
						st, err := b.NewState(slots)
						if err != nil {
							t.Fatal(err)
						}
						for p := range slots {
							var k, v []float32
							for h := range shape.kvHeads {
								k = append(k, short(keys[(h*slots+p)*64:], 1)...)
								v = append(v, short(values[(h*slots+p)*64:], 1)...)
							}
							st.(*state).cache.layers[0].put(p, k, v)
						}
						s := &b.pass
						s.ctx = t.Context()
						var got []float32
						for r := 0; r < last; r += batch {
							s.rows = nil
							for i := range batch {
								s.rows = append(s.rows, row{state: st.(*state), pos: slots - last + r + i})
							}
							s.regs[graph.Q] = short(queries[r*shape.heads*64:], batch*shape.heads)
							s.regs[graph.Ctx] = numbers(batch * c.QWidth())
							s.Attend(0, packed)
							got = append(got, s.regs[graph.Ctx]...)
						}
						if err := b.Close(); err != nil {
							t.Error(err)
						}
						if first == nil {
							first = got
							within(t, kernels.Name, got, want, 2e-6)
						} else if !slices.Equal(got, first) {
							t.Errorf("%+v, %s, %v: other bits with %d threads and %d rows at once", shape, kernels.Name, kv, threads, batch)
						}
					}
				}
			}
		}
	}
}

// TestAttendApart has one session's queries give scores that are no numbers or infinite:
// no other session, in the same pass or the next, and no other row gets anything of them.
func TestAttendApart(t *testing.T) {
	const slots, last, width = span + 192, span + 142, 10 * 40
	c := &graph.Config{Hidden: 1, Layers: 1, Heads: 10, KVHeads: 2, HeadDim: 40, Window: []int{0}, MaxContext: slots}
	sinks := pack(t, make([]float32, c.Heads))
	inf := float32(math.Inf(1))
	for _, kernels := range kernel.Sets() {
		for _, kv := range []graph.KVType{graph.KVF32, graph.KVF16} {
			b := New(c, nil, Options{Threads: 1, KV: kv, Kernels: kernels})
			defer b.Close()
			var states []*state
			for range 2 {
				st, err := b.NewState(slots)
				if err != nil {
					t.Fatal(err)
				}
				for p := range slots {
					v := make([]float32, c.KVWidth())
					for i := range v {
						v[i] = float32((7*p+3*i)%11) / 11
					}
					st.(*state).cache.layers[0].put(p, v, v)
				}
				states = append(states, st.(*state))
			}
			s := &b.pass
			s.ctx = t.Context()
			attend := func(first float32, rows ...row) (ofLast []float32) {
				s.rows, s.regs[graph.Ctx] = rows, make([]float32, len(rows)*width)
				s.regs[graph.Q] = slices.Repeat([]float32{.3}, len(rows)*width)
				for i := range width {
					s.regs[graph.Q][i] = first
				}
				s.Attend(0, sinks)
				return slices.Clone(s.regs[graph.Ctx][(len(rows)-1)*width:])
			}
			other, one := row{state: states[0], pos: last}, row{state: states[1], pos: last}
			want := attend(.3, one)
			if slices.ContainsFunc(want, func(v float32) bool { return v != v }) {
				t.Fatal("numbers are missing")
			}
			for _, bad := range []float32{float32(math.NaN()), inf, -inf, 3e38} {
				for name, got := range map[string][]float32{
					"beside it":         attend(bad, other, one),
					"after it":          attend(.3, one),
					"in the row behind": attend(bad, row{state: states[1], pos: last - 1}, one),
				} {
					if !slices.Equal(got, want) {
						t.Errorf("%s, %v, queries of %v: other numbers %s", kernels.Name, kv, bad, name)
					}
				}
			}
		}
	}
}
