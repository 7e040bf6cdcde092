package inference

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"chorale/inference/internal/graph"
	"chorale/inference/internal/weights"
	"chorale/inference/pocket"
	"chorale/inference/synth"
)

// files are a checkpoint's files: in a directory, in memory, or one of GGUF.
type files struct {
	path   string // of a directory, or of a GGUF file
	gguf   bool   // path is a file
	memory map[string][]byte
	synth  *synth.Model // made when it is needed
}

// Synthetic begins the reference of a checkpoint of random weights that needs no
// file: the rest is what [synth.Parse] reads.
const Synthetic = "synth:"

// locate finds the checkpoint that a reference names.
func locate(ref string) (files, error) {
	if ref == "" || ref == Pocket {
		return files{memory: pocket.Files()}, nil
	}
	if spec, ok := strings.CutPrefix(ref, Synthetic); ok {
		m, err := synth.Parse(spec)
		if err != nil {
			return files{}, &ChoiceError{err}
		}
		return files{synth: &m}, nil
	}
	st, err := os.Stat(ref)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return files{}, choice("there is no such file or directory; give a GGUF file, the directory of a checkpoint, or %q for the embedded model", Pocket)
	case err != nil:
		return files{}, err
	case !st.IsDir() && !strings.HasSuffix(ref, ".gguf"):
		return files{}, choice("this is a file; give a GGUF file, or the directory that holds config.json and *.safetensors")
	}
	return files{path: ref, gguf: !st.IsDir()}, nil
}

func (f files) name() string {
	switch {
	case f.synth != nil:
		return "synthetic weights"
	case f.memory != nil:
		return Pocket
	}
	name := filepath.Base(f.path)
	if abs, err := filepath.Abs(f.path); err == nil {
		name = filepath.Base(abs)
		if layout := name == "original" || name == "hf"; layout {
			name = filepath.Base(filepath.Dir(abs))
		}
	}
	return strings.TrimSpace(weights.ModelName(name))
}

// want reads a file, nil where there is none.
func (f files) want(name string) ([]byte, error) {
	if f.synth != nil {
		return f.synth.File(name), nil
	}
	if f.memory != nil {
		return f.memory[name], nil
	}
	if f.gguf {
		return nil, nil
	}
	b, err := os.ReadFile(filepath.Join(f.path, name))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return b, err
}

// need reads a file that a checkpoint must have.
func (f files) need(name string) ([]byte, error) {
	b, err := f.want(name)
	if err == nil && b == nil {
		err = fmt.Errorf("%s is missing; is this the directory of a checkpoint?", name)
	}
	return b, err
}

// decode reads a JSON file into v; a missing file changes nothing.
func (f files) decode(name string, v any) error {
	b, err := f.want(name)
	if err != nil || b == nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func (f files) weights() (*weights.Store, error) {
	switch {
	case f.synth != nil:
		return f.synth.Weights()
	case f.memory != nil:
		return weights.OpenFiles(Pocket, f.memory)
	}
	s, err := weights.Open(f.path)
	if wrong := (*weights.PathError)(nil); errors.As(err, &wrong) {
		err = &ChoiceError{err}
	}
	return s, err
}

// config reads the configuration: of the GGUF file, or of config.json.
func (f files) config(s *weights.Store) (*graph.Config, error) {
	if s.Metadata() != nil {
		return graph.GGUFConfig(s)
	}
	raw, err := f.need("config.json")
	if err != nil {
		return nil, err
	}
	return graph.ParseConfig(raw)
}
