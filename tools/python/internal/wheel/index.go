package wheel

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"

	"golang.org/x/net/html"
)

// The media types of the simple API, PEP 691, best first.
const (
	jsonType   = "application/vnd.pypi.simple.v1+json"
	acceptType = jsonType + ", application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"
	maxPage    = 32 << 20
)

// link is a file as an index lists it.
type link struct {
	url    *url.URL
	sha256 string // empty where the index gives none
}

// find asks the index for the project's files and picks w.
func (s Source) find(ctx context.Context, index string, w Wheel) (link, error) {
	base, err := url.Parse(strings.TrimSpace(index))
	if err != nil {
		return link{}, fmt.Errorf("address of the package index: %w", err)
	}
	if base.Scheme != "http" && base.Scheme != "https" || base.Host == "" {
		return link{}, fmt.Errorf("package index %q: want an address that starts with https:// or http://", base.Redacted())
	}
	page := base.JoinPath(w.Project, "/")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, page.String(), nil)
	if err != nil {
		return link{}, err
	}
	req.Header.Set("Accept", acceptType)
	resp, err := s.Client.Do(req)
	if err != nil {
		return link{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return link{}, statusError{resp.StatusCode, page.Redacted()}
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxPage))
	if err != nil {
		return link{}, fmt.Errorf("read %s: %w", page.Redacted(), err)
	}
	// Links are relative to the page that answered, after redirects.
	found, err := pick(body, resp.Header.Get("Content-Type"), resp.Request.URL, w.File)
	if err != nil {
		return link{}, fmt.Errorf("package index page %s: %w", page.Redacted(), err)
	}
	if found.url.Host == base.Host && found.url.User == nil {
		found.url.User = base.User
	}
	return found, nil
}

// pick finds the file in a page of either form.
func pick(body []byte, contentType string, at *url.URL, file string) (link, error) {
	var l link
	var err error
	if t, _, _ := mime.ParseMediaType(contentType); t == jsonType || t == "application/json" {
		l, err = pickJSON(body, at, file)
	} else {
		l, err = pickHTML(body, at, file)
	}
	if err == nil && l.url == nil {
		err = fmt.Errorf("does not list %s", file)
	}
	return l, err
}

func pickJSON(body []byte, at *url.URL, file string) (link, error) {
	var page struct {
		Files []struct {
			Filename string            `json:"filename"`
			URL      string            `json:"url"`
			Hashes   map[string]string `json:"hashes"`
		} `json:"files"`
	}
	if err := json.Unmarshal(body, &page); err != nil {
		return link{}, err
	}
	for _, f := range page.Files {
		if f.Filename == file {
			u, err := at.Parse(f.URL)
			return link{u, f.Hashes["sha256"]}, err
		}
	}
	return link{}, nil
}

// pickHTML reads the anchors of a PEP 503 page. The hash is in the fragment.
func pickHTML(body []byte, at *url.URL, file string) (link, error) {
	z := html.NewTokenizer(strings.NewReader(string(body)))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return link{}, nil // the end; a tokenizer knows no other error here
		case html.StartTagToken, html.SelfClosingTagToken:
			t := z.Token()
			href := ""
			for _, a := range t.Attr {
				if a.Key == "href" {
					href = a.Val
				}
			}
			if href == "" || t.Data != "a" && t.Data != "base" {
				continue
			}
			u, err := at.Parse(href)
			if err != nil {
				continue // another file's broken link is not our trouble
			}
			if t.Data == "base" {
				at = u
				continue
			}
			if path.Base(u.Path) == file {
				sum, _ := strings.CutPrefix(u.Fragment, "sha256=")
				u.Fragment = ""
				return link{u, sum}, nil
			}
		}
	}
}
