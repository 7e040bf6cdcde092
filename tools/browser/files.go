package browser

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"os"
	"path"
	"path/filepath"
	"strings"

	"chorale/internal/atomicfile"
	"chorale/tools"
	"chorale/tools/browser/internal/chrome"
)

func (a *actions) screenshot() (string, error) {
	whole, err := a.args.flag("whole")
	if err != nil {
		return "", err
	}
	return a.keep("screenshot", ".png", func(p *chrome.Live) ([]byte, error) { return p.Screenshot(a.ctx, whole) })
}

func (a *actions) save() (string, error) {
	return a.keep("page", ".pdf", func(p *chrome.Live) ([]byte, error) { return p.PDF(a.ctx) })
}

// keep makes a file for the user.
func (a *actions) keep(name, ext string, make func(*chrome.Live) ([]byte, error)) (string, error) {
	page, err := a.web.current()
	if err != nil {
		return "", err
	}
	if a.options.Dir == "" {
		return "", usageError("There is no folder to keep files in.")
	}
	content, err := make(page)
	if err != nil {
		return "", a.trouble("Error keeping the page", err)
	}
	for n := 1; ; n++ {
		file := fmt.Sprintf("%s-%d%s", name, n, ext)
		at := filepath.Join(a.options.Dir, file)
		if _, err := os.Lstat(at); err == nil {
			continue
		}
		if err := atomicfile.Write(at, content, 0o600); err != nil {
			return "", fatalError{fmt.Errorf("keep %s: %w", file, err)}
		}
		a.artifacts = append(a.artifacts, tools.Artifact{Name: file, Path: at, Size: int64(len(content))})
		return fmt.Sprintf("Kept for the user: %s, %s.", file, count(len(content), "byte")), nil
	}
}

const (
	maxUploads = 10
	uploadCap  = int64(16 << 20) // bytes of all files of one call, where MaxUpload allows as many
)

func (a *actions) upload() (string, error) {
	id, words, err := a.ref()
	if err != nil {
		return "", err
	}
	paths, err := a.args.texts("paths")
	if err != nil {
		return "", err
	}
	if len(paths) == 0 || len(paths) > maxUploads {
		return "", usage("Give 1 to %d files.", maxUploads)
	}
	var files []chrome.File
	left := min(uploadCap, a.options.MaxUpload)
	for _, name := range paths {
		content, err := a.readUpload(name, left)
		if err != nil {
			return "", usage("Error uploading `%s`: %s", shorten(name), err)
		}
		left -= int64(len(content))
		base := path.Base(filepath.ToSlash(name))
		files = append(files, chrome.File{Name: base, Type: mime.TypeByExtension(path.Ext(base)), Content: content})
	}
	return a.do("Gave "+count(len(files), "file")+" to "+words, "uploading to "+words, func(p *chrome.Live) (chrome.Outcome, error) {
		return p.Upload(a.ctx, id, files, a.web.limits())
	})
}

// mounted is where the model knows the files of the run: tools/python has them
// there.
const mounted = "/mnt/data/"

// readUpload reads a file of the run's or of the folders that may be uploaded
// from. Links that lead out of them are refused.
func (a *actions) readUpload(name string, limit int64) ([]byte, error) {
	inside, ours := strings.CutPrefix(name, mounted)
	dirs := []string{a.options.Dir}
	if !ours {
		dirs = append(dirs, a.options.Uploads...)
	}
	err := errors.New("it is none of the files that may be uploaded: those of the run, and of the folders that the task names")
	for _, dir := range dirs {
		content, e := readBelow(dir, inside, limit)
		if e == nil {
			return content, nil
		}
		if !errors.Is(e, os.ErrNotExist) {
			err = e
		}
	}
	return nil, err
}

// readBelow reads a file below a folder.
func readBelow(dir, name string, limit int64) ([]byte, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, os.ErrNotExist
	}
	defer root.Close()
	f, err := root.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("it is no file")
	case info.Size() > limit:
		return nil, fmt.Errorf("it is too large: %d bytes are left of what can be uploaded at once", limit)
	}
	return io.ReadAll(io.LimitReader(f, limit))
}
