package python

import (
	"io/fs"
	"path"

	"github.com/tetratelabs/wazero/experimental/sys"
	wsys "github.com/tetratelabs/wazero/sys"
)

// The guest's paths.
const (
	dataPath    = "/mnt/data"
	controlPath = "dev/cell" // in the root; the prelude opens it before any cell runs
)

// root is the guest's "/": folders that lead to what is mounted, nothing that
// could be written, and the control file, once.
type root struct {
	sys.UnimplementedFS
	control *control
}

var rootFolders = map[string][]string{
	".":        {"dev", "mnt"},
	"dev":      {},
	"mnt":      {"data"},
	"mnt/data": {}, // the mount lies over it
}

// clean is the path as rootFolders has it.
func clean(name string) string {
	if name = path.Clean("/" + name)[1:]; name != "" {
		return name
	}
	return "."
}

// OpenFile implements sys.FS.
func (r *root) OpenFile(name string, flag sys.Oflag, _ fs.FileMode) (sys.File, sys.Errno) {
	name = clean(name)
	if name == controlPath && !r.control.opened {
		r.control.opened = true
		return r.control, 0
	}
	names, ok := rootFolders[name]
	switch {
	case !ok && flag&sys.O_CREAT != 0:
		return nil, sys.EROFS
	case !ok:
		return nil, sys.ENOENT
	case flag&(sys.O_WRONLY|sys.O_RDWR) != 0:
		return nil, sys.EISDIR
	}
	return &folder{names: names}, 0
}

// Stat implements sys.FS.
func (r *root) Stat(name string) (wsys.Stat_t, sys.Errno) {
	if _, ok := rootFolders[clean(name)]; !ok {
		return wsys.Stat_t{}, sys.ENOENT
	}
	return folderStat, 0
}

// Lstat implements sys.FS.
func (r *root) Lstat(name string) (wsys.Stat_t, sys.Errno) { return r.Stat(name) }

// Mkdir implements sys.FS.
func (r *root) Mkdir(string, fs.FileMode) sys.Errno { return sys.EROFS }

var folderStat = wsys.Stat_t{Mode: fs.ModeDir | 0o500, Nlink: 1}

// folder is an open folder of the root.
type folder struct {
	sys.UnimplementedFile
	names []string // not yet listed
}

func (f *folder) IsDir() (bool, sys.Errno) { return true, 0 }

func (f *folder) Stat() (wsys.Stat_t, sys.Errno) { return folderStat, 0 }

func (f *folder) Read([]byte) (int, sys.Errno) { return 0, sys.EISDIR }

func (f *folder) Readdir(n int) ([]sys.Dirent, sys.Errno) {
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
