package store

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"chorale/inference/hub"
)

// The names in a model's folder that are ours, below hub.Reserved.
const (
	manifestFile = "manifest.json"
	verifiedFile = "verified.json"
	pullFile     = "pull.json"
	partialDir   = "partial"
	lockFile     = "lock" // of a folder outside of the store
)

// Manifest says what a model consists of and where it is from.
type Manifest struct {
	Version   int       `json:"version"`
	Hub       string    `json:"hub"` // host
	Repo      string    `json:"repo"`
	Revisions []string  `json:"revisions"` // under which it was asked for
	Commit    string    `json:"commit"`
	Pulled    time.Time `json:"pulled"`
	Files     []File    `json:"files"`
}

const manifestVersion = 1

// File is a file of a model.
type File struct {
	Path   string `json:"path"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256,omitempty"` // empty only while it is being pulled
}

// Checked is what the last look into the files found.
type Checked struct {
	Digest string    `json:"digest"` // of the files that were looked at
	At     time.Time `json:"at"`
	Bad    []string  `json:"bad,omitempty"`
}

// Digest is one hash of a set of files: the SHA-256 of what sha256sum would print
// of them, sorted by name.
func Digest(files []File) string {
	files = slices.SortedFunc(slices.Values(files), func(a, b File) int { return cmp.Compare(a.Path, b.Path) })
	h := sha256.New()
	for _, f := range files {
		fmt.Fprintf(h, "%s  %s\n", f.SHA256, f.Path)
	}
	return fmt.Sprintf("sha256:%x", h.Sum(nil))
}

// Size is how many bytes the files have.
func (m Manifest) Size() (n int64) {
	for _, f := range m.Files {
		n += f.Size
	}
	return n
}

func (m Manifest) hasRevision(name string) bool {
	return m.Commit == name || slices.Contains(m.Revisions, name)
}

func (m Manifest) file(path string) (File, bool) {
	i := slices.IndexFunc(m.Files, func(f File) bool { return f.Path == path })
	if i < 0 {
		return File{}, false
	}
	return m.Files[i], true
}

// look says what is wrong with a file, as far as its entry in the folder shows.
func (f File) look(root *os.Root) string {
	st, err := root.Lstat(filepath.FromSlash(f.Path))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "is missing"
	case err != nil:
		return "cannot be read: " + err.Error()
	case !st.Mode().IsRegular():
		return "is not a regular file"
	case st.Size() != f.Size:
		return fmt.Sprintf("has %d bytes, want %d", st.Size(), f.Size)
	}
	return ""
}

// readModel reads what is known of a model in a folder; fs.ErrNotExist if nothing.
func readModel(dir string) (Model, error) {
	m := Model{Dir: dir, Complete: true}
	err := readJSON(filepath.Join(dir, hub.Reserved, manifestFile), &m.Manifest)
	if errors.Is(err, fs.ErrNotExist) {
		m.Complete = false
		err = readJSON(filepath.Join(dir, hub.Reserved, pullFile), &m.Manifest)
	}
	if err != nil {
		return Model{}, err
	}
	if err := m.check(); err != nil {
		return Model{}, fmt.Errorf("%s: %w; remove the folder and pull the model again", filepath.Join(dir, hub.Reserved), err)
	}
	// What was checked is only believed of the files that there are now.
	var c Checked
	if readJSON(filepath.Join(dir, hub.Reserved, verifiedFile), &c) == nil && c.Digest == Digest(m.Files) {
		m.Checked = c
	}
	return m, nil
}

// check refuses a manifest that could lead out of the folder, or is of another
// version.
func (m *Manifest) check() error {
	if m.Version != manifestVersion {
		return fmt.Errorf("its manifest has version %d, this program reads %d", m.Version, manifestVersion)
	}
	if err := hub.CheckRepo(m.Repo); err != nil {
		return err
	}
	for _, f := range m.Files {
		if err := hub.CheckPath(f.Path); err != nil {
			return err
		}
	}
	return nil
}

func readJSON(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%s: %w; remove the folder and pull the model again", path, err)
	}
	return nil
}

// writeJSON writes a file below hub.Reserved that is there wholly or not at all.
func writeJSON(root *os.Root, name string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	name = filepath.Join(hub.Reserved, name)
	tmp := fmt.Sprintf("%s.%d", name, os.Getpid())
	f, err := root.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(append(b, '\n'))
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = root.Rename(tmp, name)
	}
	if err != nil {
		return errors.Join(err, root.Remove(tmp))
	}
	return nil
}
