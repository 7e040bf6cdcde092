package python

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"chorale/internal/lockfile"
	"chorale/tools/python/internal/linear"
	"chorale/tools/python/internal/scratch"
)

// A full interpreter takes seconds to import its packages. That is done once:
// the memory is saved when no guest code is on the stack, and each session
// begins with a private copy of it. Nothing but the memory is needed, since the
// module's other state (the top of the stack, the loop budget) is at rest what
// it was in the beginning, and of files the guest has root and its streams alone:
// warm.py fails if it leaves another one open.

// warmUp is what is imported and tried before the memory is saved.
//
//go:embed warm.py
var warmUp string

// warmMemory is the limit of the interpreter whose memory is saved.
const warmMemory = 512 << 20

// openWarm opens the saved memory in dir. It is made anew where the program's
// own Python code has changed.
func (e *Engine) openWarm(ctx context.Context, dir string) error {
	path := filepath.Join(dir, e.image.warmFile())
	im, err := linear.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		held, lockErr := lockfile.Wait(ctx, filepath.Join(dir, "lock"), func() {})
		if lockErr != nil {
			return lockErr
		}
		defer held.Close()
		if im, err = linear.Open(path); errors.Is(err, fs.ErrNotExist) {
			if err = e.saveWarm(ctx, dir); err == nil {
				im, err = linear.Open(path)
			}
		}
	}
	if err != nil {
		return err
	}
	e.warm, e.minimum = im, im.Size()
	return nil
}

// makeWarm saves the memory while the image's folder is built.
func (im image) makeWarm(ctx context.Context, dir string) error {
	e, err := im.load(ctx, dir)
	if err != nil {
		return err
	}
	return errors.Join(e.saveWarm(ctx, dir), e.Close())
}

func (e *Engine) saveWarm(ctx context.Context, dir string) error {
	old, err := filepath.Glob(filepath.Join(dir, warmPrefix+"*"))
	if err != nil {
		return err
	}
	for _, path := range old {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	folder, err := os.MkdirTemp("", "chorale-python-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	data, err := scratch.Open(folder, scratch.Limits{Bytes: 64 << 20, Files: 100, Handles: 20})
	if err != nil {
		return err
	}
	files := folders{{path: dataPath[1:], fs: data}}
	in, err := e.begin(files, warmMemory, func(in *instance) error {
		path := filepath.Join(dir, e.image.warmFile())
		if err := in.mem.Save(path + ".part"); err != nil {
			return err
		}
		return os.Rename(path+".part", path)
	})
	if err != nil {
		return errors.Join(err, files.close())
	}
	select {
	case <-in.ended:
	case <-ctx.Done():
		in.close()
		return context.Cause(ctx)
	}
	if in.exit != nil {
		text, _ := in.out.all.text(startOutput)
		return fmt.Errorf("import the packages: %w\n%s", in.exit, text)
	}
	return nil
}
