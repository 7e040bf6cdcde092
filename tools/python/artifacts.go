package python

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"chorale/tools"
)

// listing is the regular files of a folder: slash-separated names and what
// tells one state of a file from another.
type listing map[string]fs.FileInfo

// maxListed is the longest name of a file that is looked at: a longer one can
// be no artifact, since the host could not open it by its path.
const maxListed = 1024

// list follows no links. What can't be read or vanishes meanwhile is left
// out, and so is what a guest has nested deeper than a path can say.
func list(dir string) (listing, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	l := listing{}
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil && name == "." {
			return err
		}
		if len(name) > maxListed {
			return fs.SkipDir
		}
		if err != nil || !d.Type().IsRegular() {
			return nil
		}
		if info, err := root.Lstat(filepath.FromSlash(name)); err == nil {
			l[name] = info
		}
		return nil
	})
	return l, err
}

// changed returns the files that are new or different since before, by name.
func (l listing) changed(before listing, dir string) []tools.Artifact {
	var out []tools.Artifact
	for name, info := range l {
		old, ok := before[name]
		if ok && old.Size() == info.Size() && old.ModTime().Equal(info.ModTime()) {
			continue
		}
		out = append(out, tools.Artifact{
			Name: path.Join(dataPath, name),
			Path: filepath.Join(dir, filepath.FromSlash(name)),
			Size: info.Size(),
		})
	}
	slices.SortFunc(out, func(a, b tools.Artifact) int { return strings.Compare(a.Name, b.Name) })
	return out
}
