// Package pdftext reads the text of PDF documents. PDFium does it, as
// WebAssembly: whatever a document does to it, it has no files and no network, a
// memory of bounded size, and ends with the context.
package pdftext

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/klippa-app/go-pdfium"
	"github.com/klippa-app/go-pdfium/references"
	"github.com/klippa-app/go-pdfium/requests"
	"github.com/klippa-app/go-pdfium/webassembly"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

// Document is the text of a PDF.
type Document struct {
	Title string   // as its metadata say; often empty
	Pages []string // empty where a page is only a picture
	Cut   bool     // there are more pages, or unreadable ones
}

// Limits bound what a document may take, besides the time that the context has.
type Limits struct {
	Memory int64 // bytes of PDFium's memory, the document included
	Text   int   // bytes; reading stops at the page that exceeds it
}

// maxPages is how many pages are read: a document can claim any number.
const maxPages = 5000

// ErrLocked says that a document can only be read with a password.
var ErrLocked = errors.New("the PDF is locked with a password")

// Read reads a document. It fails on what is no PDF, and gives up when ctx ends.
func Read(ctx context.Context, body []byte, l Limits) (*Document, error) {
	if err := compile(ctx); err != nil {
		return nil, err
	}
	d, err := read(ctx, body, l)
	switch {
	case ctx.Err() != nil: // what it said then comes of being stopped
		return nil, ctx.Err()
	case err != nil && strings.Contains(strings.ToLower(err.Error()), "password"):
		return nil, ErrLocked
	case err != nil:
		return nil, fmt.Errorf("read the PDF: %w", err)
	}
	return d, nil
}

func read(ctx context.Context, body []byte, l Limits) (d *Document, err error) {
	defer func() { // a library that is not ours, on input that is anybody's
		if p := recover(); p != nil {
			d, err = nil, fmt.Errorf("PDFium broke: %v", p)
		}
	}()
	pool, err := open(ctx, l.Memory)
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	lib, err := pool.GetInstanceWithContext(ctx)
	if err != nil {
		return nil, err
	}
	opened, err := lib.OpenDocument(&requests.OpenDocument{File: &body})
	if err != nil {
		return nil, err
	}
	return readPages(ctx, lib, opened.Document, l.Text)
}

func readPages(ctx context.Context, lib pdfium.Pdfium, doc references.FPDF_DOCUMENT, most int) (*Document, error) {
	count, err := lib.FPDF_GetPageCount(&requests.FPDF_GetPageCount{Document: doc})
	if err != nil {
		return nil, err
	}
	d := new(Document)
	if title, err := lib.FPDF_GetMetaText(&requests.FPDF_GetMetaText{Document: doc, Tag: "Title"}); err == nil {
		d.Title = strings.TrimSpace(title.Value)
	}
	size := 0
	for i := range count.PageCount {
		if i == maxPages || size > most || ctx.Err() != nil {
			d.Cut = true
			break
		}
		page, err := lib.GetPageText(&requests.GetPageText{Page: requests.Page{ByIndex: &requests.PageByIndex{Document: doc, Index: i}}})
		if err != nil {
			d.Cut = true
			d.Pages = append(d.Pages, "")
			continue
		}
		text := plain.Replace(page.Text)
		d.Pages = append(d.Pages, text)
		size += len(text)
	}
	return d, nil
}

// plain undoes PDFium's ways of writing: its line ends, and its sign for a
// hyphen that parts a word at the end of a line.
var plain = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\uFFFE", "-", "\x02", "-", "\x00", "")

// open starts PDFium. It sees no files.
func open(ctx context.Context, memory int64) (pdfium.Pool, error) {
	cache, err := compiled()
	if err != nil {
		return nil, err
	}
	const pageSize = 64 << 10
	pages := min(max(memory, 0)/pageSize, math.MaxUint32/pageSize)
	return webassembly.Init(webassembly.Config{
		Context: ctx, MaxIdle: 1, MaxTotal: 1,
		FSConfig: wazero.NewFSConfig(), Stdout: io.Discard, Stderr: io.Discard,
		RuntimeConfig: wazero.NewRuntimeConfig().
			WithCoreFeatures(api.CoreFeaturesV2 | experimental.CoreFeaturesExceptionHandling).
			WithCloseOnContextDone(true).
			WithMemoryLimitPages(uint32(pages)).
			WithCompilationCache(cache),
	})
}

// compiled is where the machine code of PDFium is kept: in the user's cache,
// where there is one, else as long as this process.
var compiled = sync.OnceValues(func() (wazero.CompilationCache, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return wazero.NewCompilationCache(), nil
	}
	cache, err := wazero.NewCompilationCacheWithDir(filepath.Join(dir, "chorale", "pdfium"))
	if err != nil {
		return wazero.NewCompilationCache(), nil
	}
	return cache, nil
})

// compileOnce makes the machine code, which takes seconds the first time and can
// not be stopped; a call does not wait longer than it may.
var compileOnce = sync.OnceValue(func() chan error {
	done := make(chan error, 1)
	go func() {
		const enough = 64 << 20
		pool, err := open(context.Background(), enough)
		if err == nil {
			err = pool.Close()
		}
		done <- err
	}()
	return done
})

func compile(ctx context.Context) error {
	done := compileOnce()
	select {
	case err := <-done:
		done <- err // for the next
		if err != nil {
			return fmt.Errorf("start PDFium: %w", err)
		}
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
