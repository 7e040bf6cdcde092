package index

import (
	"context"
	"fmt"
	"mime"
	"net/url"
	"strings"
	"sync"
	"time"

	"chorale/internal/wall"
	"chorale/tools/browser"
	"chorale/tools/browser/internal/pagetext"
)

// crawl is how far sites have been read. Pages come in the order in which links
// lead to them, a few at a time.
type crawl struct {
	sites  []*url.URL
	client *wall.Client
	queue  []string
	seen   map[string]bool
	pages  int
	failed error // the first failure
}

const (
	crawlAtOnce = 4
	crawlTime   = 15 * time.Second // of one page
	crawlBody   = maxFile
)

func newCrawl(o Options) (crawl, error) {
	c := crawl{seen: map[string]bool{}}
	for _, s := range o.Sites {
		u, err := url.Parse(s)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return c, fmt.Errorf("%q is no http or https address", s)
		}
		if u.Path == "" {
			u.Path = "/"
		}
		u.Fragment = ""
		c.sites = append(c.sites, u)
		c.want(u.String())
	}
	if len(c.sites) > 0 {
		if o.Dialer == nil {
			return c, fmt.Errorf("sites can not be reached without a dialer")
		}
		for _, u := range c.sites {
			if err := o.Dialer.Rule.CheckURL(u); err != nil {
				return c, err
			}
		}
		c.client = wall.NewClient(o.Dialer, crawlBody)
	}
	return c, nil
}

func (c *crawl) want(address string) {
	if address, _, _ = strings.Cut(address, "#"); !c.seen[address] {
		c.seen[address] = true
		c.queue = append(c.queue, address)
	}
}

// below reports whether an address belongs to a site: the same origin, and in
// or below the folder of the site's address.
func (c *crawl) below(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	for _, s := range c.sites {
		folder := s.Path[:strings.LastIndexByte(s.Path, '/')+1]
		if u.Scheme == s.Scheme && u.Host == s.Host && strings.HasPrefix(u.Path, folder) {
			return true
		}
	}
	return false
}

func (c *crawl) why() string {
	if c.failed == nil {
		return ""
	}
	return ": " + c.failed.Error()
}

// addSites reads and indexes pages until ctx is done, nothing is left, or there
// are enough.
func (x *Index) addSites(ctx context.Context) error {
	c := &x.crawl
	for len(c.queue) > 0 && c.pages < x.options.MaxPages {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(crawlAtOnce, len(c.queue), x.options.MaxPages-c.pages)
		got := make([]*pagetext.Page, n)
		errs := make([]error, n)
		var wg sync.WaitGroup
		for i, address := range c.queue[:n] {
			wg.Go(func() { got[i], errs[i] = c.fetch(ctx, address) })
		}
		wg.Wait()
		if ctx.Err() != nil {
			return ctx.Err() // these are read again
		}
		c.queue = c.queue[n:]
		for i, p := range got {
			if errs[i] != nil && c.failed == nil {
				c.failed = errs[i]
			}
			if p == nil || x.texts[p.URL].lines != nil {
				continue
			}
			c.pages++
			if err := x.add(*p); err != nil {
				return err
			}
			for _, link := range p.Links {
				if c.below(link) {
					c.want(link)
				}
			}
		}
	}
	return nil
}

// fetch reads one page; nil for what is no page of a site.
func (c *crawl) fetch(ctx context.Context, address string) (*pagetext.Page, error) {
	ctx, cancel := context.WithTimeout(ctx, crawlTime)
	defer cancel()
	u, err := url.Parse(address)
	if err != nil {
		return nil, nil
	}
	readable := func(d *wall.Document) bool {
		return d.Status == 200 && (d.Type == "text/html" || d.Type == "application/xhtml+xml" || d.Type == pdf || strings.HasPrefix(d.Type, "text/"))
	}
	d, err := c.client.Get(ctx, u, readable)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", address, err)
	case d.Status != 200:
		return nil, fmt.Errorf("%s: HTTP status %d", address, d.Status)
	case !readable(d) || !c.below(d.URL):
		return nil, nil
	}
	p, err := browser.Document{Type: mime.FormatMediaType(d.Type, d.Params), Content: d.Body}.Page(ctx, d.URL, maxMemory)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", address, err)
	}
	return &p, nil
}
