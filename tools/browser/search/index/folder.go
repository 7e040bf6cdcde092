package index

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"mime"
	"net/url"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html/charset"

	"chorale/tools/browser"
	"chorale/tools/browser/internal/pagetext"
)

// kinds are the files that are read, and as what.
var kinds = map[string]string{
	".html": "text/html", ".htm": "text/html", ".xhtml": "text/html",
	".txt": "text/plain", ".text": "text/plain", ".md": "text/markdown", ".markdown": "text/markdown", ".rst": "text/plain",
	".adoc": "text/plain", ".org": "text/plain", ".csv": "text/csv", ".tsv": "text/plain", ".json": "application/json",
	".jsonl": "text/plain", ".yaml": "text/plain", ".yml": "text/plain", ".xml": "application/xml", ".log": "text/plain",
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
		n := min(batchSize, len(x.files))
		var pages []pagetext.Page
		for _, name := range x.files[:n] {
			if kind, content, err := x.read(name); err == nil {
				pages = append(pages, pageOf(x.address(name), kind, content))
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

func (x *Index) read(name string) (kind string, content []byte, err error) {
	kind = kinds[strings.ToLower(path.Ext(name))]
	if kind == "" {
		return "", nil, fs.ErrNotExist
	}
	f, err := x.root.Open(name)
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() || info.Size() > maxFile {
		return "", nil, fs.ErrNotExist
	}
	content, err = io.ReadAll(io.LimitReader(f, maxFile))
	if err == nil && kind != "text/html" && !utf8.Valid(content) {
		return "", nil, errors.New("not text")
	}
	return kind, content, err
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
		if !fs.ValidPath(at) || strings.HasPrefix(path.Base(at), ".") {
			continue
		}
		if kind, content, err := x.read(at); err == nil {
			d := browser.Document{Type: kind, Content: content}
			if kind != "text/html" {
				d.Title = title(u.String(), string(content))
			}
			return d, true
		}
	}
	return browser.Document{}, false
}

// pageOf is the text of a document.
func pageOf(address, kind string, content []byte) pagetext.Page {
	media, _, _ := mime.ParseMediaType(kind)
	if media == "text/html" || media == "application/xhtml+xml" {
		src := string(content)
		if r, err := charset.NewReader(bytes.NewReader(content), kind); err == nil {
			if b, err := io.ReadAll(r); err == nil {
				src = string(b)
			}
		}
		return pagetext.FromHTML(src, address, pagetext.Options{Base: pagetext.BaseOf(src, address)})
	}
	return pagetext.FromText(string(content), address, title(address, string(content)))
}

// title is the first heading of a text, else its file's name.
func title(address, text string) string {
	for line := range strings.Lines(clip(text, 2000)) {
		if heading, ok := strings.CutPrefix(line, "# "); ok && strings.TrimSpace(heading) != "" {
			return strings.TrimSpace(heading)
		}
	}
	if u, err := url.Parse(address); err == nil && path.Base(u.Path) != "/" {
		return path.Base(u.Path)
	}
	return address
}
