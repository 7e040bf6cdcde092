package scratch

import (
	"io"
	"io/fs"
	"math"
	"os"
	"slices"

	"github.com/tetratelabs/wazero/experimental/sys"
	"github.com/tetratelabs/wazero/experimental/sysfs"
)

// file is an open file or folder of the scratch folder. Reading is wazero's
// own; whatever changes a file is done here, under the quota.
type file struct {
	sys.File
	fs     *FS
	f      *os.File
	info   fs.FileInfo // as it was opened: says which file it is
	append bool
	gone   bool // removed; its bytes are given back when it is closed
	closed bool
}

// opened is the file system that wazero adapts a file from: the file itself.
// It is asked again to rewind a folder.
type opened struct {
	f     *os.File
	given bool
	again func() (*os.File, error)
}

func (o *opened) Open(string) (fs.File, error) {
	if o.given {
		return o.again()
	}
	o.given = true
	return o.f, nil
}

// adapt makes f, already open under the name, a file for the guest.
func (s *FS) adapt(name string, f *os.File, info fs.FileInfo, append bool) *file {
	again := func() (*os.File, error) { return s.root.OpenFile(name, os.O_RDONLY, 0) }
	base, _ := (&sysfs.AdaptFS{FS: &opened{f: f, again: again}}).OpenFile(".", sys.O_RDONLY, 0) // opened does not fail
	return &file{File: base, fs: s, f: f, info: info, append: append}
}

// IsAppend implements sys.File.
func (h *file) IsAppend() bool { return h.append }

// SetAppend implements sys.File.
func (h *file) SetAppend(on bool) sys.Errno {
	h.append = on
	return 0
}

// Write implements sys.File.
func (h *file) Write(p []byte) (int, sys.Errno) {
	whence := io.SeekCurrent
	if h.append {
		whence = io.SeekEnd
	}
	at, errno := h.Seek(0, whence)
	if errno != 0 {
		return 0, errno
	}
	n, errno := h.Pwrite(p, at)
	if n > 0 {
		if _, errno := h.Seek(at+int64(n), io.SeekStart); errno != 0 {
			return n, errno
		}
	}
	return n, errno
}

// Pwrite implements sys.File.
func (h *file) Pwrite(p []byte, off int64) (int, sys.Errno) {
	switch {
	case h.info.IsDir():
		return 0, sys.EISDIR
	case off < 0 || off > math.MaxInt64-int64(len(p)):
		return 0, sys.EINVAL
	case len(p) == 0:
		return 0, 0
	}
	size, errno := h.size()
	if errno != 0 {
		return 0, errno
	}
	grow := max(0, off+int64(len(p))-size)
	if errno := h.fs.charge(grow); errno != 0 {
		return 0, errno
	}
	n, err := h.f.WriteAt(p, off)
	if err != nil {
		now, _ := h.size()
		h.fs.bytes -= grow - max(0, now-size)
	}
	return n, toErrno(err)
}

// Truncate implements sys.File.
func (h *file) Truncate(size int64) sys.Errno {
	if h.info.IsDir() {
		return sys.EISDIR
	}
	if size < 0 {
		return sys.EINVAL
	}
	old, errno := h.size()
	if errno != 0 {
		return errno
	}
	if errno := h.fs.charge(size - old); errno != 0 {
		return errno
	}
	if err := h.f.Truncate(size); err != nil {
		h.fs.bytes -= size - old
		return toErrno(err)
	}
	return 0
}

func (h *file) size() (int64, sys.Errno) {
	info, err := h.f.Stat()
	if err != nil {
		return 0, toErrno(err)
	}
	return info.Size(), 0
}

// Sync implements sys.File. What a guest writes need not outlive a crash of
// the host's kernel.
func (h *file) Sync() sys.Errno { return 0 }

// Datasync implements sys.File.
func (h *file) Datasync() sys.Errno { return 0 }

// Close implements sys.File.
func (h *file) Close() sys.Errno {
	if h.closed {
		return 0
	}
	h.closed = true
	h.fs.open = slices.DeleteFunc(h.fs.open, func(o *file) bool { return o == h })
	if h.gone {
		h.giveBack()
	}
	return h.File.Close()
}

// giveBack returns a removed file's bytes, or leaves that to another handle.
func (h *file) giveBack() {
	for _, o := range h.fs.open {
		if os.SameFile(o.info, h.info) {
			o.gone = true
			return
		}
	}
	if size, errno := h.size(); errno == 0 {
		h.fs.bytes -= size
	}
}
