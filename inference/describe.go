package inference

import (
	"fmt"
	"slices"

	"chorale/inference/internal/graph"
	"chorale/inference/internal/weights"
)

// Description is what the files of a checkpoint say of it. Nothing of the weights
// is read for it.
type Description struct {
	Name       string `json:"name"`
	Format     string `json:"format"` // safetensors, openai, gguf
	Parameters int64  `json:"parameters"`
	Bytes      int64  `json:"bytes"` // of the weights as stored
	Tensors    int    `json:"tensors"`
	Roles      []Role `json:"roles"` // the bytes by what they are for

	Layers      int   `json:"layers"`
	Hidden      int   `json:"hidden"`
	Vocab       int   `json:"vocab"` // rows of the embedding
	Heads       int   `json:"heads"`
	KVHeads     int   `json:"kv_heads"`
	HeadDim     int   `json:"head_dim"`
	Experts     int   `json:"experts"`
	TopK        int   `json:"experts_per_token"`
	ExpertWidth int   `json:"expert_width"`
	Windows     []int `json:"windows"` // by layer: keys that a token sees; 0 is all
	MaxContext  int   `json:"max_context"`

	Tokenizer string   `json:"tokenizer"` // where it is from, in words
	Stop      []uint32 `json:"stop"`      // ids that end a turn; none: the checkpoint does not say
	Dialect   string   `json:"harmony_dialect,omitempty"`
}

// Role is what some of the weights are for.
type Role struct {
	Name  string   `json:"name"`
	Types []string `json:"types"` // how they are stored
	Bytes int64    `json:"bytes"`
}

// Describe says what a reference names, as Open would open it, without a device.
func Describe(ref string) (Description, error) {
	f, err := locate(ref)
	var d Description
	if err == nil {
		d, err = describe(f)
	}
	if err != nil {
		return Description{}, fmt.Errorf("describe model %q: %w", ref, err)
	}
	return d, nil
}

func describe(f files) (_ Description, err error) {
	s, err := f.weights()
	if err != nil {
		return Description{}, err
	}
	m := &Model{files: f, store: s}
	defer func() {
		if e := m.Close(); err == nil {
			err = e
		}
	}()
	s.Unchecked()
	if m.config, err = f.config(s); err != nil {
		return Description{}, err
	}
	w, err := graph.Bind(s, m.config)
	if err != nil {
		return Description{}, err
	}
	if err := m.describe(w, Options{}); err != nil {
		return Description{}, err
	}
	c := m.config
	d := Description{
		Name: m.info.Name, Format: formatOf(s), Parameters: m.info.Parameters, Bytes: m.info.Bytes, Tensors: s.Len(), Roles: roles(w),
		Layers: c.Layers, Hidden: c.Hidden, Vocab: c.Vocab, Heads: c.Heads, KVHeads: c.KVHeads, HeadDim: c.HeadDim,
		Experts: c.Experts, TopK: c.TopK, ExpertWidth: c.Width, Windows: c.Window, MaxContext: c.MaxContext,
		Stop: m.info.Stop, Dialect: m.info.Dialect,
	}
	t, err := m.Tokenizer()
	switch {
	case err != nil:
		return Description{}, err
	case t.JSON != nil:
		d.Tokenizer = "tokenizer.json"
	case t.Lists != nil:
		d.Tokenizer = fmt.Sprintf("of the GGUF file, %d tokens", len(t.Lists.Tokens))
	default:
		d.Tokenizer = "o200k_harmony, the standard one: the checkpoint has none"
	}
	return d, nil
}

// formatOf names the layout, as Bind tells them apart.
func formatOf(s *weights.Store) string {
	switch {
	case s.Metadata() != nil:
		return "gguf"
	case s.Has("embedding.weight") && !s.Has("model.embed_tokens.weight"):
		return "openai"
	}
	return "safetensors"
}

// roles adds the tensors up by what they are for.
func roles(w *graph.Weights) []Role {
	at := map[string]*Role{}
	add := func(name string, tensors ...*weights.Tensor) {
		if at[name] == nil {
			at[name] = &Role{Name: name}
		}
		r := at[name]
		for _, t := range tensors {
			if t == nil {
				continue
			}
			r.Bytes += int64(t.Bytes())
			if kind := string(t.DType); !slices.Contains(r.Types, kind) {
				r.Types = append(r.Types, kind)
			}
		}
	}
	add("embedding", w.Embedding)
	add("unembedding", w.Unembedding.W, w.Unembedding.B)
	add("norms", w.Norm)
	for _, l := range w.Layers {
		add("norms", l.AttnNorm, l.MLPNorm)
		add("router", l.Router.W, l.Router.B)
		add("experts", l.Up.W, l.Up.B, l.Down.W, l.Down.B)
		add("attention", l.Sinks)
		for _, a := range []graph.Affine{l.Query, l.Key, l.Value, l.Out} {
			add("attention", a.W, a.B)
		}
	}
	var out []Role
	for _, name := range []string{"experts", "attention", "router", "norms", "embedding", "unembedding"} {
		out = append(out, *at[name])
	}
	return out
}
