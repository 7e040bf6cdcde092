// Package index searches documents of one's own: a folder, or sites that are
// crawled through the wall. The index is in memory, built by bleve when the first
// search needs it, and gone with the run.
//
// It refuses to leave its folder, by links as well, and to read what the rule of
// the dialer does not allow.
package index

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/blevesearch/bleve/v2"
	"github.com/blevesearch/bleve/v2/analysis/lang/en"
	"github.com/blevesearch/bleve/v2/index/scorch"
	"github.com/blevesearch/bleve/v2/mapping"

	"chorale/internal/wall"
	"chorale/tools/browser"
	"chorale/tools/browser/internal/pagetext"
)

// Options say what is searched. A folder or sites must be given.
type Options struct {
	// Folder holds HTML, text, Markdown, PDF and data as text.
	Folder string
	// Base is the address under which the folder's files are shown and opened;
	// empty: DefaultBase.
	Base string
	// Sites are addresses to crawl: each with the pages below it that it leads to.
	Sites []string
	// MaxPages bounds what is crawled of all sites; 0: 200.
	MaxPages int
	// Dialer reaches the sites.
	Dialer *wall.Dialer
}

// DefaultBase is an address that nothing on any network has (RFC 2606).
const DefaultBase = "https://folder.invalid/"

const (
	defaultPages = 200
	maxFiles     = 20000
	maxFile      = 8 << 20
	maxAll       = 256 << 20 // of text
	maxMemory    = 1 << 30   // to read a PDF in
	batchSize    = 100
)

// Index is a provider of searches. It implements browser.Library.
type Index struct {
	options Options
	base    *url.URL
	root    *os.Root // of the folder; nil: there is none

	mu      sync.Mutex
	bleve   bleve.Index
	texts   map[string]text // by address
	size    int64
	files   []string // that are not indexed yet; nil before they are listed
	listed  bool
	crawl   crawl
	skipped int
}

// text is what was indexed of a document, for the excerpts.
type text struct {
	title string
	lines []string
}

var _ browser.Library = (*Index)(nil)

// Open makes an index ready. It is filled by the first search.
func Open(o Options) (*Index, error) {
	if o.Folder == "" && len(o.Sites) == 0 {
		return nil, errors.New("index: neither a folder nor a site is given")
	}
	if o.Base == "" {
		o.Base = DefaultBase
	}
	if !strings.HasSuffix(o.Base, "/") {
		o.Base += "/"
	}
	if o.MaxPages == 0 {
		o.MaxPages = defaultPages
	}
	x := &Index{options: o, texts: map[string]text{}}
	var err error
	if x.base, err = url.Parse(o.Base); err != nil || x.base.Host == "" || x.base.Scheme != "http" && x.base.Scheme != "https" {
		return nil, fmt.Errorf("index: %q is no http or https address", o.Base)
	}
	if x.crawl, err = newCrawl(o); err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	if o.Folder != "" {
		if x.root, err = os.OpenRoot(o.Folder); err != nil {
			return nil, fmt.Errorf("index: %w", err)
		}
	}
	if x.bleve, err = bleve.NewUsing("", fields(), scorch.Name, scorch.Name, nil); err != nil {
		return nil, fmt.Errorf("index: %w", err)
	}
	return x, nil
}

// fields are title and text, in an analysis that knows English endings and does
// no harm to other languages: documents and questions are treated alike.
func fields() mapping.IndexMapping {
	field := bleve.NewTextFieldMapping()
	field.Analyzer = en.AnalyzerName
	field.Store, field.IncludeInAll, field.DocValues, field.IncludeTermVectors = false, false, false, false
	doc := bleve.NewDocumentStaticMapping()
	doc.AddFieldMappingsAt("title", field)
	doc.AddFieldMappingsAt("text", field)
	m := bleve.NewIndexMapping()
	m.DefaultMapping = doc
	m.DefaultAnalyzer = en.AnalyzerName
	return m
}

// Name implements browser.Searcher.
func (x *Index) Name() string { return "index" }

// Close frees the index.
func (x *Index) Close() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	var errs []error
	if x.root != nil {
		errs = append(errs, x.root.Close())
	}
	return errors.Join(append(errs, x.bleve.Close())...)
}

// Search implements browser.Searcher. A first search that runs out of time
// before everything is indexed searches what is; the next one goes on.
func (x *Index) Search(ctx context.Context, query string, n int) ([]browser.Found, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	building := ctx
	if end, ok := ctx.Deadline(); ok {
		limited, cancel := context.WithTimeout(ctx, time.Until(end)*3/4)
		defer cancel()
		building = limited
	}
	if err := x.build(building); err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	} else if err != nil && building.Err() == nil {
		return nil, err
	}
	if len(x.texts) == 0 {
		return nil, x.empty()
	}
	title, body := bleve.NewMatchQuery(query), bleve.NewMatchQuery(query)
	title.SetField("title")
	title.SetBoost(2)
	body.SetField("text")
	request := bleve.NewSearchRequestOptions(bleve.NewDisjunctionQuery(title, body), n, 0, false)
	request.SortBy([]string{"-_score", "_id"})
	result, err := x.bleve.SearchInContext(ctx, request)
	if err != nil {
		return nil, err
	}
	terms := x.terms(query)
	var out []browser.Found
	for _, hit := range result.Hits {
		t := x.texts[hit.ID]
		out = append(out, browser.Found{Title: t.title, URL: hit.ID, Snippet: x.excerpt(t.lines, terms)})
	}
	return out, nil
}

// empty says why there is nothing to search.
func (x *Index) empty() error {
	if x.options.Folder != "" {
		return fmt.Errorf("the folder %s holds no documents that can be read", x.options.Folder)
	}
	return fmt.Errorf("no page of %s could be read%s", strings.Join(x.options.Sites, ", "), x.crawl.why())
}

// build indexes what is not indexed yet, until ctx is done.
func (x *Index) build(ctx context.Context) error {
	if err := x.addFiles(ctx); err != nil {
		return err
	}
	return x.addSites(ctx)
}

// add puts pages into the index.
func (x *Index) add(pages ...pagetext.Page) error {
	batch := x.bleve.NewBatch()
	for _, p := range pages {
		if x.size += int64(len(p.Text)); x.size > maxAll {
			return fmt.Errorf("the documents hold more than %d MiB of text, which is more than is kept in memory; give a smaller folder", maxAll>>20)
		}
		body := pagetext.StripLinks(strings.TrimPrefix(p.Text, "\nURL: "+p.URL+"\n"))
		if err := batch.Index(p.URL, map[string]string{"title": p.Title, "text": body}); err != nil {
			return err
		}
		x.texts[p.URL] = text{title: p.Title, lines: strings.Split(body, "\n")}
	}
	return x.bleve.Batch(batch)
}

// terms are what the index looks for of a query.
func (x *Index) terms(query string) map[string]bool {
	out := map[string]bool{}
	for _, t := range x.analyze(query) {
		out[t] = true
	}
	return out
}

func (x *Index) analyze(s string) (out []string) {
	for _, t := range x.bleve.Mapping().AnalyzerNamed(en.AnalyzerName).Analyze([]byte(s)) {
		out = append(out, string(t.Term))
	}
	return out
}

const (
	maxExcerpt  = 200
	excerptScan = 2000 // lines that are looked at
)

// excerpt is the line that holds most of the terms; the first of text where none
// does.
func (x *Index) excerpt(lines []string, terms map[string]bool) string {
	best, most := "", -1
	for i, line := range lines {
		line = strings.TrimSpace(line)
		if line == "" || i > excerptScan {
			continue
		}
		held := map[string]bool{}
		for _, t := range x.analyze(clip(line, 10*maxExcerpt)) {
			if terms[t] {
				held[t] = true
			}
		}
		if len(held) > most {
			best, most = line, len(held)
		}
		if most == len(terms) {
			break
		}
	}
	return clip(strings.TrimLeft(best, "#>* "), maxExcerpt)
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
