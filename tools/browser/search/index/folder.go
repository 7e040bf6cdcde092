package index

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/url"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"chorale/tools/browser"
	"chorale/tools/browser/internal/pagetext"
)

const pdf = "application/pdf"

// kinds are the files that are read, and as what.
var kinds = map[string]string{
	".html": "text/html", ".htm": "text/html", ".xhtml": "text/html",
	".txt": "text/plain", ".text": "text/plain", ".md": "text/markdown", ".markdown": "text/markdown", ".rst": "text/plain",
	".adoc": "text/plain", ".org": "text/plain", ".csv": "text/csv", ".tsv": "text/plain", ".json": "application/json",
	".pdf": pdf, ".jsonl": "text/plain", ".yaml": "text/plain", ".yml": "text/plain", ".xml": "application/xml", ".log": "text/plain",
}

// addFiles indexes the files of the folder that are not indexed yet.
func (x *Index) addFiles(ctx context.Context) error {
	if x.root == nil {
		return nil
	}
	if !x.listed {
		if err := x.list(); err != nil {
			return err
		}
	}
	for len(x.files) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		var pages []pagetext.Page
		n := 0
		for ; n < min(batchSize, len(x.files)) && ctx.Err() == nil; n++ {
			name := x.files[n]
			d, err := x.read(name)
			if err != nil {
				continue
			}
			p, err := d.Page(ctx, x.address(name), maxMemory)
			if ctx.Err() != nil {
				break // it is read again
			}
			if err == nil { // what cannot be read is not searched
				pages = append(pages, p)
			}
		}
		if err := x.add(pages...); err != nil {
			return err
		}
		x.files = x.files[n:]
	}
	return nil
}

// list names the files. Hidden ones and links are left out.
func (x *Index) list() error {
	err := fs.WalkDir(x.root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil && name == ".":
			return err
		case err != nil:
			return nil // what cannot be read is not searched
		case name != "." && strings.HasPrefix(d.Name(), "."):
			if d.IsDir() {
				return fs.SkipDir
			}
		case d.Type().IsRegular() && kinds[strings.ToLower(path.Ext(name))] != "":
			if x.files = append(x.files, name); len(x.files) > maxFiles {
				return errors.New("the folder holds more than 20000 documents; give a smaller one")
			}
		}
		return nil
	})
	x.listed = err == nil
	slices.Sort(x.files)
	return err
}

func (x *Index) read(name string) (d browser.Document, err error) {
	if d.Type = kinds[strings.ToLower(path.Ext(name))]; d.Type == "" {
		return d, fs.ErrNotExist
	}
	f, err := x.root.Open(name)
	if err != nil {
		return d, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() || info.Size() > maxFile {
		return d, fs.ErrNotExist
	}
	if d.Content, err = io.ReadAll(io.LimitReader(f, maxFile)); err != nil {
		return d, err
	}
	if d.Type == "text/html" || d.Type == pdf {
		return d, nil
	}
	if !utf8.Valid(d.Content) {
		return d, errors.New("not text")
	}
	d.Title = title(name, string(d.Content))
	return d, nil
}

// address is where a file of the folder is shown.
func (x *Index) address(name string) string {
	u := *x.base
	u.Path += name
	return u.String()
}

// Document implements browser.Library: the files of the folder.
func (x *Index) Document(_ context.Context, u *url.URL) (browser.Document, bool) {
	if x.root == nil || u.Scheme != x.base.Scheme || u.Host != x.base.Host || !strings.HasPrefix(u.Path, x.base.Path) {
		return browser.Document{}, false
	}
	name := path.Clean(strings.TrimPrefix(u.Path, x.base.Path))
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, at := range []string{name, path.Join(name, "index.html"), name + ".html"} {
		if !fs.ValidPath(at) || hidden(at) {
			continue
		}
		if d, err := x.read(at); err == nil {
			return d, true
		}
	}
	return browser.Document{}, false
}

// hidden reports whether a file, or a folder that it lies in, is a hidden one.
func hidden(name string) bool { return strings.HasPrefix(name, ".") || strings.Contains(name, "/.") }

// title is the first heading of a text, else its file's name.
func title(name, text string) string {
	for line := range strings.Lines(clip(text, 2000)) {
		if heading, ok := strings.CutPrefix(line, "# "); ok && strings.TrimSpace(heading) != "" {
			return strings.TrimSpace(heading)
		}
	}
	return path.Base(name)
}
