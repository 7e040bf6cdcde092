package golden

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"strings"

	"chorale/inference/internal/graph"
	"chorale/inference/internal/weights"
)

// GGUF is a file in the making, for tests of what no other writer writes.
type GGUF struct {
	Keys, Tensors     int // so far
	meta, infos, data []byte
}

// The types of GGUF's values and tensors.
var (
	valueTypes = map[string]uint32{"uint32": 4, "float32": 6, "bool": 7, "string": 8}
	ggmlTypes  = map[weights.DType]uint32{weights.F32: 0, weights.F16: 1, weights.Q8_0: 8, weights.BF16: 30, weights.MXFP4Blocks: 39}
)

func text(b []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint64(b, uint64(len(s))), s...)
}

// Raw appends a key whose value is given as bytes.
func (g *GGUF) Raw(key string, kind uint32, value []byte) {
	g.Keys++
	g.meta = append(binary.LittleEndian.AppendUint32(text(g.meta, key), kind), value...)
}

// Key appends a key with a value of type uint32, float32, bool or string.
func (g *GGUF) Key(key string, value any) {
	kind := valueTypes[fmt.Sprintf("%T", value)]
	if s, ok := value.(string); ok {
		g.Raw(key, kind, text(nil, s))
		return
	}
	b, err := binary.Append(nil, binary.LittleEndian, value)
	if err != nil {
		panic(err)
	}
	g.Raw(key, kind, b)
}

// Tensor appends a tensor, its shape slowest first.
func (g *GGUF) Tensor(name string, kind uint32, shape []int, data []byte) {
	g.Tensors++
	g.infos = binary.LittleEndian.AppendUint32(text(g.infos, name), uint32(len(shape)))
	for i := range shape {
		g.infos = binary.LittleEndian.AppendUint64(g.infos, uint64(shape[len(shape)-1-i]))
	}
	g.infos = binary.LittleEndian.AppendUint32(g.infos, kind)
	g.infos = binary.LittleEndian.AppendUint64(g.infos, uint64(len(g.data)))
	g.data = padded(append(g.data, data...))
}

// Bytes returns the file.
func (g *GGUF) Bytes() []byte {
	b := append([]byte("GGUF"), 3, 0, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, uint64(g.Tensors))
	b = binary.LittleEndian.AppendUint64(b, uint64(g.Keys))
	b = append(append(b, g.meta...), g.infos...)
	return append(padded(b), g.data...)
}

func padded(b []byte) []byte { return append(b, make([]byte, -len(b)&31)...) }

// Types say what a checkpoint's tensors are made of.
type Types struct {
	Dense, Vector weights.DType
	KeyType       weights.DType // of the matrices for keys; empty is Dense

	// Odd lets the blocks' scales be any half-precision numbers; the weights are
	// then exact in Q8_0 and F32 only. Otherwise they are powers of two, and the
	// weights are exact in every type.
	Odd bool
}

// Mixed makes a checkpoint in the shapes of c and with the experts of w, whose
// other weights are random and exact in the types. With the same seed and Odd
// they are the same numbers whatever the types.
func Mixed(c *graph.Config, w *graph.Weights, seed uint64, t Types) []byte {
	g := &mixer{Types: t, random: rand.New(rand.NewPCG(seed, 0))}
	g.config(c)
	q, kv, h := c.QWidth(), c.KVWidth(), c.Hidden
	g.dense("token_embd", c.Vocab, h, -4)
	for l := range w.Layers {
		p, b := fmt.Sprintf("blk.%d.", l), &w.Layers[l]
		g.vector(p+"attn_norm.weight", h)
		for _, m := range []struct {
			name    string
			out, in int
		}{{"attn_q", q, h}, {"attn_k", kv, h}, {"attn_v", kv, h}, {"attn_output", h, q}, {"ffn_gate_inp", c.Experts, h}} {
			g.dense(p+m.name, m.out, m.in, -9)
			g.vector(p+m.name+".bias", m.out)
		}
		g.vector(p+"attn_sinks.weight", c.Heads)
		g.vector(p+"post_attention_norm.weight", h)
		blocks := ggmlTypes[weights.MXFP4Blocks]
		g.Tensor(p+"ffn_gate_exps.weight", blocks, b.Up.W.Odd.Shape, b.Up.W.Data)
		g.Tensor(p+"ffn_up_exps.weight", blocks, b.Up.W.Odd.Shape, b.Up.W.Odd.Data)
		g.Tensor(p+"ffn_down_exps.weight", blocks, b.Down.W.Shape, b.Down.W.Data)
		g.vector(p+"ffn_gate_exps.bias", c.Experts, c.Width)
		g.vector(p+"ffn_up_exps.bias", c.Experts, c.Width)
		g.vector(p+"ffn_down_exps.bias", c.Experts, h)
	}
	g.vector("output_norm.weight", h)
	g.dense("output", c.Vocab, h, -7)
	return g.Bytes()
}

// mixer makes the tensors of Mixed.
type mixer struct {
	GGUF
	Types
	random *rand.Rand
}

func (g *mixer) config(c *graph.Config) {
	const a = "gpt-oss."
	g.Key("general.architecture", "gpt-oss")
	for _, k := range []struct {
		key string
		n   int
	}{
		{"block_count", c.Layers}, {"context_length", c.MaxContext}, {"embedding_length", c.Hidden},
		{"attention.head_count", c.Heads}, {"attention.head_count_kv", c.KVHeads}, {"attention.key_length", c.HeadDim},
		{"attention.sliding_window", c.Window[0]}, {"expert_count", c.Experts}, {"expert_used_count", c.TopK},
		{"expert_feed_forward_length", c.Width}, {"rope.scaling.original_context_length", c.Rope.OriginalContext},
	} {
		g.Key(a+k.key, uint32(k.n))
	}
	g.Key(a+"attention.layer_norm_rms_epsilon", c.Eps)
	g.Key(a+"rope.freq_base", float32(c.Rope.Theta))
	g.Key(a+"rope.scaling.type", "yarn")
	g.Key(a+"rope.scaling.factor", float32(c.Rope.Factor))
}

// dense adds a matrix of whole blocks with scales around 2^exponent.
func (g *mixer) dense(name string, out, in, exponent int) {
	var data []byte
	kind := g.Dense
	if g.KeyType != "" && strings.HasSuffix(name, "attn_k") {
		kind = g.KeyType
	}
	for range out * in / weights.Block {
		mantissa := g.random.Uint32() & 0x3ff
		if !g.Odd {
			mantissa = 0
		}
		exponent := exponent + int(g.random.Uint32()%3)
		if kind == weights.Q8_0 {
			data = binary.LittleEndian.AppendUint16(data, uint16(exponent+15)<<10|uint16(mantissa))
		}
		for range weights.Block {
			q := int8(g.random.Uint32())
			if kind == weights.Q8_0 {
				data = append(data, byte(q))
			} else {
				data = number(data, kind, int(q)*(1024+int(mantissa)), exponent-10)
			}
		}
	}
	g.Tensor(name+".weight", ggmlTypes[kind], []int{out, in}, data)
}

func (g *mixer) vector(name string, shape ...int) {
	n, data := 1, []byte(nil)
	for _, d := range shape {
		n *= d
	}
	for range n {
		data = number(data, g.Vector, int(int8(g.random.Uint32())), -6)
	}
	g.Tensor(name, ggmlTypes[g.Vector], shape, data)
}

// number appends m * 2^exponent, which must be exact.
func number(b []byte, t weights.DType, m, exponent int) []byte {
	v := math.Float32bits(float32(math.Ldexp(float64(m), exponent)))
	switch t {
	case weights.F32:
		return binary.LittleEndian.AppendUint32(b, v)
	case weights.BF16:
		if v&0xffff != 0 {
			panic("golden: not exact in BF16")
		}
		return binary.LittleEndian.AppendUint16(b, uint16(v>>16))
	}
	sign := uint16(v >> 16 & 0x8000)
	if m = max(m, -m); m == 0 {
		return binary.LittleEndian.AppendUint16(b, sign)
	}
	shift := 11 - bits.Len(uint(m)) // to a mantissa of eleven bits
	if shift < 0 {
		if m&(1<<-shift-1) != 0 {
			panic("golden: not exact in F16")
		}
		m >>= -shift
	} else {
		m <<= shift
	}
	return binary.LittleEndian.AppendUint16(b, sign|uint16(exponent-shift+25)<<10|uint16(m&0x3ff))
}
