package golden

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
)

// Synth describes a checkpoint of random weights. Every value is a function of
// the seed, the tensor's name and the element's index through splitmix64, so
// the same weights come out on any machine and in either layout.
type Synth struct {
	Hidden, Width, Layers, Experts, TopK, Heads, KVHeads, Window, Vocab int
	Seed                                                                uint64
}

// Presets are the checkpoints that have goldens.
var Presets = map[string]Synth{
	"tiny-a":  {64, 64, 2, 8, 2, 4, 2, 32, 512, 1},
	"tiny-b":  {160, 96, 4, 32, 4, 8, 1, 128, 1024, 2},
	"syn-288": {288, 288, 4, 32, 4, 8, 1, 128, 1024, 3},
}

const (
	headDim = 64
	golden  = 0x9E3779B97F4A7C15 // splitmix64's increment
)

func mix64(z uint64) uint64 {
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

// stream is the sequence of 64-bit numbers that belongs to a tensor.
type stream uint64

func (s *Synth) stream(layer int, kind string) stream {
	h := uint64(0xCBF29CE484222325)
	for _, b := range []byte(fmt.Sprintf("%d.%s", layer, kind)) {
		h = (h ^ uint64(b)) * 0x100000001B3
	}
	return stream(mix64(h + mix64(s.Seed*golden)))
}

func (b stream) at(i int) uint64 { return mix64(uint64(i+1)*golden + uint64(b)) }

// normal is nearly N(0, 1): the sum of four 16-bit lanes, centred and scaled.
func (b stream) normal(i int) float64 {
	z := b.at(i)
	sum := z&0xffff + z>>16&0xffff + z>>32&0xffff + z>>48
	return (float64(sum) - 131070) * (1.7320508075688772 / 65536)
}

// roundBF16 rounds to the nearest, ties to even.
func roundBF16(x float64) uint16 {
	u := math.Float32bits(float32(x))
	return uint16((uint64(u) + 0x7fff + uint64(u>>16&1)) >> 16)
}

// part is one canonical BF16 tensor.
type part struct {
	kind      string
	mean, std float64
	shape     []int
}

func (s *Synth) part(kind string) part {
	q, kv, r := s.Heads*headDim, s.KVHeads*headDim, math.Pow(float64(s.Hidden), -0.5)
	for _, p := range []part{
		{"embed", 0, 1, []int{s.Vocab, s.Hidden}}, {"unembed", 0, 2.5 * r, []int{s.Vocab, s.Hidden}},
		{"norm_f", 1, 0.1, []int{s.Hidden}}, {"norm_a", 1, 0.1, []int{s.Hidden}}, {"norm_m", 1, 0.1, []int{s.Hidden}},
		{"q_w", 0, r, []int{q, s.Hidden}}, {"q_b", 0, 0.3, []int{q}},
		{"k_w", 0, r, []int{kv, s.Hidden}}, {"k_b", 0, 0.3, []int{kv}},
		{"v_w", 0, r, []int{kv, s.Hidden}}, {"v_b", 0, 0.3, []int{kv}},
		{"o_w", 0, math.Pow(float64(q), -0.5), []int{s.Hidden, q}}, {"o_b", 0, 0.1, []int{s.Hidden}},
		{"sinks", 0, 1.5, []int{s.Heads}},
		{"r_w", 0, 2 * r, []int{s.Experts, s.Hidden}}, {"r_b", 0, 0.3, []int{s.Experts}},
		{"m1_b", 0, 1.5, []int{s.Experts, 2 * s.Width}}, {"m2_b", 0, 0.2, []int{s.Experts, s.Hidden}},
	} {
		if p.kind == kind {
			return p
		}
	}
	panic("golden: no tensor " + kind)
}

// file collects tensors in the safetensors format.
type file struct {
	header map[string]any
	data   []byte
}

func (f *file) add(name, dtype string, shape []int, data []byte) {
	f.header[name] = map[string]any{"dtype": dtype, "shape": shape, "data_offsets": []int{len(f.data), len(f.data) + len(data)}}
	f.data = append(f.data, data...)
}

// bf16 adds canonical tensors, stacked along their rows.
func (s *Synth) bf16(f *file, name string, layer int, kinds ...string) {
	var data []byte
	var shape []int
	for _, kind := range kinds {
		p, b, n := s.part(kind), s.stream(layer, kind), 1
		for _, d := range p.shape {
			n *= d
		}
		for i := range n {
			data = binary.LittleEndian.AppendUint16(data, roundBF16(p.mean+p.std*b.normal(i)))
		}
		if shape == nil {
			shape = p.shape
		} else {
			shape[0] += p.shape[0]
		}
	}
	f.add(name, "BF16", shape, data)
}

// mxfp4 adds blocks and scales of one layer's matrices.
func (s *Synth) mxfp4(f *file, blocks, scales string, layer int, kind string) {
	rows, k, target := 2*s.Width, s.Hidden, 2.5
	if kind == "m2" {
		rows, k, target = s.Hidden, s.Width, 0.35
	}
	groups := k / 32
	mid := 127 + int(math.RoundToEven(math.Log2(target*math.Pow(float64(k), -0.5)/(2.93*1.32))))
	w, h := s.stream(layer, kind+".blocks"), s.stream(layer, kind+".scales")
	var bs, ss []byte
	for i := range s.Experts * rows * groups {
		bs = binary.LittleEndian.AppendUint64(bs, w.at(2*i))
		bs = binary.LittleEndian.AppendUint64(bs, w.at(2*i+1))
		ss = append(ss, byte(mid-1+int((h.at(i)>>32)*3>>32)))
	}
	f.add(blocks, "U8", []int{s.Experts, rows, groups, 16}, bs)
	f.add(scales, "U8", []int{s.Experts, rows, groups}, ss)
}

// Write makes the checkpoint in dir, in Hugging Face's layout or OpenAI's own.
func (s *Synth) Write(dir string, original bool) error {
	f := &file{header: map[string]any{}}
	config := s.hfConfig()
	if original {
		config = s.originalConfig()
		s.original(f)
	} else {
		s.huggingFace(f)
	}
	c, err := json.Marshal(config)
	if err != nil {
		return err
	}
	header, err := json.Marshal(f.header)
	if err != nil {
		return err
	}
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	out = append(append(out, header...), f.data...)
	if err := os.WriteFile(filepath.Join(dir, "config.json"), c, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "model.safetensors"), out, 0o644)
}

func (s *Synth) huggingFace(f *file) {
	s.bf16(f, "model.embed_tokens.weight", -1, "embed")
	s.bf16(f, "lm_head.weight", -1, "unembed")
	s.bf16(f, "model.norm.weight", -1, "norm_f")
	for l := range s.Layers {
		p := fmt.Sprintf("model.layers.%d.", l)
		s.bf16(f, p+"input_layernorm.weight", l, "norm_a")
		for _, x := range []string{"q", "k", "v", "o"} {
			s.bf16(f, p+"self_attn."+x+"_proj.weight", l, x+"_w")
			s.bf16(f, p+"self_attn."+x+"_proj.bias", l, x+"_b")
		}
		s.bf16(f, p+"self_attn.sinks", l, "sinks")
		s.bf16(f, p+"post_attention_layernorm.weight", l, "norm_m")
		s.bf16(f, p+"mlp.router.weight", l, "r_w")
		s.bf16(f, p+"mlp.router.bias", l, "r_b")
		e := p + "mlp.experts."
		s.mxfp4(f, e+"gate_up_proj_blocks", e+"gate_up_proj_scales", l, "m1")
		s.bf16(f, e+"gate_up_proj_bias", l, "m1_b")
		s.mxfp4(f, e+"down_proj_blocks", e+"down_proj_scales", l, "m2")
		s.bf16(f, e+"down_proj_bias", l, "m2_b")
	}
}

func (s *Synth) original(f *file) {
	s.bf16(f, "embedding.weight", -1, "embed")
	s.bf16(f, "unembedding.weight", -1, "unembed")
	s.bf16(f, "norm.scale", -1, "norm_f")
	for l := range s.Layers {
		p := fmt.Sprintf("block.%d.", l)
		s.bf16(f, p+"attn.norm.scale", l, "norm_a")
		s.bf16(f, p+"attn.qkv.weight", l, "q_w", "k_w", "v_w")
		s.bf16(f, p+"attn.qkv.bias", l, "q_b", "k_b", "v_b")
		s.bf16(f, p+"attn.sinks", l, "sinks")
		s.bf16(f, p+"attn.out.weight", l, "o_w")
		s.bf16(f, p+"attn.out.bias", l, "o_b")
		s.bf16(f, p+"mlp.norm.scale", l, "norm_m")
		s.bf16(f, p+"mlp.gate.weight", l, "r_w")
		s.bf16(f, p+"mlp.gate.bias", l, "r_b")
		s.mxfp4(f, p+"mlp.mlp1_weight.blocks", p+"mlp.mlp1_weight.scales", l, "m1")
		s.bf16(f, p+"mlp.mlp1_bias", l, "m1_b")
		s.mxfp4(f, p+"mlp.mlp2_weight.blocks", p+"mlp.mlp2_weight.scales", l, "m2")
		s.bf16(f, p+"mlp.mlp2_bias", l, "m2_b")
	}
}

func (s *Synth) hfConfig() map[string]any {
	return map[string]any{
		"model_type": "gpt_oss", "num_hidden_layers": s.Layers, "hidden_size": s.Hidden, "intermediate_size": s.Width,
		"num_local_experts": s.Experts, "num_experts_per_tok": s.TopK, "vocab_size": s.Vocab, "head_dim": headDim,
		"num_attention_heads": s.Heads, "num_key_value_heads": s.KVHeads, "sliding_window": s.Window,
		"max_position_embeddings": 131072, "rms_norm_eps": 1e-5, "swiglu_limit": 7, "rope_theta": 150000,
		"rope_scaling": map[string]any{"rope_type": "yarn", "factor": 32, "beta_fast": 32, "beta_slow": 1,
			"original_max_position_embeddings": 4096, "truncate": false},
	}
}

func (s *Synth) originalConfig() map[string]any {
	return map[string]any{
		"num_hidden_layers": s.Layers, "hidden_size": s.Hidden, "intermediate_size": s.Width, "num_experts": s.Experts,
		"experts_per_token": s.TopK, "vocab_size": s.Vocab, "head_dim": headDim, "num_attention_heads": s.Heads,
		"num_key_value_heads": s.KVHeads, "sliding_window": s.Window, "swiglu_limit": 7, "initial_context_length": 4096,
		"rope_theta": 150000, "rope_scaling_factor": 32, "rope_ntk_alpha": 1, "rope_ntk_beta": 32,
	}
}
