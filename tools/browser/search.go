package browser

import (
	"context"
	"html"
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
