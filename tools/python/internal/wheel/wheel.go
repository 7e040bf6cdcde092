// Package wheel gets one wheel, known by its hash, from a file, from a Python
// package index, or through the pip that is installed. It trusts none of them:
// what it returns has the pinned hash, and nothing else is ever left under the
// wheel's name.
//
// It names no index of its own. The address comes from the caller, the
// environment or pip's configuration; where there is none, pip itself knows
// its default.
package wheel

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// Wheel is a pinned wheel.
type Wheel struct {
	Project string // normalised name of the project
	Version string
	File    string // file name
	SHA256  string // in hex
	Size    int64  // bytes
}

// Source says where to look and whom to tell. Its zero value looks in the
// configured index.
type Source struct {
	File     string                   // a wheel that is here already, instead of a download
	Index    string                   // address of an index; empty: Configured, then pip
	Progress func(done, total int64)  // called as bytes arrive; may be nil
	Client   *http.Client             // nil: http.DefaultClient
	Env      func(name string) string // nil: os.Getenv
	Pause    time.Duration            // before the second attempt, doubled for each more; 0: half a second
	Stall    time.Duration            // an attempt without a byte for so long is given up; 0: a minute
}

// Fetch returns the path of the wheel w. A download goes to dir, which must
// exist; an interrupted one is taken up again by the next call. A Source.File
// is used where it lies.
func Fetch(ctx context.Context, w Wheel, dir string, s Source) (string, error) {
	if s.File != "" {
		return s.File, Check(s.File, w)
	}
	path := filepath.Join(dir, w.File)
	if verify(path, w) == nil {
		return path, nil
	}
	s = s.withDefaults()
	index := s.Index
	if index == "" {
		index = Configured(s.Env)
	}
	var err error
	if index != "" {
		err = s.fromIndex(ctx, index, w, path)
	} else {
		err = fromPip(ctx, w, path)
	}
	if err != nil {
		return "", fmt.Errorf("fetch %s: %w", w.File, err)
	}
	return path, nil
}

func (s Source) withDefaults() Source {
	if s.Client == nil {
		s.Client = http.DefaultClient
	}
	if s.Env == nil {
		s.Env = os.Getenv
	}
	if s.Pause == 0 {
		s.Pause = 500 * time.Millisecond
	}
	if s.Stall == 0 {
		s.Stall = time.Minute
	}
	if s.Progress == nil {
		s.Progress = func(int64, int64) {}
	}
	return s
}

// Is reports whether the file may be the wheel: it has its size.
func Is(file string, w Wheel) bool {
	info, err := os.Stat(file)
	return err == nil && info.Size() == w.Size
}

// Check reports what is wrong with a file that is said to be the wheel.
func Check(file string, w Wheel) error {
	if err := verify(file, w); err != nil {
		return fmt.Errorf("wheel %s: %w", file, err)
	}
	return nil
}

// errWrong means that bytes are not those of the pinned wheel.
var errWrong = errors.New("not the expected file")

// verify reports whether the file is the wheel.
func verify(path string, w Wheel) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, io.LimitReader(f, w.Size+1))
	if err != nil {
		return err
	}
	if n != w.Size {
		return fmt.Errorf("%w: its size is not the %d bytes of %s", errWrong, w.Size, w.File)
	}
	if sum := hex.EncodeToString(h.Sum(nil)); sum != w.SHA256 {
		return fmt.Errorf("%w: its sha256 is %s, that of %s is %s", errWrong, sum, w.File, w.SHA256)
	}
	return nil
}
