package synth

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"chorale/inference/internal/weights"
)

// ggufName is what the file is called until it has its own name.
const ggufName = "model.gguf"

// The types of GGUF's metadata and tensors that are written.
const (
	ggufUint32, ggufInt32, ggufFloat32, ggufBool, ggufString, ggufArray = 4, 5, 6, 7, 8, 9

	ggufF32, ggufQ8, ggufBF16, ggufMXFP4 = 0, 8, 30, 39

	ggufAlign = 32
)

// gguf is a file in the making: metadata and tensors. It is written as llama.cpp
// has gpt-oss: experts as MXFP4 in blocks of 17 bytes, gate and up apart,
// matrices in BF16 or Q8_0, all else in F32.
type gguf struct {
	*Model
	q8      bool
	meta    bytes.Buffer
	keys    uint64
	tensors []ggufTensor
}

type ggufTensor struct {
	name       string
	shape      []int // the last dimension varies fastest
	kind       uint32
	size, unit int
	fill       func(dst []byte, at int)
}

func (m *Model) writeGGUF(w *writer, q8 bool) error {
	g := &gguf{Model: m, q8: q8}
	g.metadata()
	g.layout()
	var infos bytes.Buffer
	offset := 0
	for _, t := range g.tensors {
		putString(&infos, t.name)
		put(&infos, uint32(len(t.shape)))
		for i := range t.shape {
			put(&infos, uint64(t.shape[len(t.shape)-1-i]))
		}
		put(&infos, t.kind, uint64(offset))
		offset = roundUp(offset + t.size)
		w.total += int64(t.size)
	}
	var head bytes.Buffer
	put(&head, uint32(0x46554747), uint32(3), uint64(len(g.tensors)), g.keys)
	head.Write(g.meta.Bytes())
	head.Write(infos.Bytes())
	head.Write(make([]byte, roundUp(head.Len())-head.Len()))
	return w.file(ggufName, func(to io.Writer) error {
		if _, err := to.Write(head.Bytes()); err != nil {
			return err
		}
		for _, t := range g.tensors {
			if err := w.tensor(to, t.size, t.unit, t.fill); err != nil {
				return err
			}
			if _, err := to.Write(make([]byte, roundUp(t.size)-t.size)); err != nil {
				return err
			}
		}
		return nil
	})
}

func roundUp(n int) int { return (n + ggufAlign - 1) / ggufAlign * ggufAlign }

// put appends numbers, least byte first.
func put(b *bytes.Buffer, all ...any) {
	for _, v := range all {
		// A buffer takes all that is written, and numbers of fixed size are all
		// that it is given.
		_ = binary.Write(b, binary.LittleEndian, v)
	}
}

func putString(b *bytes.Buffer, s string) {
	put(b, uint64(len(s)))
	b.WriteString(s)
}

// key appends an entry of the metadata.
func (g *gguf) key(name string, value any) {
	g.keys++
	putString(&g.meta, name)
	switch v := value.(type) {
	case string:
		put(&g.meta, uint32(ggufString))
		putString(&g.meta, v)
	case int:
		put(&g.meta, uint32(ggufUint32), uint32(v))
	case float32:
		put(&g.meta, uint32(ggufFloat32), v)
	case bool:
		put(&g.meta, uint32(ggufBool), v)
	case []int32:
		put(&g.meta, uint32(ggufArray), uint32(ggufInt32), uint64(len(v)), v)
	case []string:
		put(&g.meta, uint32(ggufArray), uint32(ggufString), uint64(len(v)))
		for _, s := range v {
			putString(&g.meta, s)
		}
	default:
		panic(fmt.Sprintf("synth: metadata of type %T", v))
	}
}

func (g *gguf) metadata() {
	m, a := g.Model, "gpt-oss."
	name := "synthetic"
	for preset, p := range Presets {
		if p.Seed == m.Seed && p.Hidden == m.Hidden {
			name = "synthetic " + preset
		}
	}
	g.key("general.architecture", "gpt-oss")
	g.key("general.type", "model")
	g.key("general.name", fmt.Sprintf("%s seed %d", name, m.Seed))
	g.key(a+"block_count", m.Layers)
	g.key(a+"context_length", 131072)
	g.key(a+"embedding_length", m.Hidden)
	g.key(a+"feed_forward_length", m.Width)
	g.key(a+"attention.head_count", m.Heads)
	g.key(a+"attention.head_count_kv", m.KVHeads)
	g.key(a+"rope.scaling.type", "yarn")
	g.key(a+"rope.scaling.factor", float32(32))
	g.key(a+"rope.scaling.original_context_length", 4096)
	g.key(a+"rope.scaling.yarn_beta_fast", float32(32))
	g.key(a+"rope.scaling.yarn_beta_slow", float32(1))
	g.key(a+"rope.freq_base", float32(150000))
	g.key(a+"attention.layer_norm_rms_epsilon", float32(1e-5))
	g.key(a+"expert_count", m.Experts)
	g.key(a+"expert_used_count", m.TopK)
	g.key(a+"attention.key_length", HeadDim)
	g.key(a+"attention.value_length", HeadDim)
	g.key("general.file_type", 38)
	g.key(a+"attention.sliding_window", m.Window)
	g.key(a+"expert_feed_forward_length", m.Width)
	g.key("general.quantization_version", 2)
	g.tokenizer()
}

func (g *gguf) tokenizer() {
	const text, controls, unused = 1, 3, 5
	v := g.vocabulary()
	types := make([]int32, len(v.tokens))
	for i := range types {
		switch {
		case i < v.ordinary:
			types[i] = text
		case i < v.ordinary+control:
			types[i] = controls
		default:
			types[i] = unused
		}
	}
	merges := make([]string, len(v.merges))
	for i, p := range v.merges {
		merges[i] = p[0] + " " + p[1]
	}
	g.key("tokenizer.ggml.model", "gpt2")
	g.key("tokenizer.ggml.pre", "gpt-4o")
	g.key("tokenizer.ggml.tokens", v.tokens)
	g.key("tokenizer.ggml.token_type", types)
	g.key("tokenizer.ggml.merges", merges)
	g.key("tokenizer.ggml.bos_token_id", v.ordinary+startOfText)
	g.key("tokenizer.ggml.eos_token_id", v.ordinary+returnToken)
	g.key("tokenizer.ggml.padding_token_id", v.ordinary+endOfText)
	g.key("tokenizer.ggml.add_bos_token", false)
}

func (g *gguf) layout() {
	g.dense("token_embd.weight", -1, "embed")
	for l := range g.Layers {
		p := fmt.Sprintf("blk.%d.", l)
		g.f32(p+"attn_norm.weight", l, "norm_a", 0, 1)
		for _, x := range [][2]string{{"q", "attn_q"}, {"k", "attn_k"}, {"v", "attn_v"}, {"o", "attn_output"}} {
			g.dense(p+x[1]+".weight", l, x[0]+"_w")
			g.f32(p+x[1]+".bias", l, x[0]+"_b", 0, 1)
		}
		g.f32(p+"attn_sinks.weight", l, "sinks", 0, 1)
		g.f32(p+"post_attention_norm.weight", l, "norm_m", 0, 1)
		g.f32(p+"ffn_gate_inp.weight", l, "r_w", 0, 1)
		g.f32(p+"ffn_gate_inp.bias", l, "r_b", 0, 1)
		g.mxfp4(p+"ffn_gate_exps.weight", l, up, 0, 2)
		g.mxfp4(p+"ffn_up_exps.weight", l, up, 1, 2)
		g.f32(p+"ffn_gate_exps.bias", l, up+"_b", 0, 2)
		g.f32(p+"ffn_up_exps.bias", l, up+"_b", 1, 2)
		g.mxfp4(p+"ffn_down_exps.weight", l, down, 0, 1)
		g.f32(p+"ffn_down_exps.bias", l, down+"_b", 0, 1)
	}
	g.f32("output_norm.weight", -1, "norm_f", 0, 1)
	g.dense("output.weight", -1, "unembed")
}

// dense adds a matrix.
func (g *gguf) dense(name string, layer int, kind string) {
	n, shape := g.normals(layer, kind)
	t := ggufTensor{name: name, shape: shape, kind: ggufBF16, size: 2 * n.count, unit: 2, fill: n.fill}
	if g.q8 {
		t.kind, t.unit, t.size = ggufQ8, weights.Q8Bytes, n.count/weights.Block*weights.Q8Bytes
		t.fill = func(dst []byte, at int) {
			for i := 0; i < len(dst); i += weights.Q8Bytes {
				n.quantise(dst[i:][:weights.Q8Bytes], (at+i)/weights.Q8Bytes)
			}
		}
	}
	g.tensors = append(g.tensors, t)
}

// quantise writes a block of Q8_0 as ggml's reference does: a scale in f16 of the
// largest magnitude over 127, and 32 numbers rounded by the scale before that was
// rounded itself.
func (n *normals) quantise(dst []byte, block int) {
	var x [weights.Block]float32
	var most float32
	for i := range x {
		x[i] = math.Float32frombits(uint32(n.at(block*weights.Block+i)) << 16)
		most = max(most, x[i], -x[i])
	}
	clear(dst)
	if most == 0 {
		return
	}
	scale := most / 127
	inverse := 1 / scale
	binary.LittleEndian.PutUint16(dst, half(scale))
	for i, v := range x {
		v *= inverse
		dst[2+i] = byte(int8(v + float32(math.Copysign(0.5, float64(v)))))
	}
}

// half rounds to f16, to even on ties, what is in its normal range: 6e-5 to 65504.
func half(v float32) uint16 {
	u := math.Float32bits(v)
	return uint16((u + 0xfff + u>>13&1 - 0x38000000) >> 13)
}

// f32 adds every step-th column from the first on.
func (g *gguf) f32(name string, layer int, kind string, first, step int) {
	n, shape := g.normals(layer, kind)
	shape[len(shape)-1] /= step
	g.tensors = append(g.tensors, ggufTensor{name: name, shape: shape, kind: ggufF32, size: 4 * n.count / step, unit: 4,
		fill: func(dst []byte, at int) {
			for i := 0; i < len(dst); i += 4 {
				binary.LittleEndian.PutUint32(dst[i:], uint32(n.at((at+i)/4*step+first))<<16)
			}
		}})
}

// mxfp4 adds every step-th row of each expert from the first on. A block is its
// scale and 16 bytes of which byte j has element j low and element j+16 high.
func (g *gguf) mxfp4(name string, layer int, kind string, first, step int) {
	const unit = 17
	x := g.matrix(layer, kind)
	perRow := x.in / weights.Block
	g.tensors = append(g.tensors, ggufTensor{name: name, shape: []int{x.experts, x.rows / step, x.in}, kind: ggufMXFP4,
		size: x.count() / step * unit, unit: unit,
		fill: func(dst []byte, at int) {
			var codes [weights.Block / 2]byte
			for i := 0; i < len(dst); i += unit {
				b := (at + i) / unit
				block := (b/perRow*step+first)*perRow + b%perRow
				x.fillBlocks(codes[:], block*len(codes))
				dst[i] = x.scale(block)
				for j := range codes {
					dst[i+1+j] = nibble(&codes, j) | nibble(&codes, j+16)<<4
				}
			}
		}})
}

// nibble returns element i of a block in Hugging Face's order.
func nibble(codes *[weights.Block / 2]byte, i int) byte { return codes[i/2] >> (4 * (i % 2)) & 15 }
