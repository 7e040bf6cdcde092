package runtime

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"unicode/utf8"

	"chorale/internal/strictyaml"
)

// Job is a task that was read and checked, with its texts loaded. It is ready
// to run once its inputs are set.
type Job struct {
	Task  Task
	Files []File // everything that was read for it, with its hash

	path string // the task file
	root string // its folder; all its paths stay below
	form *form  // of the answer; nil: any
}

// File is a file that a run depends on.
type File struct {
	Path   string `yaml:"path" json:"path"` // relative to the task's folder
	SHA256 string `yaml:"sha256" json:"sha256"`
}

// Read reads the task file at path and the prompt files that it names, and
// fills in the defaults. Errors name file, line and column where there is one.
func Read(path string) (*Job, error) {
	src, err := strictyaml.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read task: %w", err)
	}
	return Parse(path, src)
}

// Parse is Read for a task that is already in memory; path still says where
// its other files lie.
func Parse(path string, src []byte) (*Job, error) {
	j := &Job{path: path, root: filepath.Dir(path)}
	if err := strictyaml.DecodeKind(path, src, "Task", &j.Task); err != nil {
		return nil, err
	}
	t := &j.Task
	j.Files = append(j.Files, File{Path: filepath.Base(path), SHA256: hash(src)})
	if err := j.load(t.PromptFile, &t.Prompt); err != nil {
		return nil, fmt.Errorf("%s: promptFile: %w", path, err)
	}
	if err := j.load(t.Developer.File, &t.Developer.Text); err != nil {
		return nil, fmt.Errorf("%s: developer.file: %w", path, err)
	}
	if unknown := t.unknownPlaceholders(); len(unknown) > 0 {
		return nil, fmt.Errorf("%s: {{%s}} is not among the task's inputs", t.PromptFile, unknown[0])
	}
	t.fill()
	if err := j.readForm(); err != nil {
		return nil, fmt.Errorf("%s: output.schema: %w", path, err)
	}
	return j, nil
}

// load reads the text file name, if there is one, into text.
func (j *Job) load(name string, text *string) error {
	if name == "" {
		return nil
	}
	src, err := j.ReadFile(name)
	if err != nil {
		return err
	}
	if !utf8.Valid(src) {
		return fmt.Errorf("%s is not UTF-8 text", name)
	}
	*text = string(src)
	return nil
}

// ReadFile reads a file of the task and notes its hash for the lock. Links that
// lead out of the task's folder are refused.
func (j *Job) ReadFile(name string) ([]byte, error) {
	root, err := os.OpenRoot(j.root)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := root.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	src, err := io.ReadAll(io.LimitReader(f, strictyaml.MaxSize+1))
	if err != nil {
		return nil, err
	}
	if len(src) > strictyaml.MaxSize {
		return nil, fmt.Errorf("%s is larger than %d bytes", name, strictyaml.MaxSize)
	}
	j.Files = append(j.Files, File{Path: filepath.ToSlash(name), SHA256: hash(src)})
	return src, nil
}

// Path is where the file name of the task lies.
func (j *Job) Path(name string) string { return filepath.Join(j.root, filepath.FromSlash(name)) }

func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
