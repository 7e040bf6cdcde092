package python

import (
	"archive/zip"
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"github.com/tetratelabs/wazero/experimental/sysfs"
)

// The guest of the full image reads its library from one archive. matplotlib
// wants to read its own data as files, which the archive holds in another; it
// looks for them where they would lie in the outer one.
const (
	libraryPath = "usr/local/lib"
	libraryFile = "python315.zip"
	figuresPath = libraryPath + "/" + libraryFile + "/matplotlib/mpl-data"
	figuresZip  = "matplotlib/mpl-data.zip" // in the archive
)

// unpackLibrary writes the library to its folder in dir.
func (im image) unpackLibrary(z *zip.ReadCloser, dir string) error {
	archive, err := readPinned(z, im.library)
	if err != nil {
		return err
	}
	lib := filepath.Join(dir, libraryDir)
	if err := os.Mkdir(lib, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(lib, libraryFile), archive, 0o600); err != nil {
		return err
	}
	inner, err := figures(archive)
	if err != nil {
		return fmt.Errorf("%s: %w", im.library.path, err)
	}
	return os.CopyFS(filepath.Join(dir, figuresDir), inner)
}

// figures opens the inner archive, which is small.
func figures(archive []byte) (*zip.Reader, error) {
	outer, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		return nil, err
	}
	f, err := outer.Open(figuresZip)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var inner bytes.Buffer
	if _, err := inner.ReadFrom(f); err != nil {
		return nil, err
	}
	return zip.NewReader(bytes.NewReader(inner.Bytes()), int64(inner.Len()))
}

// libraryMounts are the mounts of the library that lies in dir, if one does.
func (im image) libraryMounts(dir string) []mount {
	if im.library.path == "" {
		return nil
	}
	folder := func(path, name string) mount {
		return mount{path: path, fs: &sysfs.AdaptFS{FS: os.DirFS(filepath.Join(dir, name))}, readOnly: true}
	}
	return []mount{folder(figuresPath, figuresDir), folder(libraryPath, libraryDir)}
}
