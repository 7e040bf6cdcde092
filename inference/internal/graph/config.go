package graph

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Alpha is the slope of the sigmoid in gpt-oss's SwiGLU.
const Alpha = 1.702

// maxVocab bounds the vocabulary.
const maxVocab = 1 << 24

// Config are the numbers of a model.
type Config struct {
	Layers  int
	Hidden  int // width of the residual stream
	Vocab   int // rows of the embedding; the tokenizer may use fewer
	Heads   int // query heads
	KVHeads int // heads of keys and values, each shared by Heads/KVHeads query heads
	HeadDim int
	Experts int   // per layer
	TopK    int   // experts chosen per token
	Width   int   // an expert's inner width
	Window  []int // per layer: keys that a query sees, itself included; 0 is all

	Eps   float32 // of RMSNorm
	Limit float32 // of SwiGLU's clamps
	Rope  Rope

	MaxContext int // positions that the model was trained for
}

// QWidth and KVWidth are the widths of all query heads and of all KV heads side
// by side. QWidth need not equal Hidden.
func (c *Config) QWidth() int  { return c.Heads * c.HeadDim }
func (c *Config) KVWidth() int { return c.KVHeads * c.HeadDim }

// RegWidth returns the width of a row of register r.
func (c *Config) RegWidth(r Reg) int {
	switch r {
	case Q, Ctx:
		return c.QWidth()
	case K, V:
		return c.KVWidth()
	case Router:
		return c.Experts
	case Choice, Mix:
		return c.TopK
	case Logits:
		return c.Vocab
	default:
		return c.Hidden
	}
}

// ParseConfig reads the config.json of either layout. It refuses what this
// engine would compute wrongly, naming the key.
func ParseConfig(data []byte) (*Config, error) {
	var f configFile
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, fmt.Errorf("config.json: %w", err)
	}
	c, err := f.config()
	if err != nil {
		return nil, fmt.Errorf("config.json: %w", err)
	}
	return c, nil
}

// configFile has the keys of both layouts; OpenAI's has no model_type and
// states YaRN in flat keys.
type configFile struct {
	ModelType   string   `json:"model_type"`
	Layers      int      `json:"num_hidden_layers"`
	Hidden      int      `json:"hidden_size"`
	Vocab       int      `json:"vocab_size"`
	Heads       int      `json:"num_attention_heads"`
	KVHeads     int      `json:"num_key_value_heads"`
	HeadDim     int      `json:"head_dim"`
	Width       int      `json:"intermediate_size"`
	Window      *int     `json:"sliding_window"`
	LayerTypes  []string `json:"layer_types"`
	Eps         *float64 `json:"rms_norm_eps"`
	Limit       *float64 `json:"swiglu_limit"`
	Theta       float64  `json:"rope_theta"`
	MaxContext  int      `json:"max_position_embeddings"`
	HiddenAct   string   `json:"hidden_act"`
	Bias        *bool    `json:"attention_bias"`
	Tied        bool     `json:"tie_word_embeddings"`
	RopeScaling *ropeKey `json:"rope_scaling"`
	RopeParams  *ropeKey `json:"rope_parameters"`
	Quant       *struct {
		Method string `json:"quant_method"`
	} `json:"quantization_config"`

	HFExperts       int `json:"num_local_experts"`
	OriginalExperts int `json:"num_experts"`
	HFTopK          int `json:"num_experts_per_tok"`
	TopK            int `json:"experts_per_token"`

	InitialContext int     `json:"initial_context_length"`
	Factor         float64 `json:"rope_scaling_factor"`
	NTKAlpha       float64 `json:"rope_ntk_alpha"`
	NTKBeta        float64 `json:"rope_ntk_beta"`
}

// ropeKey is Hugging Face's rope_scaling, or rope_parameters of newer files.
type ropeKey struct {
	Type            string   `json:"rope_type"`
	OldType         string   `json:"type"` // as files before rope_type have it
	Theta           float64  `json:"rope_theta"`
	Factor          float64  `json:"factor"`
	BetaFast        *float64 `json:"beta_fast"`
	BetaSlow        *float64 `json:"beta_slow"`
	OriginalContext int      `json:"original_max_position_embeddings"`
	Truncate        *bool    `json:"truncate"`
	AttentionFactor *float64 `json:"attention_factor"`
}

func (f *configFile) config() (*Config, error) {
	if err := f.refuse(); err != nil {
		return nil, err
	}
	c := &Config{
		Layers: f.Layers, Hidden: f.Hidden, Vocab: f.Vocab,
		Heads: f.Heads, KVHeads: f.KVHeads, HeadDim: f.HeadDim,
		Experts: max(f.HFExperts, f.OriginalExperts), TopK: f.HFTopK, Width: f.Width,
		Eps: 1e-5, Limit: 7, MaxContext: f.MaxContext,
	}
	if c.TopK == 0 {
		c.TopK = f.TopK
	}
	if f.Eps != nil {
		c.Eps = float32(*f.Eps)
	}
	if f.Limit != nil {
		c.Limit = float32(*f.Limit)
	}
	if err := c.checkShapes(); err != nil {
		return nil, err
	}
	var err error
	if c.Window, err = f.windows(); err != nil {
		return nil, err
	}
	if c.Rope, err = f.rope(); err != nil {
		return nil, err
	}
	if c.MaxContext == 0 {
		c.MaxContext = int(float64(c.Rope.OriginalContext) * c.Rope.Factor)
	}
	if c.MaxContext < 1 || c.MaxContext > 1<<24 {
		return nil, fmt.Errorf("a context of %d positions is out of range", c.MaxContext)
	}
	return c, nil
}

// refuse rejects models that are no gpt-oss in a way that shapes don't show.
func (f *configFile) refuse() error {
	switch {
	case f.ModelType != "" && f.ModelType != "gpt_oss":
		return fmt.Errorf("model_type is %q, this engine computes gpt_oss", f.ModelType)
	case f.HiddenAct != "" && f.HiddenAct != "silu":
		return fmt.Errorf("hidden_act is %q, want silu", f.HiddenAct)
	case f.Bias != nil && !*f.Bias:
		return errors.New("attention_bias is false, want true")
	case f.Tied:
		return errors.New("tie_word_embeddings is true, want false")
	case f.Quant != nil && f.Quant.Method != "mxfp4":
		return fmt.Errorf("quant_method is %q, want mxfp4", f.Quant.Method)
	case f.Eps != nil && !(*f.Eps > 0 && *f.Eps < 1):
		return fmt.Errorf("rms_norm_eps is %v", *f.Eps)
	case f.Limit != nil && !(*f.Limit > 0 && *f.Limit < 1e6):
		return fmt.Errorf("swiglu_limit is %v", *f.Limit)
	}
	return nil
}

func (c *Config) checkShapes() error {
	for _, s := range []struct {
		key      string
		got, max int
	}{
		{"num_hidden_layers", c.Layers, 1 << 10},
		{"hidden_size", c.Hidden, 1 << 18},
		{"vocab_size", c.Vocab, maxVocab},
		{"num_attention_heads", c.Heads, 1 << 12},
		{"num_key_value_heads", c.KVHeads, 1 << 12},
		{"head_dim", c.HeadDim, 1 << 10},
		{"num_local_experts (num_experts)", c.Experts, 1 << 12},
		{"num_experts_per_tok (experts_per_token)", c.TopK, 1 << 6},
		{"intermediate_size", c.Width, 1 << 18},
	} {
		if s.got < 1 || s.got > s.max {
			return fmt.Errorf("%s is %d, want 1 to %d", s.key, s.got, s.max)
		}
	}
	switch {
	case c.Heads%c.KVHeads != 0:
		return fmt.Errorf("%d query heads are no multiple of %d KV heads", c.Heads, c.KVHeads)
	case c.HeadDim%2 != 0:
		return fmt.Errorf("head_dim %d is odd", c.HeadDim)
	case c.TopK > c.Experts:
		return fmt.Errorf("%d experts per token of %d", c.TopK, c.Experts)
	case c.Hidden%32 != 0 || c.Width%32 != 0:
		return fmt.Errorf("hidden_size %d and intermediate_size %d must be multiples of the MXFP4 block of 32", c.Hidden, c.Width)
	}
	return nil
}

// windows says how far each layer sees. Where the file has no layer_types, even
// layers slide.
func (f *configFile) windows() ([]int, error) {
	window := make([]int, f.Layers)
	if f.LayerTypes != nil && len(f.LayerTypes) != f.Layers {
		return nil, fmt.Errorf("%d layer_types for %d layers", len(f.LayerTypes), f.Layers)
	}
	for l := range window {
		kind := []string{"sliding_attention", "full_attention"}[l%2]
		if f.LayerTypes != nil {
			kind = f.LayerTypes[l]
		}
		switch kind {
		case "full_attention":
		case "sliding_attention":
			if f.Window == nil || *f.Window < 1 || *f.Window > 1<<24 {
				return nil, errors.New("sliding_window is missing or out of range")
			}
			window[l] = *f.Window
		default:
			return nil, fmt.Errorf("layer_types: %q is unknown", kind)
		}
	}
	return window, nil
}

func (f *configFile) rope() (Rope, error) {
	r := Rope{Theta: f.Theta, Factor: 1, BetaFast: 32, BetaSlow: 1, OriginalContext: f.InitialContext}
	key := f.RopeScaling
	if key == nil {
		key = f.RopeParams
	}
	switch {
	case key != nil:
		if err := key.apply(&r); err != nil {
			return r, err
		}
	case f.Factor != 0:
		r.Factor, r.BetaFast, r.BetaSlow = f.Factor, f.NTKBeta, f.NTKAlpha
	}
	if r.OriginalContext == 0 {
		r.OriginalContext = 4096
	}
	return r, r.check()
}

func (k *ropeKey) apply(r *Rope) error {
	if k.Theta != 0 {
		r.Theta = k.Theta
	}
	if k.AttentionFactor != nil {
		return errors.New("attention_factor is not supported")
	}
	kind := k.Type
	if kind == "" {
		kind = k.OldType
	}
	switch kind {
	case "yarn":
	case "default", "":
		if k.Factor != 0 && k.Factor != 1 {
			return fmt.Errorf("rope_type is %q with a factor of %v, want yarn", kind, k.Factor)
		}
		return nil
	default:
		return fmt.Errorf("rope_type is %q, want yarn", kind)
	}
	r.Factor = k.Factor
	r.Truncate = k.Truncate == nil || *k.Truncate // transformers' default
	if k.OriginalContext != 0 {
		r.OriginalContext = k.OriginalContext
	}
	if k.BetaFast != nil {
		r.BetaFast = *k.BetaFast
	}
	if k.BetaSlow != nil {
		r.BetaSlow = *k.BetaSlow
	}
	return nil
}
