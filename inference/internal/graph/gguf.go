package graph

import (
	"fmt"
	"math"

	"chorale/inference/internal/weights"
)

// architecture is what GGUF calls the model, and the prefix of its keys.
const architecture = "gpt-oss"

// GGUFConfig reads the configuration from a GGUF file's metadata. What the
// format has no key for is as in the released models: even layers slide, YaRN's
// ramp is not rounded, SwiGLU's clamps are at 7. It refuses what this engine
// would compute wrongly, naming the key.
func GGUFConfig(s *weights.Store) (*Config, error) {
	m := s.Metadata()
	switch a, err := m.String("general.architecture"); {
	case err != nil:
		return nil, fmt.Errorf("GGUF metadata: %w", err)
	case a != architecture:
		return nil, fmt.Errorf("GGUF metadata: general.architecture is %q, this engine computes %s", a, architecture)
	}
	k := &ggufKeys{m: m}
	c := k.config()
	if k.err == nil {
		k.err = c.checkShapes()
	}
	if k.err != nil {
		return nil, fmt.Errorf("GGUF metadata: %w", k.err)
	}
	table, err := s.Shape("token_embd.weight") // the vocabulary has no key of its own
	if err != nil {
		return nil, err
	}
	if c.Vocab = table[0]; c.Vocab < 1 || c.Vocab > maxVocab {
		return nil, fmt.Errorf("token_embd.weight has %d rows, want 1 to %d", c.Vocab, maxVocab)
	}
	return c, nil
}

// ggufKeys reads the model's keys. It keeps its first error.
type ggufKeys struct {
	m   *weights.Metadata
	err error
}

func (k *ggufKeys) config() *Config {
	c := &Config{
		Layers:     k.count("block_count", 1<<10),
		Hidden:     k.count("embedding_length", 1<<18),
		Vocab:      1, // until the embedding is known
		Heads:      k.count("attention.head_count", 1<<12),
		KVHeads:    k.count("attention.head_count_kv", 1<<12),
		HeadDim:    k.count("attention.key_length", 1<<10),
		Experts:    k.count("expert_count", 1<<12),
		TopK:       k.count("expert_used_count", 1<<6),
		Width:      k.count("expert_feed_forward_length", 1<<18),
		Eps:        float32(k.float("attention.layer_norm_rms_epsilon", 1e-5)),
		Limit:      7,
		MaxContext: k.count("context_length", 1<<24),
	}
	window := k.count("attention.sliding_window", 1<<24)
	k.only("attention.value_length", float64(c.HeadDim))
	k.only("attention.sliding_window_pattern", 2)
	if k.err != nil {
		return nil
	}
	c.Window = make([]int, c.Layers)
	for l := 0; l < c.Layers; l += 2 {
		c.Window[l] = window
	}
	if !(c.Eps > 0 && c.Eps < 1) {
		k.fail(fmt.Errorf("attention.layer_norm_rms_epsilon is %v", c.Eps))
	}
	c.Rope = k.rope()
	return c
}

func (k *ggufKeys) rope() Rope {
	r := Rope{Theta: k.float("rope.freq_base", 0), Factor: 1, BetaFast: 32, BetaSlow: 1, OriginalContext: 4096}
	kind, err := "none", error(nil)
	if k.has("rope.scaling.type") {
		kind, err = k.m.String(architecture + ".rope.scaling.type")
		k.fail(err)
	}
	switch kind {
	case "yarn":
		r.Factor = k.float("rope.scaling.factor", 0)
		r.BetaFast = k.float("rope.scaling.yarn_beta_fast", r.BetaFast)
		r.BetaSlow = k.float("rope.scaling.yarn_beta_slow", r.BetaSlow)
		if k.has("rope.scaling.original_context_length") {
			r.OriginalContext = k.count("rope.scaling.original_context_length", 1<<24)
		}
	case "none":
		k.only("rope.scaling.factor", 1)
	default:
		k.fail(fmt.Errorf("rope.scaling.type is %q, want yarn", kind))
	}
	for _, key := range []string{"attn_factor", "yarn_attn_factor", "yarn_ext_factor"} {
		k.only("rope.scaling."+key, 1)
	}
	k.only("rope.dimension_count", float64(k.count("attention.key_length", 1<<10)))
	k.fail(r.check())
	return r
}

func (k *ggufKeys) fail(err error) {
	if k.err == nil {
		k.err = err
	}
}

func (k *ggufKeys) has(key string) bool { return k.m.Has(architecture + "." + key) }

// count reads a number from 1 to most that must be there.
func (k *ggufKeys) count(key string, most int) int {
	n, err := k.m.Int(architecture + "." + key)
	if err == nil && (n < 1 || n > most) {
		err = fmt.Errorf("%s.%s is %d, want 1 to %d", architecture, key, n, most)
	}
	k.fail(err)
	return n
}

// float reads a number that may be missing where there is a fallback.
func (k *ggufKeys) float(key string, fallback float64) float64 {
	if fallback != 0 && !k.has(key) {
		return fallback
	}
	v, err := k.m.Float(architecture + "." + key)
	k.fail(err)
	return v
}

// only refuses a key that is there with another value than the one that this
// engine computes with.
func (k *ggufKeys) only(key string, want float64) {
	if !k.has(key) {
		return
	}
	v, err := k.m.Float(architecture + "." + key)
	if err == nil && (math.IsNaN(v) || v != want) {
		err = fmt.Errorf("%s.%s is %v, this engine computes with %v", architecture, key, v, want)
	}
	k.fail(err)
}
