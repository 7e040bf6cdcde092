package browser

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"chorale/internal/wall"
	"chorale/tools/browser/internal/pagetext"
	"chorale/tools/browser/internal/pdftext"
)

// isPDF reports whether a document says that it is a PDF, by its type or, where
// that says nothing, by its name.
func isPDF(d *wall.Document) bool {
	switch d.Type {
	case "application/pdf", "application/x-pdf":
		return true
	case "application/octet-stream", "binary/octet-stream":
		u, err := url.Parse(d.URL)
		return strings.HasSuffix(strings.ToLower(d.Name), ".pdf") || err == nil && strings.HasSuffix(strings.ToLower(u.Path), ".pdf")
	}
	return false
}

// pdfPage is the text of a PDF, page after page.
func pdfPage(ctx context.Context, d *wall.Document, memory int64) (pagetext.Page, error) {
	switch {
	case d.Broke != nil:
		return pagetext.Page{}, fmt.Errorf("the PDF broke off: %w", d.Broke)
	case d.Cut:
		return pagetext.Page{}, fmt.Errorf("the PDF is longer than %d MiB and can not be read", len(d.Body)>>20)
	case !bytes.Contains(d.Body[:min(len(d.Body), 1024)], []byte("%PDF-")): // where readers look for it
		return pagetext.Page{}, errors.New(describeFile(d))
	}
	doc, err := pdftext.Read(ctx, d.Body, pdftext.Limits{Memory: memory, Text: textCap})
	if err != nil {
		return pagetext.Page{}, err
	}
	var text strings.Builder
	empty := true
	for i, page := range doc.Pages {
		page = strings.TrimSpace(page)
		if page == "" {
			continue
		}
		empty = false
		if len(doc.Pages) > 1 {
			fmt.Fprintf(&text, "[Page %d of %d]\n\n", i+1, len(doc.Pages))
		}
		text.WriteString(page + "\n\n")
	}
	if empty {
		return pagetext.Page{}, fmt.Errorf("the PDF holds no text (%d pages, perhaps only pictures of them)", len(doc.Pages))
	}
	return annotate(pagetext.FromText(text.String(), d.URL, doc.Title), d.Status, doc.Cut, ""), nil
}
