package synth

import (
	"fmt"
	"strings"
)

// Config returns the config.json of Hugging Face's layout.
func (m *Model) Config() []byte {
	var layers []string
	for l := range m.Layers {
		layers = append(layers, []string{`"sliding_attention"`, `"full_attention"`}[l%2])
	}
	special := max(m.Vocab-specials, 0)
	return fmt.Appendf(nil, `{
 "architectures": [
  "GptOssForCausalLM"
 ],
 "attention_bias": true,
 "attention_dropout": 0.0,
 "eos_token_id": %d,
 "experts_per_token": %d,
 "head_dim": %d,
 "hidden_act": "silu",
 "hidden_size": %d,
 "initial_context_length": 4096,
 "initializer_range": 0.02,
 "intermediate_size": %d,
 "layer_types": [
  %s
 ],
 "max_position_embeddings": 131072,
 "model_type": "gpt_oss",
 "num_attention_heads": %d,
 "num_experts_per_tok": %d,
 "num_hidden_layers": %d,
 "num_key_value_heads": %d,
 "num_local_experts": %d,
 "output_router_logits": false,
 "pad_token_id": %d,
 "quantization_config": {
  "modules_to_not_convert": [
   "model.layers.*.self_attn",
   "model.layers.*.mlp.router",
   "model.embed_tokens",
   "lm_head"
  ],
  "quant_method": "mxfp4"
 },
 "rms_norm_eps": 1e-05,
 "rope_scaling": {
  "beta_fast": 32.0,
  "beta_slow": 1.0,
  "factor": 32.0,
  "original_max_position_embeddings": 4096,
  "rope_type": "yarn",
  "truncate": false
 },
 "rope_theta": 150000,
 "router_aux_loss_coef": 0.9,
 "sliding_window": %d,
 "swiglu_limit": 7.0,
 "tie_word_embeddings": false,
 "transformers_version": "4.55.0.dev0",
 "use_cache": true,
 "vocab_size": %d
}`, special+returnToken, m.TopK, HeadDim, m.Hidden, m.Width, strings.Join(layers, ",\n  "),
		m.Heads, m.TopK, m.Layers, m.KVHeads, m.Experts, special+endOfText, m.Window, m.Vocab)
}

// openAIConfig is the config.json of OpenAI's layout.
func (m *Model) openAIConfig() string {
	return fmt.Sprintf(`{"num_hidden_layers": %d, "num_experts": %d, "experts_per_token": %d, "vocab_size": %d, `+
		`"hidden_size": %d, "intermediate_size": %d, "swiglu_limit": 7.0, "head_dim": %d, "num_attention_heads": %d, `+
		`"num_key_value_heads": %d, "sliding_window": %d, "initial_context_length": 4096, "rope_theta": 150000, `+
		`"rope_scaling_factor": 32.0, "rope_ntk_alpha": 1, "rope_ntk_beta": 32}`,
		m.Layers, m.Experts, m.TopK, m.Vocab, m.Hidden, m.Width, HeadDim, m.Heads, m.KVHeads, m.Window)
}
