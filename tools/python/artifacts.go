package python

import (
	"errors"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"chorale/tools"
)

// listing is the regular files of a folder: slash-separated names and what
// tells one state of a file from another.
type listing map[string]fs.FileInfo

// list follows no links and skips what vanishes meanwhile.
func list(dir string) (listing, error) {
	l := listing{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			var info fs.FileInfo
			if info, err = d.Info(); err == nil {
				rel, _ := filepath.Rel(dir, name) // name begins with dir
				l[filepath.ToSlash(rel)] = info
			}
		}
		if errors.Is(err, fs.ErrNotExist) && name != dir {
			return nil
		}
		return err
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
