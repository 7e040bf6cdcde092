package graph

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"chorale/inference/internal/weights"
)

const models = "../../testdata/models/"

func readConfig(t *testing.T, dir string) *Config {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := ParseConfig(b)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestLayoutsAgree holds that both layouts of a checkpoint give the same numbers
// and the same bytes.
func TestLayoutsAgree(t *testing.T) {
	var configs [2]*Config
	var bound [2]*Weights
	for i, layout := range []string{"hf", "original"} {
		dir := models + "tiny-a/" + layout
		configs[i] = readConfig(t, dir)
		s, err := weights.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if bound[i], err = Bind(s, configs[i]); err != nil {
			t.Fatal(err)
		}
	}
	if a, b := fmt.Sprint(*configs[0]), fmt.Sprint(*configs[1]); a != b {
		t.Errorf("configurations differ:\n%s\n%s", a, b)
	}
	a, b := list(bound[0]), list(bound[1])
	if len(a) != len(b) || len(a) == 0 {
		t.Fatalf("%d and %d tensors", len(a), len(b))
	}
	for i := range a {
		if string(a[i].Data) != string(b[i].Data) || string(a[i].Scales) != string(b[i].Scales) || fmt.Sprint(a[i].Shape) != fmt.Sprint(b[i].Shape) {
			t.Errorf("%s and %s differ", a[i].Name, b[i].Name)
		}
	}
	if n, bytes := bound[0].Size(); n != 366_040 || bytes != 443_312 {
		t.Errorf("%d parameters in %d bytes", n, bytes)
	}
}

// list returns all tensors in the order of the struct.
func list(w *Weights) (all []*weights.Tensor) {
	all = append(all, w.Embedding, w.Norm, w.Unembedding.W)
	for _, l := range w.Layers {
		all = append(all, l.AttnNorm, l.Sinks, l.MLPNorm)
		for _, a := range []Affine{l.Query, l.Key, l.Value, l.Out, l.Router, l.Up, l.Down} {
			all = append(all, a.W, a.B)
		}
	}
	return all
}

func TestConfig(t *testing.T) {
	c := readConfig(t, models+"tiny-b/hf")
	want := Config{
		Layers: 4, Hidden: 160, Vocab: 1024, Heads: 8, KVHeads: 1, HeadDim: 64, Experts: 32, TopK: 4, Width: 96,
		Window: []int{128, 0, 128, 0}, Eps: 1e-5, Limit: 7, MaxContext: 131072,
		Rope: Rope{Theta: 150000, Factor: 32, BetaFast: 32, BetaSlow: 1, OriginalContext: 4096},
	}
	if fmt.Sprint(*c) != fmt.Sprint(want) {
		t.Errorf("read %+v, want %+v", *c, want)
	}
}

// TestConfigVariants changes single keys of a good configuration.
func TestConfigVariants(t *testing.T) {
	for _, v := range []struct {
		change string // merged into the file; null removes
		want   string // of the error; empty is none
	}{
		{`{}`, ""},
		{`{"layer_types":null}`, ""},
		{`{"rope_scaling":null,"rope_theta":null,"rope_parameters":{"rope_type":"yarn","rope_theta":150000,"factor":32,"beta_fast":32,"beta_slow":1,"original_max_position_embeddings":4096,"truncate":false}}`, ""},
		{`{"rope_scaling":{"type":"yarn","factor":32,"beta_fast":32,"beta_slow":1,"original_max_position_embeddings":4096,"truncate":false}}`, ""},
		{`{"rope_scaling":{"factor":32}}`, "rope_type"},
		{`{"rope_scaling":{"type":"linear","factor":32}}`, "linear"},
		{`{"model_type":"llama"}`, "model_type"},
		{`{"hidden_act":"gelu"}`, "hidden_act"},
		{`{"attention_bias":false}`, "attention_bias"},
		{`{"tie_word_embeddings":true}`, "tie_word_embeddings"},
		{`{"quantization_config":{"quant_method":"gptq"}}`, "quant_method"},
		{`{"num_hidden_layers":0}`, "num_hidden_layers"},
		{`{"num_hidden_layers":-3}`, "num_hidden_layers"},
		{`{"hidden_size":9000000000}`, "hidden_size"},
		{`{"hidden_size":100}`, "multiples"},
		{`{"vocab_size":null}`, "vocab_size"},
		{`{"num_key_value_heads":3}`, "no multiple"},
		{`{"head_dim":63}`, "odd"},
		{`{"num_experts_per_tok":9}`, "experts per token"},
		{`{"layer_types":["sliding_attention"]}`, "layer_types"},
		{`{"layer_types":["sliding_attention","linear_attention"]}`, "linear_attention"},
		{`{"sliding_window":null}`, "sliding_window"},
		{`{"rope_scaling":{"rope_type":"llama3"}}`, "rope_type"},
		{`{"rope_scaling":{"rope_type":"yarn","factor":0}}`, "factor"},
		{`{"rope_theta":0}`, "rope_theta"},
		{`{"rms_norm_eps":-1}`, "rms_norm_eps"},
		{`{"swiglu_limit":0}`, "swiglu_limit"},
		{`{"max_position_embeddings":-1}`, "context"},
		{`{"vocab_size":"many"}`, "config.json"},
	} {
		b, err := os.ReadFile(models + "tiny-a/hf/config.json")
		if err != nil {
			t.Fatal(err)
		}
		var base, change map[string]any
		if err := json.Unmarshal(b, &base); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(v.change), &change); err != nil {
			t.Fatal(err)
		}
		for k, x := range change {
			base[k] = x
		}
		if b, err = json.Marshal(base); err != nil {
			t.Fatal(err)
		}
		c, err := ParseConfig(b)
		if err == nil && fmt.Sprint(*c) != fmt.Sprint(*readConfig(t, models+"tiny-a/hf")) {
			t.Errorf("%s gives other numbers: %+v", v.change, *c)
		}
		switch {
		case err == nil && v.want != "":
			t.Errorf("%s was accepted", v.change)
		case err != nil && (v.want == "" || !strings.Contains(err.Error(), v.want)):
			t.Errorf("%s: error %q, want %q", v.change, err, v.want)
		}
	}
}

// rewrite changes the header of tiny-a's file, keeping its data.
func rewrite(t *testing.T, change func(header map[string]any, data []byte)) (*weights.Store, error) {
	t.Helper()
	b, err := os.ReadFile(models + "tiny-a/hf/model.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	n := binary.LittleEndian.Uint64(b)
	var header map[string]any
	if err := json.Unmarshal(b[8:8+n], &header); err != nil {
		t.Fatal(err)
	}
	data := b[8+n:]
	change(header, data)
	text, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(text)))
	return weights.OpenFiles("changed", map[string][]byte{"model.safetensors": append(append(out, text...), data...)})
}

// TestBindNamesTensor takes every tensor of a checkpoint away, or gives it
// another shape or type: the error must name it and the file.
func TestBindNamesTensor(t *testing.T) {
	c := readConfig(t, models+"tiny-a/hf")
	var names []string
	if _, err := rewrite(t, func(h map[string]any, _ []byte) {
		for name := range h {
			if name != "__metadata__" {
				names = append(names, name)
			}
		}
	}); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		for what, change := range map[string]func(entry map[string]any){
			"renamed": nil,
			"reshaped": func(entry map[string]any) {
				entry["shape"] = append([]any{1}, entry["shape"].([]any)...)
			},
			"retyped": func(entry map[string]any) {
				entry["dtype"] = map[string]string{"BF16": "F16", "U8": "I8"}[entry["dtype"].(string)]
			},
		} {
			s, err := rewrite(t, func(h map[string]any, _ []byte) {
				if change == nil {
					h["other"] = h[name]
					delete(h, name)
					return
				}
				change(h[name].(map[string]any))
			})
			if err == nil {
				_, err = Bind(s, c)
			}
			if err == nil || !strings.Contains(err.Error(), `"`+name+`"`) || !strings.Contains(err.Error(), "model.safetensors") {
				t.Errorf("%s %s: error %v", name, what, err)
			}
		}
	}
	t.Logf("%d tensors in 3 ways", len(names))
}

func TestBindRefusesNaNScale(t *testing.T) {
	const name = "model.layers.1.mlp.experts.down_proj_scales"
	s, err := rewrite(t, func(h map[string]any, data []byte) {
		at := h[name].(map[string]any)["data_offsets"].([]any)[0].(float64)
		data[int(at)+5] = 255
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = Bind(s, readConfig(t, models+"tiny-a/hf"))
	if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "scale 5 is 255") {
		t.Errorf("error %v, want one that names %s and the scale", err, name)
	}
}

func TestBatchCheck(t *testing.T) {
	c := &Config{Vocab: 10}
	for _, v := range []struct {
		b    Batch
		good bool
	}{
		{Batch{IDs: []uint32{1, 9}, Pos: 3, Rows: []int{0, 1}}, true},
		{Batch{IDs: []uint32{1, 9}, Pos: 6}, true},
		{Batch{}, false},
		{Batch{IDs: []uint32{1, 2, 3, 4, 5}}, false},
		{Batch{IDs: []uint32{10}}, false},
		{Batch{IDs: []uint32{1}, Pos: -1}, false},
		{Batch{IDs: []uint32{1, 2}, Pos: 7}, false},
		{Batch{IDs: []uint32{1}, Rows: []int{1}}, false},
		{Batch{IDs: []uint32{1, 2}, Rows: []int{1, 0}}, false},
	} {
		if err := v.b.Check(c, 4, 8); (err == nil) != v.good {
			t.Errorf("%+v: %v", v.b, err)
		}
	}
}
