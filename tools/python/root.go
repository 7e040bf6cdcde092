package python

import (
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/tetratelabs/wazero/experimental/sys"
	wsys "github.com/tetratelabs/wazero/sys"
)

// The guest's paths.
const (
	dataPath    = "/mnt/data"
	controlPath = "dev/cell" // in the root; the prelude opens it before any cell runs
)

// root is the guest's "/": folders that lead to what is mounted, nothing that
// could be written, and the control file, once. It is the guest's only file
// system, so that a guest whose memory was saved finds the same descriptor in
// its next life. No link is anywhere in it, so a path means what its text says.
type root struct {
	sys.UnimplementedFS
	control *control
	mounts  []mount // an inner one before the one that it lies in
}

type mount struct {
	path     string // without the first slash
	fs       sys.FS
	readOnly bool
}

// clean is a path as the mounts have it.
func clean(name string) string {
	if name = path.Clean("/" + name)[1:]; name != "" {
		return name
	}
	return "."
}

// find returns the mount that the path is in and its path in there. Every use of
// a path begins here.
func (r *root) find(name string) (*mount, string) {
	r.control.stop.check()
	slash := ""
	if strings.HasSuffix(name, "/") {
		slash = "/"
	}
	name = clean(name)
	for i := range r.mounts {
		m := &r.mounts[i]
		if name == m.path {
			return m, "."
		}
		if rest, ok := strings.CutPrefix(name, m.path+"/"); ok {
			return m, rest + slash
		}
	}
	return nil, name
}

// names lists a folder of the root's own; false if there is none of that path.
func (r *root) names(folder string) ([]string, bool) {
	var names []string
	for _, p := range append([]string{controlPath}, r.paths()...) {
		rest, ok := p, folder == "."
		if !ok {
			rest, ok = strings.CutPrefix(p, folder+"/")
		}
		if !ok {
			continue
		}
		first, _, inner := strings.Cut(rest, "/")
		if p == controlPath && !inner {
			first = "" // the folder is there, and looks empty
		}
		if !slices.Contains(names, first) {
			names = append(names, first)
		}
	}
	listed := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == "" })
	slices.Sort(listed)
	return listed, len(names) > 0
}

func (r *root) paths() []string {
	var all []string
	for _, m := range r.mounts {
		all = append(all, m.path)
	}
	return all
}

// OpenFile implements sys.FS.
func (r *root) OpenFile(name string, flag sys.Oflag, perm fs.FileMode) (sys.File, sys.Errno) {
	m, name := r.find(name)
	writes := flag&(sys.O_WRONLY|sys.O_RDWR|sys.O_CREAT|sys.O_TRUNC) != 0
	switch {
	case m != nil && m.readOnly && writes:
		return nil, sys.EROFS
	case m != nil:
		f, errno := m.fs.OpenFile(name, flag, perm)
		if errno != 0 {
			return nil, errno
		}
		return &guarded{f, r.control.stop}, 0
	case name == controlPath && !r.control.opened:
		r.control.opened = true
		return r.control, 0
	}
	names, ok := r.names(name)
	switch {
	case !ok && flag&sys.O_CREAT != 0:
		return nil, sys.EROFS
	case !ok:
		return nil, sys.ENOENT
	case flag&(sys.O_WRONLY|sys.O_RDWR) != 0:
		return nil, sys.EISDIR
	}
	return &rootFolder{names: names}, 0
}

// Stat implements sys.FS.
func (r *root) Stat(name string) (wsys.Stat_t, sys.Errno) {
	m, name := r.find(name)
	if m != nil {
		return m.fs.Stat(name)
	}
	if _, ok := r.names(name); !ok {
		return wsys.Stat_t{}, sys.ENOENT
	}
	return folderStat, 0
}

// Lstat implements sys.FS.
func (r *root) Lstat(name string) (wsys.Stat_t, sys.Errno) { return r.Stat(name) }

// change runs an action on the mount of a path that may be written.
func (r *root) change(name string, action func(fs sys.FS, name string) sys.Errno) sys.Errno {
	m, name := r.find(name)
	if m == nil || m.readOnly {
		return sys.EROFS
	}
	return action(m.fs, name)
}

// Mkdir implements sys.FS.
func (r *root) Mkdir(name string, perm fs.FileMode) sys.Errno {
	return r.change(name, func(f sys.FS, name string) sys.Errno { return f.Mkdir(name, perm) })
}

// Rmdir implements sys.FS.
func (r *root) Rmdir(name string) sys.Errno { return r.change(name, sys.FS.Rmdir) }

// Unlink implements sys.FS.
func (r *root) Unlink(name string) sys.Errno { return r.change(name, sys.FS.Unlink) }

// Utimens implements sys.FS.
func (r *root) Utimens(name string, atim, mtim int64) sys.Errno {
	return r.change(name, func(f sys.FS, name string) sys.Errno { return f.Utimens(name, atim, mtim) })
}

// Rename implements sys.FS. It stays within one mount.
func (r *root) Rename(from, to string) sys.Errno {
	other, target := r.find(to)
	return r.change(from, func(f sys.FS, name string) sys.Errno {
		if other == nil || other.fs != f {
			return sys.EPERM
		}
		return f.Rename(name, target)
	})
}

// Link implements sys.FS: there are none.
func (r *root) Link(_, _ string) sys.Errno { return sys.EPERM }

// Symlink implements sys.FS: there are none.
func (r *root) Symlink(_, _ string) sys.Errno { return sys.EPERM }

// Readlink implements sys.FS: nothing is a link.
func (r *root) Readlink(name string) (string, sys.Errno) {
	if _, errno := r.Stat(name); errno != 0 {
		return "", errno
	}
	return "", sys.EINVAL
}

var folderStat = wsys.Stat_t{Mode: fs.ModeDir | 0o500, Nlink: 1}

// rootFolder is an open folder of the root.
type rootFolder struct {
	sys.UnimplementedFile
	names []string // not yet listed
}

func (f *rootFolder) IsDir() (bool, sys.Errno) { return true, 0 }

func (f *rootFolder) Stat() (wsys.Stat_t, sys.Errno) { return folderStat, 0 }

func (f *rootFolder) Read([]byte) (int, sys.Errno) { return 0, sys.EISDIR }

func (f *rootFolder) Readdir(n int) ([]sys.Dirent, sys.Errno) {
	if n <= 0 || n > len(f.names) {
		n = len(f.names)
	}
	out := make([]sys.Dirent, n)
	for i, name := range f.names[:n] {
		out[i] = sys.Dirent{Name: name, Type: fs.ModeDir}
	}
	f.names = f.names[n:]
	return out, 0
}
