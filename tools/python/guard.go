package python

import (
	"io"

	"github.com/tetratelabs/wazero/experimental/sys"
)

// What the guest asks of its host is no loop turn of its own, and may take long:
// to write a file of 200 MB, or a small one again and again. So a guest is also
// ended when it asks for something, and what is large is done piece by piece.

// askPiece is how many bytes are read or written between two looks at the flag.
const askPiece = 1 << 20

// check unwinds the guest if it is to end.
func (s *stopFlag) check() {
	if s.set.Load() {
		leave()
	}
}

// guarded is a file of a guest that can be ended.
type guarded struct {
	sys.File
	stop *stopFlag
}

// inPieces repeats an action until all is done, or less than was asked for.
func (g *guarded) inPieces(p []byte, action func(p []byte, done int) (int, sys.Errno)) (int, sys.Errno) {
	done := 0
	for {
		g.stop.check()
		piece := p[done:min(len(p), done+askPiece)]
		n, errno := action(piece, done)
		done += n
		if errno != 0 && done > 0 {
			errno = 0 // the next call will meet it again
		}
		if errno != 0 || n < len(piece) || done == len(p) {
			return done, errno
		}
	}
}

// Read implements sys.File.
func (g *guarded) Read(p []byte) (int, sys.Errno) {
	return g.inPieces(p, func(p []byte, _ int) (int, sys.Errno) { return g.File.Read(p) })
}

// Pread implements sys.File.
func (g *guarded) Pread(p []byte, off int64) (int, sys.Errno) {
	return g.inPieces(p, func(p []byte, done int) (int, sys.Errno) { return g.File.Pread(p, off+int64(done)) })
}

// Write implements sys.File.
func (g *guarded) Write(p []byte) (int, sys.Errno) {
	return g.inPieces(p, func(p []byte, _ int) (int, sys.Errno) { return g.File.Write(p) })
}

// Pwrite implements sys.File.
func (g *guarded) Pwrite(p []byte, off int64) (int, sys.Errno) {
	return g.inPieces(p, func(p []byte, done int) (int, sys.Errno) { return g.File.Pwrite(p, off+int64(done)) })
}

// Readdir implements sys.File.
func (g *guarded) Readdir(n int) ([]sys.Dirent, sys.Errno) {
	g.stop.check()
	return g.File.Readdir(n)
}

// stoppable gives a guest what it reads in small pieces.
type stoppable struct {
	io.Reader
	stop *stopFlag
}

// Read implements io.Reader.
func (s stoppable) Read(p []byte) (int, error) {
	s.stop.check()
	return s.Reader.Read(p[:min(len(p), askPiece)])
}
