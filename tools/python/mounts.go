package python

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"chorale/tools/python/internal/scratch"
)

// Mount is a folder of the host that the code sees as /mnt/NAME, with what is
// in it now and will be. Its links are not followed, wherever they lead.
type Mount struct {
	Name  string // letters, digits, spaces and ._-; not "data"
	Dir   string // on the host
	Write bool   // whether the code may change what is in it; it may add as much as /mnt/data may hold
}

const mountPath = "/mnt"

var mountName = regexp.MustCompile(`^[\pL\pN_-][\pL\pN ._-]{0,99}$`)

// CheckMounts refuses names that no folder can have, or two.
func CheckMounts(mounts []Mount) error {
	for i, m := range mounts {
		same := func(n Mount) bool { return strings.EqualFold(n.Name, m.Name) }
		switch {
		case !mountName.MatchString(m.Name):
			return fmt.Errorf("mount %s: the name %q would be no plain folder below %s", m.Dir, m.Name, mountPath)
		case path.Join(mountPath, m.Name) == dataPath, slices.ContainsFunc(mounts[:i], same):
			return fmt.Errorf("mount %s: there is another %s", m.Dir, path.Join(mountPath, m.Name))
		}
	}
	return nil
}

// describe tells the model of the mounts.
func describe(mounts []Mount) string {
	if len(mounts) == 0 {
		return ""
	}
	text := "\n\nFolders of the user that the code can reach, besides /mnt/data:"
	for _, m := range mounts {
		text += "\n- " + path.Join(mountPath, m.Name)
		if !m.Write {
			text += " (read-only)"
		}
	}
	return text
}

// folders are those of the host that an interpreter has.
type folders []folder

type folder struct {
	path     string // of the guest, without the first slash
	fs       *scratch.FS
	readOnly bool
}

// folders opens those of the session; that behind /mnt/data comes first.
func (s *Session) folders() (f folders, err error) {
	o := s.options
	all := append([]Mount{{Name: path.Base(dataPath), Dir: s.dir, Write: true}}, o.Mounts...)
	for i, m := range all {
		quota, known := s.quotas[m.Name]
		switch {
		case known: // what an earlier interpreter added counts
		case m.Write:
			quota = scratch.Limits{Bytes: o.Disk, Files: o.Files, Handles: o.Handles, Added: i > 0}
		default:
			quota = scratch.Limits{Handles: o.Handles}
		}
		opened, err := scratch.Open(m.Dir, quota)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("mount %s: %w", m.Dir, err), f.close())
		}
		s.quotas[m.Name] = opened.Limits()
		f = append(f, folder{path.Join(mountPath, m.Name)[1:], opened, !m.Write})
	}
	return f, nil
}

func (f folders) mounts() []mount {
	var out []mount
	for _, d := range f {
		out = append(out, mount{path: d.path, fs: d.fs, readOnly: d.readOnly})
	}
	return out
}

func (f folders) close() error {
	var errs []error
	for _, d := range f {
		errs = append(errs, d.fs.Close())
	}
	return errors.Join(errs...)
}
