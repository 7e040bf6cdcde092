package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"chorale/inference/hub"
)

// Folder returns the model that was pulled into a folder of its own.
func Folder(dir string) (Model, error) {
	m, err := readModel(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return Model{}, fmt.Errorf("%s: %w by `agent model pull --to`: there is nothing to compare its files with", dir, ErrNotPulled)
	}
	return m, err
}

// cheap is how many bytes of a checkpoint are hashed when it is opened: no more
// than take a fraction of a second.
const cheap = 64 << 20

// DigestAt is the digest of the checkpoint at a path: a folder or a GGUF file. It
// is known where the files were pulled, and computed where they are few bytes;
// else it is empty.
func DigestAt(ctx context.Context, at string) (string, error) {
	dir, name := at, "."
	if st, err := os.Stat(at); err != nil {
		return "", err
	} else if !st.IsDir() {
		dir, name = filepath.Split(filepath.Clean(at))
	}
	if digest := pulledDigest(dir, name); digest != "" {
		return digest, nil
	}
	if digest := pulledDigest(filepath.Dir(filepath.Clean(dir)), filepath.Base(dir)); name == "." && digest != "" {
		return digest, nil // a layout's own folder, such as original
	}
	return computed(ctx, dir, name)
}

func pulledDigest(dir, name string) string {
	m, err := readModel(dir)
	if err != nil || m.usable() != nil {
		return ""
	}
	v, err := m.variant(name)
	if err != nil {
		return ""
	}
	return Digest(v.files)
}

// computed hashes the files that opening the folder, or the file in it, reads.
func computed(ctx context.Context, dir, name string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	var files []File
	left := int64(cheap)
	for _, e := range entries {
		if name != e.Name() && (name != "." || !read.MatchString(e.Name()) && !strings.HasSuffix(e.Name(), ".gguf")) {
			continue
		}
		path := filepath.Join(dir, e.Name())
		st, err := os.Stat(path)
		if err != nil || !st.Mode().IsRegular() {
			continue
		}
		if left -= st.Size(); left < 0 {
			return "", nil
		}
		sum, err := sumFile(ctx, path, st.Size())
		if err != nil {
			return "", err
		}
		files = append(files, File{Path: e.Name(), Size: st.Size(), SHA256: sum})
	}
	return Digest(files), nil
}

func sumFile(ctx context.Context, path string, size int64) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return hub.Sum(ctx, f, size, hub.Digest{}, func(int64) {})
}

// DigestOf is the digest of a checkpoint in memory.
func DigestOf(files map[string][]byte) string {
	var all []File
	for name, b := range files {
		all = append(all, File{Path: name, Size: int64(len(b)), SHA256: fmt.Sprintf("%x", sha256.Sum256(b))})
	}
	return Digest(all)
}
