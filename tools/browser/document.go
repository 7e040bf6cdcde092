package browser

import (
	"context"
	"mime"

	"chorale/internal/wall"
	"chorale/tools/browser/internal/pagetext"
)

// Document is one as it lies in a Library or on a server.
type Document struct {
	Title   string // of a text, which has none of its own; empty: its host
	Type    string // media type, perhaps with a charset
	Content []byte
}

// Page reads a document of an address as the tool shows it: HTML, text, PDF. Of
// its memory limit the reading of a PDF takes no more.
func (d Document) Page(ctx context.Context, address string, memory int64) (pagetext.Page, error) {
	return d.page(ctx, address, false, memory)
}

func (d Document) page(ctx context.Context, address string, source bool, memory int64) (pagetext.Page, error) {
	w := &wall.Document{URL: address, Size: int64(len(d.Content)), Body: d.Content}
	var err error
	if w.Type, w.Params, err = mime.ParseMediaType(d.Type); err != nil {
		w.Type = d.Type
	}
	if len(w.Body) > bodyCap && !isPDF(w) {
		w.Body, w.Cut = w.Body[:bodyCap], true
	}
	p, err := pageOf(ctx, w, source, memory)
	if d.Title != "" && !isHTML(w.Type) {
		p.Title = pagetext.Plain(d.Title)
	}
	return p, err
}
