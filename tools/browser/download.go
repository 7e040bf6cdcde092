package browser

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"golang.org/x/net/publicsuffix"

	"chorale/internal/wall"
	"chorale/tools"
	"chorale/tools/browser/internal/chrome"
)

// files are the downloads of a run. Chromium writes none: our own client fetches
// them, by the same rule as all else.
type files struct {
	granted bool
	left    int64            // bytes that may still be kept
	dir     string           // of the run
	kept    []tools.Artifact // by the call under way
}

func newFiles(o Options) files {
	return files{granted: o.Downloads > 0, left: min(o.Downloads, math.MaxInt64-1), dir: o.Dir}
}

// taken are the files that the call under way has kept.
func (f *files) taken() []tools.Artifact {
	kept := f.kept
	f.kept = nil
	return kept
}

// keep writes a file that a server sends, and says what it is.
func (f *files) keep(ctx context.Context, d *wall.Document, name string, body io.Reader) (string, error) {
	if d.Size > f.left {
		return "", f.tooLarge()
	}
	root, err := os.OpenRoot(f.dir)
	if err != nil {
		return "", fatalError{fmt.Errorf("keep a download: %w", err)}
	}
	defer root.Close()
	to, name, err := create(root, name)
	if err != nil {
		return "", fmt.Errorf("no file can be made for it: %w", err)
	}
	n, err := io.Copy(to, io.LimitReader(body, f.left+1))
	err = errors.Join(err, to.Close())
	var ours *fs.PathError
	switch {
	case errors.As(err, &ours):
		err = fatalError{fmt.Errorf("keep a download: %w", err)}
	case err != nil && ctx.Err() == nil:
		err = fmt.Errorf("it broke off: %w", err)
	case err == nil && n > f.left:
		err = f.tooLarge()
	}
	if err != nil {
		return "", errors.Join(err, root.Remove(name))
	}
	f.left -= n
	f.kept = append(f.kept, tools.Artifact{Name: name, Path: filepath.Join(f.dir, filepath.FromSlash(name)), Size: n})
	return fmt.Sprintf("%s, type %s, %s", plain(name), plain(d.Type), count(int(n), "byte")), nil
}

func (f *files) tooLarge() error {
	return fmt.Errorf("it is too large: %s left of what may be downloaded in this run", count(int(f.left), "byte"))
}

// downloadsDir is the folder of downloads in that of the run. They do not lie
// beside its other files, from where Python would import what a server calls
// json.py.
const downloadsDir = "downloads"

// create makes a file of a name that no other has, and returns that name.
func create(root *os.Root, name string) (*os.File, string, error) {
	if err := root.Mkdir(downloadsDir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, "", err
	}
	name = path.Join(downloadsDir, cleanName(name))
	ext := path.Ext(name)
	stem := strings.TrimSuffix(name, ext)
	for n := 2; ; n++ {
		f, err := root.OpenFile(filepath.FromSlash(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if !errors.Is(err, fs.ErrExist) {
			return f, name, err
		}
		name = fmt.Sprintf("%s-%d%s", stem, n, ext)
	}
}

const (
	maxName = 120 // bytes of a file's name
	maxExt  = 16
)

// cleanName makes a name for a file of ours of what a server or a page calls it:
// one that stays in its folder, is not hidden, and reads as what it is.
func cleanName(s string) string {
	s = path.Base(strings.ReplaceAll(strings.ToValidUTF8(s, "_"), `\`, "/"))
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Cf, r), unicode.IsControl(r): // such as those that turn the direction of text
			return -1
		case unicode.IsSpace(r):
			return ' '
		case strings.ContainsRune(`/<>:"|?*`, r):
			return '_'
		}
		return r
	}, s)
	s = strings.TrimLeft(strings.TrimRight(s, ". "), ". ")
	ext := path.Ext(s)
	if len(ext) > maxExt {
		ext = ""
	}
	if len(s) > maxName {
		s = clip(strings.TrimSuffix(s, ext), maxName-len(ext)) + ext
	}
	if strings.Trim(s, "_") == "" {
		return "download"
	}
	return s
}

// isFile reports whether a document is sent to be saved, or is of a type that is
// no page.
func isFile(d *wall.Document) bool {
	return d.Name != "" || !isHTML(d.Type) && !isText(d.Type) && !isPDF(d)
}

// fileName is what a document's file is called: by the server, else by its
// address.
func fileName(d *wall.Document) string {
	if d.Name != "" {
		return d.Name
	}
	u, err := url.Parse(d.URL)
	if err != nil {
		return ""
	}
	return u.Path[strings.LastIndexByte(u.Path, '/')+1:]
}

// download fetches the file that the live page would save, and says what came of
// it. The error is one that stops the call.
func (w *web) download(ctx context.Context, file *chrome.Download) (string, error) {
	if file == nil {
		return "", nil
	}
	if !w.files.granted {
		return "which is denied", nil
	}
	kept, err := w.fetchFile(ctx, file)
	switch {
	case err == nil:
		return "kept for the user: " + kept, nil
	case !tellable(ctx, err):
		return "", err
	}
	return "which was not kept: " + shorten(plain(err.Error())), nil
}

func (w *web) fetchFile(ctx context.Context, file *chrome.Download) (string, error) {
	u, err := url.Parse(file.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return "", errors.New("the page made it itself, no server sends it")
	}
	u.User = nil
	began := time.Now()
	d, body, err := w.client.Open(ctx, u, w.jar(ctx, u, w.live.seen.URL))
	w.har.fetched(u, began, d, err)
	if err != nil {
		return "", err
	}
	defer body.Close()
	switch {
	case d.Status >= 400:
		return "", fmt.Errorf("HTTP status %d", d.Status)
	case d.Name == "" && isHTML(d.Type):
		return "", errors.New("asked for it alone, the server sends a page")
	}
	body.Unhurried()
	return w.files.keep(ctx, d, file.Name, body)
}

// jar has the cookies of an address's host that the pages' shared session would
// send with a link in the page at from, or unasked; nil where pages share none.
func (w *web) jar(ctx context.Context, u *url.URL, from string) http.CookieJar {
	if w.chromium == nil || !w.pages && w.profile == nil {
		return nil
	}
	cookies, err := w.chromium.Cookies(ctx)
	if err != nil {
		return nil // the answer will show it
	}
	jar, err := cookiejar.New(&cookiejar.Options{PublicSuffixList: publicsuffix.List})
	if err != nil {
		return nil
	}
	at, err := url.Parse(from)
	strict := from == "" || err == nil && at.Host == u.Host
	for _, c := range cookies {
		if set := c.HTTP(u.Hostname()); set != nil && (strict || set.SameSite != http.SameSiteStrictMode) {
			jar.SetCookies(u, []*http.Cookie{set})
		}
	}
	return jar
}
