package weights

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// indexName is the file that says which shard holds which tensor.
const indexName = "model.safetensors.index.json"

// Store is an open checkpoint: its tensors by name. It owns the mappings;
// tensors must not be used after Close.
type Store struct {
	tensors map[string]*Tensor
	names   []string // of the tensor files, for messages
	files   []io.Closer
	mapped  []pages // what tensors are views of, where that is no ordinary memory
}

// Open maps the tensor files of a checkpoint directory: those that
// model.safetensors.index.json names, else every *.safetensors in it (OpenAI's
// own layout may be several files without an index).
func Open(dir string) (*Store, error) {
	s := &Store{tensors: map[string]*Tensor{}}
	if err := s.open(dir); err != nil {
		return nil, errors.Join(fmt.Errorf("open weights in %s: %w", dir, err), s.Close())
	}
	return s, nil
}

func (s *Store) open(dir string) error {
	index, err := readIndex(filepath.Join(dir, indexName))
	if err != nil {
		return err
	}
	files := index.files()
	if index == nil {
		if files, err = listFiles(dir); err != nil {
			return err
		}
	}
	for _, file := range files {
		m, err := mapFile(filepath.Join(dir, file))
		if err != nil {
			return index.explain(file, fmt.Errorf("%s: %w", file, err))
		}
		s.files, s.mapped = append(s.files, m), append(s.mapped, m)
		if err := s.add(file, m.data); errors.Is(err, errNoHeader) {
			return index.explain(file, err)
		} else if err != nil {
			return err
		}
	}
	return index.check(s.tensors)
}

// OpenFiles is Open for a checkpoint that is in memory already, by file name.
// The tensors are views of the given bytes.
func OpenFiles(name string, files map[string][]byte) (*Store, error) {
	s := &Store{tensors: map[string]*Tensor{}}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		if !strings.HasSuffix(file, ".safetensors") {
			continue
		}
		if err := s.add(file, files[file]); err != nil {
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

// Has reports whether the checkpoint has a tensor of that name.
func (s *Store) Has(name string) bool { return s.tensors[name] != nil }

// Tensor returns the tensor of that name, which must have exactly this type and
// shape.
func (s *Store) Tensor(name string, dtype DType, shape ...int) (*Tensor, error) {
	t := s.tensors[name]
	if t == nil {
		return nil, fmt.Errorf("%s: tensor %q is missing", s.where(), name)
	}
	if t.DType != dtype || !slices.Equal(t.Shape, shape) {
		return nil, fmt.Errorf("%s: tensor %q is %s %v, want %s %v", t.File, name, t.DType, t.Shape, dtype, shape)
	}
	return t, nil
}

// MXFP4 returns the tensor of the given logical shape whose nibbles and scales
// are the two named U8 tensors. A scale of 255, NaN in the format, is refused.
func (s *Store) MXFP4(blocks, scales string, shape ...int) (*Tensor, error) {
	lead, k := shape[:len(shape)-1], shape[len(shape)-1]
	if k%Block != 0 {
		return nil, fmt.Errorf("%s: tensor %q: %d columns are no multiple of the MXFP4 block of %d", s.where(), blocks, k, Block)
	}
	perRow := append(slices.Clone(lead), k/Block)
	b, err := s.Tensor(blocks, U8, append(slices.Clone(perRow), Block/2)...)
	if err != nil {
		return nil, err
	}
	sc, err := s.Tensor(scales, U8, perRow...)
	if err != nil {
		return nil, err
	}
	if i := bytes.IndexByte(sc.Data, 255); i >= 0 {
		return nil, fmt.Errorf("%s: tensor %q: scale %d is 255 (NaN): the file is damaged", sc.File, scales, i)
	}
	return &Tensor{Name: blocks, File: b.File, DType: MXFP4, Shape: slices.Clone(shape), Data: b.Data, Scales: sc.Data, store: s}, nil
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
	for _, t := range tensors {
		if other := s.tensors[t.Name]; other != nil {
			return fmt.Errorf("%s: tensor %q is in %s as well", file, t.Name, other.File)
		}
		t.store = s
		s.tensors[t.Name] = t
	}
	return nil
}

// index maps a tensor's name to its file; nil where there is no index.
type index map[string]string

func readIndex(path string) (index, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var v struct {
		WeightMap index `json:"weight_map"`
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return nil, fmt.Errorf("%s: %w", indexName, err)
	}
	if len(v.WeightMap) == 0 {
		return nil, fmt.Errorf("%s: no weight_map", indexName)
	}
	for name, file := range v.WeightMap {
		if !filepath.IsLocal(file) {
			return nil, fmt.Errorf("%s: tensor %q: file %q is outside the checkpoint", indexName, name, file)
		}
	}
	return v.WeightMap, nil
}

// files returns the shards in order of name.
func (x index) files() []string {
	seen := map[string]bool{}
	var files []string
	for _, file := range x {
		if !seen[file] {
			seen[file] = true
			files = append(files, file)
		}
	}
	slices.Sort(files)
	return files
}

// explain adds to the error of a file that cannot be read which tensors are
// missing with it, where an index knows.
func (x index) explain(file string, err error) error {
	var lost []string
	for name, in := range x {
		if in == file {
			lost = append(lost, name)
		}
	}
	if lost == nil {
		return err
	}
	return fmt.Errorf("%w; %s has %d tensors in it, %q among them", err, indexName, len(lost), slices.Min(lost))
}

// check compares what the index promises with what the files hold.
func (x index) check(tensors map[string]*Tensor) error {
	for name, file := range x {
		t := tensors[name]
		if t == nil {
			return fmt.Errorf("%s: tensor %q is missing, %s names it", file, name, indexName)
		}
		if t.File != file {
			return fmt.Errorf("%s: tensor %q is in %s, but %s says %s", t.File, name, t.File, indexName, file)
		}
	}
	return nil
}

func listFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".safetensors") && !e.IsDir() {
			files = append(files, e.Name())
		}
	}
	if len(files) == 0 {
		return nil, errors.New("no *.safetensors here; is this the directory of a checkpoint?")
	}
	return files, nil
}
