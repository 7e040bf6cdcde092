package weights

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// indexName is the file that says which shard holds which tensor.
const indexName = "model.safetensors.index.json"

// split is how the parts of a GGUF model are called.
var split = regexp.MustCompile(`^(.*)-(\d{5})-of-(\d{5})\.gguf$`)

// PathError is the error of a path that names no model, or several.
type PathError struct{ text string }

// Error implements error.
func (e *PathError) Error() string { return e.text }

// find returns the tensor files that a path means, all in one directory, and
// their index where there is one. A directory means those that its index names,
// else its *.safetensors (OpenAI's own layout may be several files without an
// index), else the one GGUF model in it. A file means that GGUF model, with all
// parts of it.
func find(path string) (dir string, files []string, x index, err error) {
	st, err := os.Stat(path)
	switch {
	case err != nil:
		return "", nil, nil, err
	case !st.IsDir() && !strings.HasSuffix(path, ".gguf"):
		return "", nil, nil, &PathError{"this is no GGUF file; give a *.gguf, or the directory of a checkpoint"}
	case !st.IsDir():
		dir, file := filepath.Split(path)
		return dir, parts(file), nil, nil
	}
	if x, err = readIndex(filepath.Join(path, indexName)); err != nil {
		return "", nil, nil, err
	}
	if x != nil {
		return path, x.files(), x, nil
	}
	files, err = listFiles(path)
	return path, files, nil, err
}

func listFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files, models []string
	for _, e := range entries {
		name := e.Name()
		m := split.FindStringSubmatch(name)
		switch {
		case e.IsDir():
		case strings.HasSuffix(name, ".safetensors"):
			files = append(files, name)
		case strings.HasSuffix(name, ".gguf") && (m == nil || m[2] == "00001"):
			models = append(models, name)
		}
	}
	switch {
	case files != nil:
		return files, nil
	case len(models) == 1:
		return parts(models[0]), nil
	case models != nil:
		return nil, &PathError{fmt.Sprintf("%d models are here: %s; give the path of one", len(models), strings.Join(models, ", "))}
	}
	return nil, &PathError{"no *.safetensors and no *.gguf here; is this the directory of a checkpoint?"}
}

// ModelName returns what a GGUF file's name says of the model, without its
// ending and its part; other names as they are.
func ModelName(file string) string {
	if m := split.FindStringSubmatch(file); m != nil {
		return m[1]
	}
	return strings.TrimSuffix(file, ".gguf")
}

// maxParts bounds the parts of a GGUF model.
const maxParts = 1000

// parts returns the files of the GGUF model that has a file of that name, in
// order.
func parts(file string) []string {
	m := split.FindStringSubmatch(file)
	if m == nil {
		return []string{file}
	}
	n, err := strconv.Atoi(m[3])
	if err != nil || n < 1 || n > maxParts {
		return []string{file}
	}
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("%s-%05d-of-%05d.gguf", m[1], i+1, n))
	}
	return all
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
