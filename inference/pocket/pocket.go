// Package pocket holds a very small gpt-oss in the binary: hidden 256, four
// layers, 8.7 million parameters, trained for Harmony tool calls. README.md says
// what it can do and what it can't, and recipe/ how it was made.
package pocket

import _ "embed"

var (
	//go:embed config.json
	config []byte
	//go:embed generation_config.json
	generation []byte
	//go:embed model.safetensors
	model []byte
	//go:embed tokenizer.json
	tokenizer []byte
	//go:embed tokenizer_config.json
	tokenizerConfig []byte
)

// Files returns the checkpoint's files by name, in Hugging Face's layout. The
// bytes lie in the binary and must not be written to.
func Files() map[string][]byte {
	return map[string][]byte{
		"config.json":            config,
		"generation_config.json": generation,
		"model.safetensors":      model,
		"tokenizer.json":         tokenizer,
		"tokenizer_config.json":  tokenizerConfig,
	}
}
