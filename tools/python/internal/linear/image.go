package linear

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// Image is a saved memory, a file that must not change while it is in use.
type Image struct {
	file *os.File
	size int64
}

// chunk is the piece of memory that Save looks at: a page of most systems.
const chunk = 4096

// Save writes what the guest has to a new file. Chunks of zeros become holes.
func (m *Memory) Save(path string) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	memory := m.region[:m.Size()]
	if err := f.Truncate(int64(len(memory))); err != nil {
		return err
	}
	var zeros [chunk]byte
	for at := 0; at < len(memory); at += chunk {
		piece := memory[at:min(at+chunk, len(memory))]
		if bytes.Equal(piece, zeros[:len(piece)]) {
			continue
		}
		if _, err := f.WriteAt(piece, int64(at)); err != nil {
			return err
		}
	}
	return nil
}

// Open opens an image that Save has written.
func Open(path string) (*Image, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && (!info.Mode().IsRegular() || info.Size() == 0 || info.Size()%Page != 0) {
		err = fmt.Errorf("%s is no memory image", path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &Image{f, info.Size()}, nil
}

// Size is that of the saved memory in bytes.
func (im *Image) Size() int64 { return im.size }

// Close ends the use of the image. Memories that began with it stay as they are.
func (im *Image) Close() error { return im.file.Close() }

// read copies the image to a region the slow way.
func (im *Image) read(region []byte) error {
	_, err := im.file.ReadAt(region[:im.size], 0)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// copyTo makes the beginning of the region a private copy of the image.
func (im *Image) copyTo(region []byte) error {
	if im.size > int64(len(region)) {
		return fmt.Errorf("a memory of %d bytes can't hold an image of %d", len(region), im.size)
	}
	if err := im.place(region); err != nil {
		return fmt.Errorf("copy the memory image: %w", err)
	}
	return nil
}
