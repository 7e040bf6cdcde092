package runtime

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// list names the regular files below dir with size and hash. Links are not
// followed: what they point at is not the run's.
func list(dir string) ([]ArtifactFile, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	var out []ArtifactFile
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := root.Open(filepath.FromSlash(name))
		if err != nil {
			return err
		}
		defer f.Close()
		sum := sha256.New()
		n, err := io.Copy(sum, f)
		if err != nil {
			return err
		}
		out = append(out, ArtifactFile{Name: name, Size: n, SHA256: hex.EncodeToString(sum.Sum(nil))})
		return nil
	})
	return out, err
}
