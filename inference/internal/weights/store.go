package weights

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// Store is an open checkpoint: its tensors by name. It owns the mappings;
// tensors must not be used after Close.
type Store struct {
	tensors   map[string]*Tensor
	names     []string // of the tensor files, for messages
	metadata  *Metadata
	files     []io.Closer
	unchecked bool    // values need no checks: they are made, or not computed with
	mapped    []pages // what tensors are views of, where that is no ordinary memory
}

// Open maps the tensor files that a path means: a checkpoint's directory (those
// that model.safetensors.index.json names, else every *.safetensors, else the
// one GGUF model) or a GGUF file, with its other parts where the name says that
// it is one of several (name-00001-of-00003.gguf).
func Open(path string) (*Store, error) {
	s := &Store{tensors: map[string]*Tensor{}}
	if err := Guard(func() error { return s.open(path) }); err != nil {
		return nil, errors.Join(fmt.Errorf("open weights in %s: %w", path, err), s.Close())
	}
	return s, nil
}

func (s *Store) open(path string) error {
	dir, files, index, err := find(path)
	if err != nil {
		return err
	}
	for i, file := range files {
		m, err := mapFile(filepath.Join(dir, file))
		if err != nil {
			return index.explain(file, fmt.Errorf("%s: %w", file, err))
		}
		s.files, s.mapped = append(s.files, m), append(s.mapped, m)
		if strings.HasSuffix(file, ".gguf") {
			err = s.addGGUF(file, m.data, i, len(files))
		} else {
			err = s.add(file, m.data)
		}
		if errors.Is(err, errNoHeader) {
			return index.explain(file, err)
		} else if err != nil {
			return err
		}
	}
	if s.metadata != nil {
		return s.metadata.checkParts(len(s.tensors))
	}
	return index.check(s.tensors)
}

// OpenFiles is Open for a checkpoint that is in memory already, by file name.
// The tensors are views of the given bytes.
func OpenFiles(name string, files map[string][]byte) (*Store, error) {
	s := &Store{tensors: map[string]*Tensor{}}
	var gguf []string
	for _, file := range slices.Sorted(maps.Keys(files)) {
		switch filepath.Ext(file) {
		case ".gguf":
			gguf = append(gguf, file)
		case ".safetensors":
			if err := s.add(file, files[file]); err != nil {
				return nil, fmt.Errorf("open weights of %s: %w", name, err)
			}
		}
	}
	for i, file := range gguf {
		if err := s.addGGUF(file, files[file], i, len(gguf)); err != nil {
			return nil, fmt.Errorf("open weights of %s: %w", name, err)
		}
	}
	return s, nil
}

// Close unmaps the files.
func (s *Store) Close() error {
	var errs []error
	for _, f := range s.files {
		errs = append(errs, f.Close())
	}
	s.files, s.mapped, s.tensors = nil, nil, nil
	return errors.Join(errs...)
}

// Unchecked has tensors handed out without a look at their values, which would
// read a part of them: for who only wants to know what there is.
func (s *Store) Unchecked() { s.unchecked = true }

// Len is how many tensors the checkpoint has.
func (s *Store) Len() int { return len(s.tensors) }

// Has reports whether the checkpoint has a tensor of that name.
func (s *Store) Has(name string) bool { return s.tensors[name] != nil }

// Metadata returns what a GGUF file says beside its tensors, nil where the
// checkpoint is safetensors.
func (s *Store) Metadata() *Metadata { return s.metadata }

// Shape returns the shape of a tensor of at least one dimension.
func (s *Store) Shape(name string) ([]int, error) {
	t := s.tensors[name]
	if t == nil || len(t.Shape) == 0 {
		return nil, fmt.Errorf("%s: tensor %q is missing", s.where(), name)
	}
	return t.Shape, nil
}

// Tensor returns the tensor of that name, which must have exactly this shape
// and one of these types.
func (s *Store) Tensor(name string, shape []int, types ...DType) (*Tensor, error) {
	t := s.tensors[name]
	if t == nil {
		return nil, fmt.Errorf("%s: tensor %q is missing", s.where(), name)
	}
	if !slices.Contains(types, t.DType) || !slices.Equal(t.Shape, shape) {
		want := string(types[0])
		for _, other := range types[1:] {
			want += " or " + string(other)
		}
		return nil, fmt.Errorf("%s: tensor %q is %s %v, want %s %v", t.File, name, t.DType, t.Shape, want, shape)
	}
	return t, nil
}

// Pair returns two tensors of the same shape and type as one, whose dimension 1
// has them by turns, even first: see Tensor.Odd.
func (s *Store) Pair(even, odd string, shape []int, types ...DType) (*Tensor, error) {
	a, err := s.Tensor(even, shape, types...)
	if err != nil {
		return nil, err
	}
	b, err := s.Tensor(odd, shape, a.DType)
	if err != nil {
		return nil, err
	}
	return interleave(a, b), nil
}

// MXFP4 returns the tensor of the given logical shape whose nibbles and scales
// are the two named U8 tensors. A scale of 255, NaN in the format, is refused.
func (s *Store) MXFP4(blocks, scales string, shape ...int) (*Tensor, error) {
	lead, k := shape[:len(shape)-1], shape[len(shape)-1]
	if k%Block != 0 {
		return nil, fmt.Errorf("%s: tensor %q: %d columns are no multiple of the MXFP4 block of %d", s.where(), blocks, k, Block)
	}
	perRow := append(slices.Clone(lead), k/Block)
	b, err := s.Tensor(blocks, append(slices.Clone(perRow), Block/2), U8)
	if err != nil {
		return nil, err
	}
	sc, err := s.Tensor(scales, perRow, U8)
	if err != nil {
		return nil, err
	}
	t := &Tensor{Name: blocks, File: b.File, DType: MXFP4, Shape: slices.Clone(shape), Data: b.Data, Scales: sc.Data, store: s}
	if s.unchecked {
		return t, nil
	}
	i := bytes.IndexByte(sc.Data, 255)
	t.Release(sc.Data)
	if i >= 0 {
		return nil, fmt.Errorf("%s: tensor %q: scale %d is 255 (NaN): the file is damaged", sc.File, scales, i)
	}
	return t, nil
}

// where names the files that a missing tensor could have been in.
func (s *Store) where() string {
	if n := len(s.names); n > 2 {
		return fmt.Sprintf("%s to %s (%d files)", s.names[0], s.names[n-1], n)
	}
	return strings.Join(s.names, ", ")
}

func (s *Store) add(file string, data []byte) error {
	s.names = append(s.names, file)
	tensors, err := parse(file, data)
	if err != nil {
		return err
	}
	return s.keep(tensors)
}

// addGGUF adds part i of n of a GGUF model. What it says of the model stands in
// the first part.
func (s *Store) addGGUF(file string, data []byte, i, n int) error {
	s.names = append(s.names, file)
	m, tensors, err := parseGGUF(file, data)
	if err != nil {
		return err
	}
	if err := m.checkPart(i, n); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if i == 0 {
		s.metadata = m
	}
	return s.keep(tensors)
}

func (s *Store) keep(tensors []*Tensor) error {
	for _, t := range tensors {
		if other := s.tensors[t.Name]; other != nil {
			return fmt.Errorf("%s: tensor %q is in %s as well", t.File, t.Name, other.File)
		}
		t.store = s
		s.tensors[t.Name] = t
	}
	return nil
}
