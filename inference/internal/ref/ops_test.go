package ref

import (
	"context"
	"encoding/binary"
	"math"
	"slices"
	"testing"

	"chorale/inference/internal/golden"
	"chorale/inference/internal/graph"
	"chorale/inference/internal/weights"
)

// pack rounds towards bf16; the goldens' numbers are bf16 already, which it
// checks.
func pack(t testing.TB, v []float32) *weights.Tensor {
	t.Helper()
	b := make([]byte, 0, 2*len(v))
	for _, x := range v {
		u := math.Float32bits(x)
		if u&0xffff != 0 {
			t.Fatalf("%v is no bf16 number", x)
		}
		b = binary.LittleEndian.AppendUint16(b, uint16(u>>16))
	}
	return &weights.Tensor{Name: "test", DType: weights.BF16, Shape: []int{len(v)}, Data: b}
}

// operate makes a pass over n tokens of one sequence from position 0 on and lets
// f call operations.
func operate(t *testing.T, c *graph.Config, n int, f func(s *pass)) {
	t.Helper()
	c.MaxContext = 1 << 18
	b := New(c, nil, Options{Threads: 2})
	defer b.Close()
	st, err := b.NewState(c.MaxContext)
	if err != nil {
		t.Fatal(err)
	}
	s := &b.pass
	s.ctx = context.Background()
	for i := range n {
		s.rows = append(s.rows, row{state: st.(*state), pos: i})
	}
	for r := range s.regs {
		s.regs[r] = make([]float32, n*c.RegWidth(graph.Reg(r)))
	}
	f(s)
	if s.err != nil {
		t.Fatal(s.err)
	}
}

func within(t *testing.T, what string, got, want []float32, tolerance float64) {
	t.Helper()
	if d := golden.MaxDiff(got, want); d > tolerance {
		t.Errorf("%s is off by %.2g, tolerance %.2g", what, d, tolerance)
	}
}

// scaleOf returns the largest magnitude, at least 1.
func scaleOf(v []float32) float32 {
	m := float32(1)
	for _, x := range v {
		m = max(m, float32(math.Abs(float64(x))))
	}
	return m
}

func TestRMSNorm(t *testing.T) {
	for _, g := range golden.Kernels(t, models, "rmsnorm.w") {
		shape := g.Shape(t, "rmsnorm.x")
		operate(t, &graph.Config{Hidden: shape[1], Layers: 1, KVHeads: 1, Window: []int{0}, Eps: 1e-5}, shape[0], func(s *pass) {
			copy(s.regs[graph.X], g.F32(t, "rmsnorm.x"))
			s.RMSNorm(graph.Norm, graph.X, pack(t, g.F32(t, "rmsnorm.w")))
			want := g.F32(t, "rmsnorm.y")
			within(t, "norm", s.regs[graph.Norm], want, 1e-6*float64(scaleOf(want)))
		})
	}
}

// gptOss are the rotary parameters of the released models.
var gptOss = graph.Rope{Theta: 150000, Factor: 32, BetaFast: 32, BetaSlow: 1, OriginalContext: 4096}

func TestRotary(t *testing.T) {
	for _, g := range golden.Kernels(t, models, "rope.inv_freq_f64_rounded") {
		truncated := gptOss
		truncated.Truncate = true
		within(t, "frequencies", narrow(gptOss.Frequencies(64)), g.F32(t, "rope.inv_freq_f64_rounded"), 0)
		within(t, "truncated frequencies", narrow(truncated.Frequencies(64)), g.F32(t, "rope.inv_freq_truncate_true"), 1e-7)

		heads := g.Shape(t, "rope.x")[1]
		c := &graph.Config{Hidden: 1, Layers: 1, Heads: heads, KVHeads: 1, Window: []int{0}, HeadDim: 64, Rope: gptOss}
		x, y := g.F32(t, "rope.x"), g.F32(t, "rope.y")
		for i, pos := range g.Ints(t, "rope.positions") {
			cos, sin := c.Rotary(pos, 1)
			within(t, "cos", cos, g.F32(t, "rope.cos_f64")[i*32:(i+1)*32], 1e-7)
			within(t, "sin", sin, g.F32(t, "rope.sin_f64")[i*32:(i+1)*32], 1e-7)
			// The outputs were computed with angles in f32, so with these tables.
			operate(t, c, 1, func(s *pass) {
				s.cos, s.sin = g.F32(t, "rope.cos")[i*32:(i+1)*32], g.F32(t, "rope.sin")[i*32:(i+1)*32]
				copy(s.regs[graph.Q], x[i*c.QWidth():(i+1)*c.QWidth()])
				s.Rotate(graph.Q)
				within(t, "rotated heads", s.regs[graph.Q], y[i*c.QWidth():(i+1)*c.QWidth()], 2e-6)
			})
		}
	}
}

func narrow(v []float64) []float32 {
	f := make([]float32, len(v))
	for i, x := range v {
		f[i] = float32(x)
	}
	return f
}

func TestAttention(t *testing.T) {
	for _, g := range golden.Kernels(t, models, "sinks") {
		for _, name := range g.Groups("sinks") {
			q, kv := g.Shape(t, name+".q"), g.Shape(t, name+".k")
			c := &graph.Config{
				Hidden: 1, Layers: 1, Heads: q[1], KVHeads: kv[1], HeadDim: q[2],
				Window: g.Ints(t, name+".window"),
			}
			operate(t, c, kv[0], func(s *pass) {
				copy(s.regs[graph.K], g.F32(t, name+".k"))
				copy(s.regs[graph.V], g.F32(t, name+".v"))
				s.Append(0)
				all := slices.Clone(s.rows)
				queries, want := g.F32(t, name+".q"), g.F32(t, name+".out")
				for i, row := range g.Ints(t, name+".rows") {
					w := c.QWidth()
					s.rows = append(s.rows[:0], all[row])
					copy(s.regs[graph.Q], queries[i*w:(i+1)*w])
					s.Attend(0, pack(t, g.F32(t, name+".sinks")))
					within(t, name, s.regs[graph.Ctx][:w], want[i*w:(i+1)*w], 5e-6)
				}
			})
		}
	}
}

func TestTopK(t *testing.T) {
	for _, g := range golden.Kernels(t, models, "topk") {
		for _, name := range g.Groups("topk") {
			logits, n := g.F32(t, name+".logits"), g.Shape(t, name+".logits")[1]
			k := g.Shape(t, name+".topk")[1]
			ids, mix := g.Ints(t, name+".topk"), g.F32(t, name+".weights")
			for row := range len(logits) / n {
				choice, weight := make([]float32, k), make([]float32, k)
				topK(choice, weight, logits[row*n:(row+1)*n])
				for i, c := range choice {
					if int(c) != ids[row*k+i] {
						t.Errorf("%s row %d: experts %v, want %v", name, row, choice, ids[row*k:(row+1)*k])
						break
					}
				}
				within(t, name+" weights", weight, mix[row*k:(row+1)*k], 1e-6)
			}
		}
	}
}

// TestThreads holds the backend to equal bits whatever the number of threads
// and however the tokens are cut into batches.
func TestThreads(t *testing.T) {
	c, w := golden.Open(t, models+"/tiny-a/hf")
	ids := make([]uint32, 150)
	for i := range ids {
		ids[i] = uint32(i * 7919 % c.Vocab)
	}
	var first []float32
	for _, run := range []struct{ threads, batch int }{{1, 128}, {3, 128}, {2, 1}, {2, 33}} {
		b := New(c, w, Options{Threads: run.threads})
		s, err := b.NewState(len(ids))
		if err != nil {
			t.Fatal(err)
		}
		var logits []float32
		for pos := 0; pos < len(ids); pos += run.batch {
			part := ids[pos:min(pos+run.batch, len(ids))]
			logits, err = s.Forward(context.Background(), graph.Batch{IDs: part, Pos: pos, Rows: []int{len(part) - 1}})
			if err != nil {
				t.Fatal(err)
			}
		}
		if first == nil {
			first = append(first, logits...)
		}
		within(t, "logits", logits, first, 0)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}
