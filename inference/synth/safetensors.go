package synth

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"chorale/inference/internal/weights"
)

func (m *Model) writeOpenAI(w *writer) error {
	if err := w.text("config.json", []byte(m.openAIConfig())); err != nil {
		return err
	}
	all := m.openAI()
	w.total = size(all)
	return w.safetensors("model.safetensors", all)
}

func (m *Model) writeHF(w *writer, shard int64) error {
	for _, name := range []string{"config.json", "tokenizer.json", "tokenizer_config.json"} {
		if data := m.File(name); data != nil {
			if err := w.text(name, data); err != nil {
				return err
			}
		}
	}
	all := m.huggingFace()
	w.total = size(all)
	if shard == 0 {
		return w.safetensors("model.safetensors", all)
	}
	shards := split(all, shard)
	index := map[string]string{}
	for i, s := range shards {
		// As the real checkpoints do: counted from 0, and the last one's number
		// in place of how many there are.
		name := fmt.Sprintf("model-%05d-of-%05d.safetensors", i, len(shards)-1)
		if err := w.safetensors(name, s); err != nil {
			return err
		}
		for _, t := range s {
			index[t.Name] = name
		}
	}
	text, err := json.MarshalIndent(map[string]any{"metadata": map[string]any{"total_size": w.total}, "weight_map": index}, "", " ")
	if err != nil {
		return err
	}
	return w.text("model.safetensors.index.json", text)
}

// split begins a new shard before the tensor that would make one too large.
func split(all []weights.Made, most int64) (shards [][]weights.Made) {
	begin, bytes := 0, int64(0)
	for i, t := range all {
		n := int64(t.Size())
		if i > begin && bytes+n > most {
			shards = append(shards, all[begin:i])
			begin, bytes = i, 0
		}
		bytes += n
	}
	return append(shards, all[begin:])
}

// safetensors writes a file of that format.
func (w *writer) safetensors(name string, all []weights.Made) error {
	var header strings.Builder
	header.WriteString(`{"__metadata__":{"format":"pt"}`)
	offset := 0
	for _, t := range all {
		shape := strings.ReplaceAll(strings.Trim(fmt.Sprint(t.Shape), "[]"), " ", ",")
		fmt.Fprintf(&header, `,"%s":{"dtype":"%s","shape":[%s],"data_offsets":[%d,%d]}`, t.Name, t.DType, shape, offset, offset+t.Size())
		offset += t.Size()
	}
	header.WriteByte('}')
	for header.Len()%8 != 0 {
		header.WriteByte(' ')
	}
	return w.file(name, func(to io.Writer) error {
		if err := binary.Write(to, binary.LittleEndian, uint64(header.Len())); err != nil {
			return err
		}
		if _, err := io.WriteString(to, header.String()); err != nil {
			return err
		}
		for _, t := range all {
			if err := w.tensor(to, t.Size(), 16, t.Fill); err != nil {
				return err
			}
		}
		return nil
	})
}
