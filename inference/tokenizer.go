package inference

import (
	"errors"
	"fmt"

	"chorale/inference/internal/weights"
)

// Tokenizer is a checkpoint's vocabulary as its files state it, to make an
// encoding of. At most one field is set; none means the standard o200k_harmony.
type Tokenizer struct {
	JSON  []byte // of a tokenizer.json
	Lists *Vocabulary
}

// Vocabulary is a byte-level BPE vocabulary on o200k's splitter as a GGUF file
// has it. Its fields are those of harmony.Vocabulary, so that one converts to
// the other.
type Vocabulary struct {
	Tokens  []string // by id: ordinary ones in GPT-2's byte-level alphabet, "" where unused
	Special []bool   // by id
	Merges  []string // "left right", by rank
}

// Tokenizer returns the checkpoint's tokenizer: of its GGUF file, or the
// tokenizer.json beside its weights.
func (m *Model) Tokenizer() (Tokenizer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.store == nil {
		return Tokenizer{}, errors.New("tokenizer: the model is closed")
	}
	if meta := m.store.Metadata(); meta != nil {
		var v *Vocabulary
		err := weights.Guard(func() (err error) { v, err = vocabulary(meta); return err })
		if err != nil {
			return Tokenizer{}, fmt.Errorf("tokenizer of the GGUF file: %w", err)
		}
		return Tokenizer{Lists: v}, nil
	}
	b, err := m.files.want("tokenizer.json")
	return Tokenizer{JSON: b}, err
}

// How GGUF calls what this program encodes by, and its types of tokens.
const (
	ggufBPE  = "gpt2"
	ggufO200 = "gpt-4o"

	tokenNormal, tokenControl, tokenUser, tokenUnused = 1, 3, 4, 5
)

// vocabulary reads a GGUF file's tokenizer. A user-defined token is one that
// others find in any text; here it is special, and no text from outside yields
// it.
func vocabulary(m *weights.Metadata) (*Vocabulary, error) {
	for key, want := range map[string]string{"tokenizer.ggml.model": ggufBPE, "tokenizer.ggml.pre": ggufO200} {
		switch got, err := m.String(key); {
		case err != nil:
			return nil, err
		case got != want:
			return nil, fmt.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	v := &Vocabulary{}
	var err error
	if v.Tokens, err = m.Strings("tokenizer.ggml.tokens"); err != nil {
		return nil, err
	}
	if v.Merges, err = m.Strings("tokenizer.ggml.merges"); err != nil {
		return nil, err
	}
	types, err := m.Ints("tokenizer.ggml.token_type")
	if err != nil {
		return nil, err
	}
	if len(types) != len(v.Tokens) {
		return nil, fmt.Errorf("%d types for %d tokens", len(types), len(v.Tokens))
	}
	v.Special = make([]bool, len(types))
	for id, t := range types {
		switch t {
		case tokenNormal:
		case tokenControl, tokenUser:
			v.Special[id] = true
		case tokenUnused:
			v.Tokens[id] = ""
		default:
			return nil, fmt.Errorf("token %d is of type %d, want normal (1), control (3), user-defined (4) or unused (5)", id, t)
		}
	}
	return v, nil
}

// ggufStop returns the ids that end a turn by a GGUF file's metadata.
func ggufStop(m *weights.Metadata) (stop []uint32, err error) {
	for _, key := range []string{"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"} {
		if !m.Has(key) {
			continue
		}
		id, err := m.Int(key)
		if err != nil {
			return nil, err
		}
		if id < 0 || int64(id) > 1<<32-1 {
			return nil, fmt.Errorf("%s is %d", key, id)
		}
		stop = append(stop, uint32(id))
	}
	return stop, nil
}
