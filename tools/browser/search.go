package browser

import (
	"context"
	"html"
	"net/url"
	"strings"

	"chorale/tools/browser/internal/pagetext"
)

// A Searcher finds pages for a query. Its Name is shown to the user, never to
// the model.
type Searcher interface {
	Name() string
	// Search returns at most n results, best first. An error's text is told to
	// the model.
	Search(ctx context.Context, query string, n int) ([]Found, error)
}

// A PageSearcher is a Searcher that reads pages to search: it is given the
// browser that it works for.
type PageSearcher interface {
	Searcher
	By(Loader)
}

// A Loader reads a page within the browser's walls and returns its HTML and the
// status of HTTP.
type Loader func(ctx context.Context, u *url.URL) (html string, status int, err error)

// A Library is a Searcher that has the documents that it finds, at least some of
// them: what it has is read from it and not from the network.
type Library interface {
	Searcher
	Document(ctx context.Context, u *url.URL) (Document, bool)
}

// Found is one result of a search.
type Found struct{ Title, URL, Snippet string }

// resultsPage is the page that shows results in the trained form.
func resultsPage(query string, found []Found) pagetext.Page {
	var b strings.Builder
	b.WriteString("<html><body>\n<h1>Search Results</h1>\n<ul>\n")
	for _, f := range found {
		b.WriteString("<li><a href='" + html.EscapeString(f.URL) + "'>" + html.EscapeString(f.Title) + "</a> " +
			html.EscapeString(f.Snippet) + "</li>")
	}
	b.WriteString("\n</ul>\n</body></html>\n")
	return pagetext.FromHTML(b.String(), "", pagetext.Options{Title: query})
}
