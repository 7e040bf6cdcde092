package python

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// The native code of a hollow image is recorded when it is made, by the name
// and size of its file: whatever wazero may do when it finds no code, or code
// for another processor, its empty functions never pass for the interpreter.

// nativeRecord names the record in an image's folder.
const nativeRecord = "native.txt"

var (
	errNative  = errors.New("its compiled code is missing or not what was made")
	errForeign = errors.New("its compiled code is not for this processor or is damaged")
)

// recordNative writes down which code belongs to the image in dir.
func recordNative(dir string) error {
	text, err := describeNative(dir)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, nativeRecord), []byte(text), 0o600)
}

// checkNative compares the code with the record: errNative.
func checkNative(dir string) error {
	recorded, err := os.ReadFile(filepath.Join(dir, nativeRecord))
	if err != nil {
		return fmt.Errorf("%w: %w", errNative, err)
	}
	found, err := describeNative(dir)
	if err == nil && found != string(recorded) {
		err = fmt.Errorf("found %q, recorded %q", found, recorded)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errNative, err)
	}
	return nil
}

func describeNative(dir string) (string, error) {
	native := filepath.Join(dir, nativeDir)
	path, err := nativeFile(native)
	if err != nil {
		return "", err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return "", err
	}
	name, err := filepath.Rel(native, path)
	return fmt.Sprintf("%s %d\n", filepath.ToSlash(name), info.Size()), err
}

// loadHollow runs recorded code under the hollow module. Code that wazero does
// not take is put aside by it, and empty functions are compiled; those are
// removed and the image refused.
func loadHollow(ctx context.Context, hollow []byte, dir string) (*Engine, error) {
	if err := checkNative(dir); err != nil {
		return nil, err
	}
	before, err := nativeFiles(filepath.Join(dir, nativeDir))
	if err != nil {
		return nil, err
	}
	e, err := newEngine(ctx, hollow, filepath.Join(dir, nativeDir))
	if err != nil {
		if ctx.Err() == nil {
			err = fmt.Errorf("%w (%w); remove %s and run `agent setup python`", errForeign, err, dir)
		}
		return nil, err
	}
	if err = checkNative(dir); err == nil {
		return e, nil
	}
	e.Close()
	after, listErr := nativeFiles(filepath.Join(dir, nativeDir))
	errs := []error{fmt.Errorf("%w: remove %s and run `agent setup python`", errForeign, dir), listErr}
	for _, file := range after {
		if !slices.Contains(before, file) {
			errs = append(errs, os.Remove(file))
		}
	}
	return nil, errors.Join(errs...)
}

// nativeFile returns the one file of native code in a compilation cache.
func nativeFile(dir string) (string, error) {
	files, err := nativeFiles(dir)
	if err == nil && len(files) != 1 {
		err = fmt.Errorf("%s holds %d files of native code, want one", dir, len(files))
	}
	if err != nil {
		return "", err
	}
	return files[0], nil
}

func nativeFiles(dir string) ([]string, error) { return filepath.Glob(filepath.Join(dir, "*", "*")) }
