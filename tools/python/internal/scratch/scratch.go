// Package scratch gives a guest one folder of the host to read and write, and
// nothing else. It implements wazero's file system interface on os.Root, which
// opens each step of a path without following links and resolves those itself,
// so that no path and no link, made by whom and when ever, leads out.
//
// It refuses links of every kind, anything that is neither a regular file nor
// a folder, and whatever would go over the quotas of bytes, files and open
// handles. What it does not implement is refused by the embedded defaults.
package scratch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tetratelabs/wazero/experimental/sys"
	wsys "github.com/tetratelabs/wazero/sys"
)

// Limits are the quotas of a folder. Zero values permit nothing.
type Limits struct {
	Bytes   int64 // sum of the files' sizes; holes count
	Files   int   // files and folders
	Handles int   // open at once
	Added   bool  // whether Bytes and Files are for what is added to what is there already
}

// FS is a folder under quota. It is for one guest: calls must not overlap, but
// for Refused.
type FS struct {
	sys.UnimplementedFS
	root    *os.Root
	limits  Limits
	bytes   int64
	files   int
	open    []*file
	refused atomic.Pointer[string]
}

// Open takes what is in the folder already into account. Where nothing may be
// written, it does not look.
func Open(dir string, l Limits) (*FS, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	s := &FS{root: root, limits: l}
	if l.Bytes <= 0 && l.Files <= 0 {
		return s, nil
	}
	err = fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		info, err := root.Lstat(filepath.FromSlash(name))
		if err != nil {
			return err
		}
		s.files++
		if info.Mode().IsRegular() {
			s.bytes += info.Size()
		}
		return nil
	})
	if err != nil {
		root.Close()
		return nil, fmt.Errorf("scratch folder %s: %w", dir, err)
	}
	if l.Added {
		s.limits.Bytes, s.limits.Files, s.limits.Added = l.Bytes+s.bytes, l.Files+s.files, false
	}
	return s, nil
}

// Limits are the quotas of all that the folder holds. What was there when it was
// opened is in them, so that they are also those of a guest to follow.
func (s *FS) Limits() Limits { return s.limits }

// Close ends the use of the folder. Open files are closed by the guest's end.
func (s *FS) Close() error { return s.root.Close() }

// Refused says in a sentence which quota was met since the last call, if any.
// The guest itself sees only an I/O error.
func (s *FS) Refused() string {
	if r := s.refused.Swap(nil); r != nil {
		return *r
	}
	return ""
}

// over notes a met quota. wazero has no ENOSPC.
func (s *FS) over(format string, args ...any) sys.Errno {
	text := fmt.Sprintf(format, args...)
	s.refused.Store(&text)
	return sys.EIO
}

// charge takes bytes from the quota; negative ones give back.
func (s *FS) charge(n int64) sys.Errno {
	if n > 0 && (s.bytes > s.limits.Bytes || n > s.limits.Bytes-s.bytes) {
		return s.over("the folder is full: its files may hold %d bytes in all", s.limits.Bytes)
	}
	s.bytes += n
	return 0
}

func (s *FS) chargeFile() sys.Errno {
	if s.files >= s.limits.Files {
		return s.over("the folder is full: it may hold %d files", s.limits.Files)
	}
	s.files++
	return 0
}

// maxPath keeps what the guest names well within what the host can.
const maxPath = 1024

// local turns a guest's path into one relative to the root.
func local(path string) (string, sys.Errno) {
	path = strings.Trim(path, "/")
	if path == "" {
		return ".", 0
	}
	if len(path) > maxPath {
		return "", sys.ENAMETOOLONG
	}
	if strings.ContainsRune(path, 0) {
		return "", sys.EINVAL
	}
	path = filepath.FromSlash(path)
	if !filepath.IsLocal(path) {
		return "", sys.EPERM
	}
	return path, 0
}

// lookup returns what is at the path, if it is of a kind that the guest may see.
func (s *FS) lookup(path string) (string, fs.FileInfo, sys.Errno) {
	name, errno := local(path)
	if errno != 0 {
		return "", nil, errno
	}
	info, err := s.root.Lstat(name)
	if err != nil {
		return name, nil, toErrno(err)
	}
	if !info.IsDir() && !info.Mode().IsRegular() {
		return name, info, sys.EPERM
	}
	return name, info, 0
}

// OpenFile implements sys.FS.
func (s *FS) OpenFile(path string, flag sys.Oflag, perm fs.FileMode) (sys.File, sys.Errno) {
	name, info, errno := s.lookup(path)
	if errno == sys.ENOENT && flag&sys.O_CREAT != 0 && !strings.HasSuffix(path, "/") {
		return s.create(name, flag)
	}
	if errno != 0 {
		return nil, errno
	}
	if flag&(sys.O_CREAT|sys.O_EXCL) == sys.O_CREAT|sys.O_EXCL {
		return nil, sys.EEXIST
	}
	if info.IsDir() {
		if flag&(sys.O_WRONLY|sys.O_RDWR) != 0 {
			return nil, sys.EISDIR
		}
		return s.handle(name, flag, os.O_RDONLY, info)
	}
	if flag&sys.O_DIRECTORY != 0 || strings.HasSuffix(path, "/") {
		return nil, sys.ENOTDIR
	}
	f, errno := s.handle(name, flag, access(flag), info)
	if errno == 0 && flag&sys.O_TRUNC != 0 {
		if errno = f.Truncate(0); errno != 0 {
			f.Close()
			return nil, errno
		}
	}
	return f, errno
}

func (s *FS) create(name string, flag sys.Oflag) (sys.File, sys.Errno) {
	if errno := s.chargeFile(); errno != 0 {
		return nil, errno
	}
	f, errno := s.handle(name, flag, access(flag)|os.O_CREATE|os.O_EXCL, nil)
	if errno != 0 {
		s.files--
	}
	return f, errno
}

// access keeps of the flags what the host's open should see: appending and
// truncating are done here, under the quota.
func access(flag sys.Oflag) int {
	switch {
	case flag&sys.O_RDWR != 0:
		return os.O_RDWR
	case flag&sys.O_WRONLY != 0:
		return os.O_WRONLY
	}
	return os.O_RDONLY
}

// handle opens the file; want is what lookup saw there, nil for a new file.
func (s *FS) handle(name string, flag sys.Oflag, mode int, want fs.FileInfo) (sys.File, sys.Errno) {
	if len(s.open) >= s.limits.Handles {
		return nil, s.over("%d files are open, no more may be", len(s.open))
	}
	f, err := s.root.OpenFile(name, mode, 0o600)
	if err != nil {
		return nil, toErrno(err)
	}
	info, err := f.Stat()
	if err == nil && want != nil && !os.SameFile(info, want) {
		err = fs.ErrPermission // it was exchanged behind our back
	}
	if err != nil {
		f.Close()
		return nil, toErrno(err)
	}
	h := s.adapt(name, f, info, flag&sys.O_APPEND != 0)
	s.open = append(s.open, h)
	return h, 0
}

// Lstat implements sys.FS.
func (s *FS) Lstat(path string) (wsys.Stat_t, sys.Errno) { return s.Stat(path) }

// Stat implements sys.FS. There are no links to follow.
func (s *FS) Stat(path string) (wsys.Stat_t, sys.Errno) {
	_, info, errno := s.lookup(path)
	if errno != 0 {
		return wsys.Stat_t{}, errno
	}
	return wsys.NewStat_t(info), 0
}

// Mkdir implements sys.FS.
func (s *FS) Mkdir(path string, _ fs.FileMode) sys.Errno {
	name, errno := local(path)
	if errno != 0 {
		return errno
	}
	if errno := s.chargeFile(); errno != 0 {
		return errno
	}
	if err := s.root.Mkdir(name, 0o700); err != nil {
		s.files--
		return toErrno(err)
	}
	return 0
}

// Rename implements sys.FS.
func (s *FS) Rename(from, to string) sys.Errno {
	source, info, errno := s.lookup(from)
	if errno != 0 {
		return errno
	}
	target, old, errno := s.lookup(to)
	if errno != 0 && errno != sys.ENOENT {
		return errno
	}
	if old != nil && os.SameFile(info, old) {
		return 0
	}
	if err := s.root.Rename(source, target); err != nil {
		return toErrno(err)
	}
	if old != nil {
		s.gone(old)
	}
	return 0
}

// Rmdir implements sys.FS.
func (s *FS) Rmdir(path string) sys.Errno { return s.remove(path, true) }

// Unlink implements sys.FS.
func (s *FS) Unlink(path string) sys.Errno { return s.remove(path, false) }

func (s *FS) remove(path string, dir bool) sys.Errno {
	name, info, errno := s.lookup(path)
	switch {
	case errno != 0:
		return errno
	case name == ".":
		return sys.EPERM
	case dir && !info.IsDir():
		return sys.ENOTDIR
	case !dir && info.IsDir():
		return sys.EISDIR
	}
	if err := s.root.Remove(name); err != nil {
		return toErrno(err)
	}
	s.gone(info)
	return 0
}

// gone gives a removed entry's share back: that of a file which is still open
// when its last handle is closed.
func (s *FS) gone(info fs.FileInfo) {
	s.files--
	if !info.Mode().IsRegular() {
		return
	}
	for _, h := range s.open {
		if os.SameFile(h.info, info) {
			h.gone = true
			return
		}
	}
	s.bytes -= info.Size()
}

// Link implements sys.FS: there are none.
func (s *FS) Link(_, _ string) sys.Errno { return sys.EPERM }

// Symlink implements sys.FS: there are none.
func (s *FS) Symlink(_, _ string) sys.Errno { return sys.EPERM }

// Readlink implements sys.FS: nothing here is a link.
func (s *FS) Readlink(path string) (string, sys.Errno) {
	if _, _, errno := s.lookup(path); errno != 0 {
		return "", errno
	}
	return "", sys.EINVAL
}

// Utimens implements sys.FS.
func (s *FS) Utimens(path string, atim, mtim int64) sys.Errno {
	name, _, errno := s.lookup(path)
	if errno != 0 {
		return errno
	}
	return toErrno(s.root.Chtimes(name, stamp(atim), stamp(mtim)))
}

// stamp is the time for Chtimes, which leaves a zero one as it is.
func stamp(nanos int64) time.Time {
	if nanos == sys.UTIME_OMIT {
		return time.Time{}
	}
	return time.Unix(0, nanos)
}

func toErrno(err error) sys.Errno {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, fs.ErrNotExist):
		return sys.ENOENT
	case errors.Is(err, fs.ErrExist):
		if errno := sys.UnwrapOSError(err); errno == sys.ENOTEMPTY {
			return errno
		}
		return sys.EEXIST
	case errors.Is(err, fs.ErrPermission):
		return sys.EPERM
	}
	return sys.UnwrapOSError(err)
}
