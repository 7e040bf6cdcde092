package runtime

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"chorale/internal/atomicfile"
)

// CheckOutput reports why the answer could not be written where the task wants it.
// It is asked when all files of the task have been read: none of them is replaced.
func (j *Job) CheckOutput() error {
	if j.Task.Output.File == "" {
		return nil
	}
	if err := j.checkOwn(filepath.FromSlash(j.Task.Output.File)); err != nil {
		return fmt.Errorf("%s: output.file: %w", j.path, err)
	}
	return nil
}

func (j *Job) checkOwn(name string) error {
	root, err := os.OpenRoot(j.root)
	if err != nil {
		return err
	}
	defer root.Close()
	for dir := filepath.Dir(name); dir != "."; dir = filepath.Dir(dir) {
		if _, err := root.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			name = dir // would be made
		}
	}
	if _, err := root.Stat(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return j.CheckCopy(j.Path(name))
}

// CheckCopy is CheckOutput for one more file that the answer is written to.
func (j *Job) CheckCopy(path string) error {
	if st, err := os.Stat(path); err == nil {
		for _, f := range j.Files {
			if own, err := os.Stat(j.Path(f.Path)); err == nil && os.SameFile(st, own) {
				return fmt.Errorf("%s is a file of the task, which the answer would replace", path)
			}
		}
	}
	return atomicfile.Check(path)
}

// writeFile writes a file of the task; links out of its folder are refused.
func (j *Job) writeFile(name, text string) error {
	root, err := os.OpenRoot(j.root)
	if err != nil {
		return err
	}
	defer root.Close()
	name = filepath.FromSlash(name)
	if err := root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return root.WriteFile(name, []byte(text+"\n"), 0o644)
}
