package synth

import (
	"encoding/binary"
	"fmt"
	"math"

	"chorale/inference/internal/weights"
)

// matrix is one of a layer's two expert matrices, in MXFP4.
type matrix struct {
	blocks, scales    stream
	experts, rows, in int
	middle            int // of the scales
}

const (
	up   = "m1" // gate and up, by turns
	down = "m2"
)

func (m *Model) matrix(layer int, kind string) *matrix {
	rows, in, target := 2*m.Width, m.Hidden, 2.5
	if kind == down {
		rows, in, target = m.Hidden, m.Width, 0.35
	}
	return &matrix{
		blocks: m.stream(layer, kind+".blocks"), scales: m.stream(layer, kind+".scales"),
		experts: m.Experts, rows: rows, in: in,
		middle: 127 + int(math.RoundToEven(math.Log2(target*inverseRoot(in)/(2.93*1.32)))),
	}
}

// count is the number of blocks.
func (x *matrix) count() int { return x.experts * x.rows * x.in / weights.Block }

// scale returns the scale of block i.
func (x *matrix) scale(i int) byte {
	return byte(x.middle - 1 + int((x.scales.at(i)>>32)*3>>32))
}

// fillBlocks and fillScales write bytes from the given one on, whole blocks.
func (x *matrix) fillBlocks(dst []byte, at int) {
	for i := 0; i < len(dst); i += 8 {
		binary.LittleEndian.PutUint64(dst[i:], x.blocks.at((at+i)/8))
	}
}

func (x *matrix) fillScales(dst []byte, at int) {
	for i := range dst {
		dst[i] = x.scale(at + i)
	}
}

// numbers returns a canonical BF16 tensor and its shape.
func (m *Model) normals(layer int, kind string) (*normals, []int) {
	q, kv, r := m.Heads*HeadDim, m.KVHeads*HeadDim, inverseRoot(m.Hidden)
	mean, std := 0.0, 1.0
	var shape []int
	switch kind {
	case "embed":
		shape = []int{m.Vocab, m.Hidden}
	case "unembed":
		shape, std = []int{m.Vocab, m.Hidden}, 2.5*r
	case "norm_f", "norm_a", "norm_m":
		shape, mean, std = []int{m.Hidden}, 1, 0.1
	case "q_w":
		shape, std = []int{q, m.Hidden}, r
	case "k_w", "v_w":
		shape, std = []int{kv, m.Hidden}, r
	case "q_b":
		shape, std = []int{q}, 0.3
	case "k_b", "v_b":
		shape, std = []int{kv}, 0.3
	case "o_w":
		shape, std = []int{m.Hidden, q}, inverseRoot(q)
	case "o_b":
		shape, std = []int{m.Hidden}, 0.1
	case "sinks":
		shape, std = []int{m.Heads}, 1.5
	case "r_w":
		shape, std = []int{m.Experts, m.Hidden}, 2*r
	case "r_b":
		shape, std = []int{m.Experts}, 0.3
	case up + "_b":
		shape, std = []int{m.Experts, 2 * m.Width}, 1.5
	case down + "_b":
		shape, std = []int{m.Experts, m.Hidden}, 0.2
	default:
		panic("synth: no tensor " + kind)
	}
	n := &normals{stream: m.stream(layer, kind), mean: mean, std: std, count: 1}
	for _, d := range shape {
		n.count *= d
	}
	return n, shape
}

// tensors collects the tensors of a safetensors layout, in the order of the
// file.
type tensors struct {
	*Model
	list []weights.Made
}

// bf16 adds canonical tensors, stacked along their rows.
func (t *tensors) bf16(name string, layer int, kinds ...string) {
	made := weights.Made{Name: name, DType: weights.BF16}
	var parts []*normals
	for _, kind := range kinds {
		n, shape := t.normals(layer, kind)
		if parts = append(parts, n); len(parts) > 1 {
			shape[0] += made.Shape[0]
		}
		made.Shape = shape
	}
	made.Fill = func(dst []byte, at int) {
		for _, p := range parts {
			size := 2 * p.count
			if at < size && len(dst) > 0 {
				n := min(len(dst), size-at)
				p.fill(dst[:n], at)
				dst, at = dst[n:], at+n
			}
			at -= size
		}
	}
	t.list = append(t.list, made)
}

// mxfp4 adds blocks and scales.
func (t *tensors) mxfp4(blocks, scales string, layer int, kind string) {
	x := t.matrix(layer, kind)
	shape := []int{x.experts, x.rows, x.in / weights.Block}
	t.list = append(t.list,
		weights.Made{Name: blocks, DType: weights.U8, Shape: append(shape[:3:3], weights.Block/2), Fill: x.fillBlocks},
		weights.Made{Name: scales, DType: weights.U8, Shape: shape, Fill: x.fillScales})
}

// Weights returns the checkpoint in Hugging Face's layout, without a file: a
// tensor is made where it is copied to.
func (m *Model) Weights() (*weights.Store, error) {
	return weights.Generate("synthetic weights", m.huggingFace())
}

func (m *Model) huggingFace() []weights.Made {
	t := &tensors{Model: m}
	t.bf16("model.embed_tokens.weight", -1, "embed")
	for l := range m.Layers {
		p := fmt.Sprintf("model.layers.%d.", l)
		t.bf16(p+"input_layernorm.weight", l, "norm_a")
		for _, x := range []string{"q", "k", "v", "o"} {
			t.bf16(p+"self_attn."+x+"_proj.weight", l, x+"_w")
			t.bf16(p+"self_attn."+x+"_proj.bias", l, x+"_b")
		}
		t.bf16(p+"self_attn.sinks", l, "sinks")
		t.bf16(p+"post_attention_layernorm.weight", l, "norm_m")
		t.bf16(p+"mlp.router.weight", l, "r_w")
		t.bf16(p+"mlp.router.bias", l, "r_b")
		e := p + "mlp.experts."
		t.mxfp4(e+"gate_up_proj_blocks", e+"gate_up_proj_scales", l, up)
		t.bf16(e+"gate_up_proj_bias", l, up+"_b")
		t.mxfp4(e+"down_proj_blocks", e+"down_proj_scales", l, down)
		t.bf16(e+"down_proj_bias", l, down+"_b")
	}
	t.bf16("model.norm.weight", -1, "norm_f")
	t.bf16("lm_head.weight", -1, "unembed")
	return t.list
}

func (m *Model) openAI() []weights.Made {
	t := &tensors{Model: m}
	t.bf16("embedding.weight", -1, "embed")
	for l := range m.Layers {
		p := fmt.Sprintf("block.%d.", l)
		t.bf16(p+"attn.norm.scale", l, "norm_a")
		t.bf16(p+"attn.qkv.weight", l, "q_w", "k_w", "v_w")
		t.bf16(p+"attn.qkv.bias", l, "q_b", "k_b", "v_b")
		t.bf16(p+"attn.sinks", l, "sinks")
		t.bf16(p+"attn.out.weight", l, "o_w")
		t.bf16(p+"attn.out.bias", l, "o_b")
		t.bf16(p+"mlp.norm.scale", l, "norm_m")
		t.bf16(p+"mlp.gate.weight", l, "r_w")
		t.bf16(p+"mlp.gate.bias", l, "r_b")
		t.mxfp4(p+"mlp.mlp1_weight.blocks", p+"mlp.mlp1_weight.scales", l, up)
		t.bf16(p+"mlp.mlp1_bias", l, up+"_b")
		t.mxfp4(p+"mlp.mlp2_weight.blocks", p+"mlp.mlp2_weight.scales", l, down)
		t.bf16(p+"mlp.mlp2_bias", l, down+"_b")
	}
	t.bf16("norm.scale", -1, "norm_f")
	t.bf16("unembedding.weight", -1, "unembed")
	return t.list
}
