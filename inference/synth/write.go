package synth

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"chorale/inference/internal/weights"
)

// Format is a layout of a checkpoint on disk.
type Format string

// The layouts: two directories of safetensors, and a file.
const (
	HF     Format = "hf"
	OpenAI Format = "openai"
	GGUF   Format = "gguf"
)

// Output says how a checkpoint is written. The zero value is one file in Hugging
// Face's layout.
type Output struct {
	Format Format

	// Shard, unless 0, begins a new file where one would grow beyond that many
	// bytes, in Hugging Face's layout.
	Shard int64

	// Q8 writes the dense matrices in 8 bits, in GGUF.
	Q8 bool

	// Progress, unless nil, is told now and then how many bytes of the weights
	// have been written, of how many.
	Progress func(done, total int64)
}

// check refuses what a layout does not have.
func (o Output) check() error {
	hf := o.Format == HF || o.Format == ""
	switch {
	case !hf && o.Format != OpenAI && o.Format != GGUF:
		return fmt.Errorf("format %q is unknown, want hf, openai or gguf", o.Format)
	case o.Shard < 0:
		return errors.New("the size of shards must not be negative")
	case o.Shard > 0 && !hf:
		return fmt.Errorf("only hf is written in several files, not %s", o.Format)
	case o.Q8 && o.Format != GGUF:
		return errors.New("only gguf has dense matrices in 8 bits")
	}
	return nil
}

// Write writes the checkpoint: a directory of that name, or a file for GGUF. It
// appears whole or not at all, and replaces nothing.
func (m *Model) Write(ctx context.Context, path string, o Output) (err error) {
	if err := m.Check(); err != nil {
		return fmt.Errorf("write synthetic model: %w", err)
	}
	if err := o.check(); err != nil {
		return fmt.Errorf("write synthetic model: %w", err)
	}
	if _, err := os.Stat(path); err == nil {
		return fmt.Errorf("write synthetic model: %s is there already", path)
	}
	temporary, err := os.MkdirTemp(filepath.Dir(path), ".synth-")
	if err != nil {
		return fmt.Errorf("write synthetic model: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temporary)) }()
	w := &writer{ctx: ctx, progress: o.Progress, dir: filepath.Join(temporary, "model")}
	if err := os.Mkdir(w.dir, 0o755); err != nil {
		return fmt.Errorf("write synthetic model: %w", err)
	}
	made := w.dir
	switch o.Format {
	case HF, "":
		err = m.writeHF(w, o.Shard)
	case OpenAI:
		err = m.writeOpenAI(w)
	case GGUF:
		made = filepath.Join(w.dir, ggufName)
		err = m.writeGGUF(w, o.Q8)
	}
	if err == nil {
		err = os.Rename(made, path)
	}
	if err != nil {
		return fmt.Errorf("write synthetic model: %w", err)
	}
	return nil
}

// writer writes the files of a checkpoint into a directory.
type writer struct {
	ctx         context.Context
	dir         string
	progress    func(done, total int64)
	done, total int64
}

// text writes a small file.
func (w *writer) text(name string, data []byte) error {
	return os.WriteFile(filepath.Join(w.dir, name), data, 0o644)
}

// file writes a large one.
func (w *writer) file(name string, write func(to io.Writer) error) error {
	f, err := os.Create(filepath.Join(w.dir, name))
	if err != nil {
		return err
	}
	b := bufio.NewWriterSize(f, 1<<20)
	if err = write(b); err == nil {
		err = b.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// batch is how many bytes of a tensor are made at a time, roughly.
const batch = 4 << 20

// tensor writes one tensor of size bytes, whole units at a time.
func (w *writer) tensor(to io.Writer, size, unit int, fill func(dst []byte, at int)) error {
	buffer := make([]byte, min(size, batch/unit*unit))
	for at := 0; at < size; at += len(buffer) {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		part := buffer[:min(len(buffer), size-at)]
		fill(part, at)
		if _, err := to.Write(part); err != nil {
			return err
		}
		if w.done += int64(len(part)); w.progress != nil {
			w.progress(w.done, w.total)
		}
	}
	return nil
}

// size returns the bytes of some tensors.
func size(all []weights.Made) (n int64) {
	for _, t := range all {
		n += int64(t.Size())
	}
	return n
}
