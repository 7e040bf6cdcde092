package graph

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"chorale/inference/internal/weights"
)

// Affine is a matrix with its bias, which is nil where there is none. A dense
// matrix is [out, in] of any type but MXFP4, its bias [out]. Experts' matrices
// are MXFP4 (or MXFP4Blocks) [Experts, out, in], their biases [Experts, out].
type Affine struct{ W, B *weights.Tensor }

// Weights are the tensors of a model by role, views of the checkpoint. H is
// Hidden, D is HeadDim, E is Experts, I is Width. Vectors (gains, biases, sinks)
// and dense matrices, the embedding among them, are BF16; those of GGUF may be
// F32 or F16 as well, and its matrices Q8_0. The pointers identify tensors for as long as the model lives.
type Weights struct {
	Embedding   *weights.Tensor // [Vocab, H]
	Layers      []Layer
	Norm        *weights.Tensor // gain [H]
	Unembedding Affine          // [Vocab, H], no bias
}

// Layer is one transformer block.
type Layer struct {
	AttnNorm   *weights.Tensor // gain [H]
	Query      Affine          // [Heads*D, H]
	Key, Value Affine          // [KVHeads*D, H]
	Sinks      *weights.Tensor // [Heads]
	Out        Affine          // [H, Heads*D]
	MLPNorm    *weights.Tensor // gain [H]
	Router     Affine          // [E, H]
	Up         Affine          // [E, 2*I, H]: rows 2i are gate i, rows 2i+1 up i; of two tensors in GGUF
	Down       Affine          // [E, H, I]
}

// Bind finds the model's tensors in a checkpoint. The names decide the layout:
// GGUF's, Hugging Face's, or OpenAI's own, where query, key and value are one
// matrix. A missing tensor or one of another type or shape is an error.
func Bind(s *weights.Store, c *Config) (*Weights, error) {
	b := &binder{store: s, c: c, vectors: []weights.DType{weights.BF16}, matrices: []weights.DType{weights.BF16}}
	switch {
	case s.Metadata() != nil:
		b.vectors = []weights.DType{weights.F32, weights.BF16, weights.F16}
		b.matrices = append(slices.Clone(b.vectors), weights.Q8_0)
		return b.result(b.gguf())
	case s.Has("embedding.weight") && !s.Has("model.embed_tokens.weight"):
		return b.result(b.original())
	}
	return b.result(b.huggingFace())
}

// binder looks tensors up and keeps the first error.
type binder struct {
	store             *weights.Store
	c                 *Config
	vectors, matrices []weights.DType // what dense ones may be made of in this layout
	err               error
}

func (b *binder) result(w *Weights) (*Weights, error) {
	if b.err != nil {
		return nil, fmt.Errorf("bind weights: %w", b.err)
	}
	return w, nil
}

func (b *binder) huggingFace() *Weights {
	c, h := b.c, b.c.Hidden
	w := &Weights{
		Embedding:   b.dense("model.embed_tokens.weight", c.Vocab, h),
		Norm:        b.vector("model.norm.weight", h),
		Unembedding: Affine{W: b.dense("lm_head.weight", c.Vocab, h)},
	}
	for l := range c.Layers {
		p := fmt.Sprintf("model.layers.%d.", l)
		w.Layers = append(w.Layers, Layer{
			AttnNorm: b.vector(p+"input_layernorm.weight", h),
			Query:    b.affine(p+"self_attn.q_proj", c.QWidth(), h),
			Key:      b.affine(p+"self_attn.k_proj", c.KVWidth(), h),
			Value:    b.affine(p+"self_attn.v_proj", c.KVWidth(), h),
			Sinks:    b.vector(p+"self_attn.sinks", c.Heads),
			Out:      b.affine(p+"self_attn.o_proj", h, c.QWidth()),
			MLPNorm:  b.vector(p+"post_attention_layernorm.weight", h),
			Router:   b.affine(p+"mlp.router", c.Experts, h),
			Up: b.experts(p+"mlp.experts.gate_up_proj_blocks", p+"mlp.experts.gate_up_proj_scales",
				p+"mlp.experts.gate_up_proj_bias", 2*c.Width, h),
			Down: b.experts(p+"mlp.experts.down_proj_blocks", p+"mlp.experts.down_proj_scales",
				p+"mlp.experts.down_proj_bias", h, c.Width),
		})
	}
	return w
}

func (b *binder) original() *Weights {
	c, h := b.c, b.c.Hidden
	w := &Weights{
		Embedding:   b.dense("embedding.weight", c.Vocab, h),
		Norm:        b.vector("norm.scale", h),
		Unembedding: Affine{W: b.dense("unembedding.weight", c.Vocab, h)},
	}
	q, kv := c.QWidth(), c.KVWidth()
	for l := range c.Layers {
		p := fmt.Sprintf("block.%d.", l)
		qkv := b.affine(p+"attn.qkv", q+2*kv, h)
		w.Layers = append(w.Layers, Layer{
			AttnNorm: b.vector(p+"attn.norm.scale", h),
			Query:    qkv.rows(0, q),
			Key:      qkv.rows(q, q+kv),
			Value:    qkv.rows(q+kv, q+2*kv),
			Sinks:    b.vector(p+"attn.sinks", c.Heads),
			Out:      b.affine(p+"attn.out", h, q),
			MLPNorm:  b.vector(p+"mlp.norm.scale", h),
			Router:   b.affine(p+"mlp.gate", c.Experts, h),
			Up:       b.experts(p+"mlp.mlp1_weight.blocks", p+"mlp.mlp1_weight.scales", p+"mlp.mlp1_bias", 2*c.Width, h),
			Down:     b.experts(p+"mlp.mlp2_weight.blocks", p+"mlp.mlp2_weight.scales", p+"mlp.mlp2_bias", h, c.Width),
		})
	}
	return w
}

// gguf finds the names that llama.cpp's converter gives. Gate and up rows are
// two tensors there.
func (b *binder) gguf() *Weights {
	c, h := b.c, b.c.Hidden
	w := &Weights{
		Embedding:   b.dense("token_embd.weight", c.Vocab, h),
		Norm:        b.vector("output_norm.weight", h),
		Unembedding: Affine{W: b.dense("output.weight", c.Vocab, h)},
	}
	for l := range c.Layers {
		p := fmt.Sprintf("blk.%d.", l)
		up := []int{c.Experts, c.Width, h}
		w.Layers = append(w.Layers, Layer{
			AttnNorm: b.vector(p+"attn_norm.weight", h),
			Query:    b.affine(p+"attn_q", c.QWidth(), h),
			Key:      b.affine(p+"attn_k", c.KVWidth(), h),
			Value:    b.affine(p+"attn_v", c.KVWidth(), h),
			Sinks:    b.vector(p+"attn_sinks.weight", c.Heads),
			Out:      b.affine(p+"attn_output", h, c.QWidth()),
			MLPNorm:  b.vector(p+"post_attention_norm.weight", h),
			Router:   b.affine(p+"ffn_gate_inp", c.Experts, h),
			Up: Affine{
				W: b.keep(b.store.Pair(p+"ffn_gate_exps.weight", p+"ffn_up_exps.weight", up, weights.MXFP4Blocks)),
				B: b.keep(b.store.Pair(p+"ffn_gate_exps.bias", p+"ffn_up_exps.bias", up[:2], b.vectors...)),
			},
			Down: Affine{
				W: b.keep(b.store.Tensor(p+"ffn_down_exps.weight", []int{c.Experts, h, c.Width}, weights.MXFP4Blocks)),
				B: b.vector(p+"ffn_down_exps.bias", c.Experts, h),
			},
		})
	}
	return w
}

func (b *binder) keep(t *weights.Tensor, err error) *weights.Tensor {
	if b.err == nil {
		b.err = err
	}
	return t
}

func (b *binder) vector(name string, shape ...int) *weights.Tensor {
	return b.keep(b.store.Tensor(name, shape, b.vectors...))
}

func (b *binder) dense(name string, out, in int) *weights.Tensor {
	return b.keep(b.store.Tensor(name, []int{out, in}, b.matrices...))
}

func (b *binder) affine(name string, out, in int) Affine {
	return Affine{W: b.dense(name+".weight", out, in), B: b.vector(name+".bias", out)}
}

func (b *binder) experts(blocks, scales, bias string, out, in int) Affine {
	return Affine{
		W: b.keep(b.store.MXFP4(blocks, scales, b.c.Experts, out, in)),
		B: b.vector(bias, b.c.Experts, out),
	}
}

// rows returns outputs lo to hi of a, as views.
func (a Affine) rows(lo, hi int) Affine {
	if a.W == nil || a.B == nil {
		return Affine{}
	}
	return Affine{W: a.W.Slice(lo, hi), B: a.B.Slice(lo, hi)}
}

// Load makes every tensor readable in place; see [weights.Tensor.Load].
func (w *Weights) Load(ctx context.Context) error { return load(ctx, w.All()) }

// LoadHost is Load for the embedding and for the experts of the last layers.
func (w *Weights) LoadHost(ctx context.Context, layers int) error {
	host := []*weights.Tensor{w.Embedding}
	for _, l := range w.Layers[len(w.Layers)-layers:] {
		host = append(host, l.Up.W, l.Up.B, l.Down.W, l.Down.B)
	}
	return load(ctx, slices.Values(host))
}

func load(ctx context.Context, all iter.Seq[*weights.Tensor]) error {
	for t := range all {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := t.Load(); err != nil {
			return fmt.Errorf("%s: %w", t.Name, err)
		}
	}
	return nil
}

// All yields every tensor once.
func (w *Weights) All() iter.Seq[*weights.Tensor] {
	return func(yield func(*weights.Tensor) bool) {
		some := func(tensors ...*weights.Tensor) bool {
			return !slices.ContainsFunc(tensors, func(t *weights.Tensor) bool { return t != nil && !yield(t) })
		}
		if !some(w.Embedding, w.Norm, w.Unembedding.W, w.Unembedding.B) {
			return
		}
		for i := range w.Layers {
			if !some(w.Layers[i].tensors()...) {
				return
			}
		}
	}
}

// tensors are the layer's; where it has none of a kind, one is nil.
func (l *Layer) tensors() []*weights.Tensor {
	all := []*weights.Tensor{l.AttnNorm, l.Sinks, l.MLPNorm}
	for _, a := range []Affine{l.Query, l.Key, l.Value, l.Out, l.Router, l.Up, l.Down} {
		all = append(all, a.W, a.B)
	}
	return all
}

// Size returns the number of parameters and of stored bytes.
func (w *Weights) Size() (parameters, bytes int64) {
	for t := range w.All() {
		parameters += int64(t.Len())
		bytes += int64(t.Bytes())
	}
	return parameters, bytes
}
