// Package atomicfile writes files that are there wholly or not at all, whatever
// ends the process meanwhile.
package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Check reports why os.WriteFile could not write at path, for who would rather know it
// before the work than after it; Write needs its folder instead. It changes nothing.
func Check(path string) error {
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f, err := os.CreateTemp(filepath.Dir(path), ".check-*")
		if reason := (*fs.PathError)(nil); errors.As(err, &reason) {
			return &fs.PathError{Op: "write", Path: path, Err: reason.Err}
		}
		if err != nil {
			return err
		}
		return errors.Join(f.Close(), os.Remove(f.Name()))
	case err != nil:
		return err
	case st.IsDir():
		return &fs.PathError{Op: "write", Path: path, Err: errors.New("is a folder")}
	case !st.Mode().IsRegular():
		return nil // at the other end of a pipe even opening it is seen
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

// Write replaces the file at path, or makes it, with mode. Its folder must be
// there. A temporary file is written beside it first, and left behind only by a
// process that is killed.
func Write(path string, data []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err == nil {
		err = errors.Join(f.Chmod(mode), f.Sync())
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
