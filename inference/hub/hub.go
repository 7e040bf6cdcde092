// Package hub fetches the files of a model repository from a hub that speaks the
// HTTP API of the Hugging Face hub: a list of files with sizes and hashes, and an
// address for each file that may lead to another host.
//
// It trusts no server. A file counts as fetched when it has the size and the hash
// that the list gave; what the way there did (connections dropped, bodies cut
// short, ranges ignored, content that changed) costs time and nothing else. The
// token goes to the hub's own host and nowhere else, and stands in no message.
//
// It knows no hub: the address comes from the caller. It refuses plain HTTP but to
// this machine, names that lead out of a folder, and files without a hash.
package hub

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"chorale/internal/secret"
)

// Options say which hub it is and how to speak with it.
type Options struct {
	Address string        // https://host[:port][/path]; http only to this machine
	Secrets secret.Values // the token is the one named Token; none is fine
	Proxy   string        // address of a proxy; empty: HTTPS_PROXY and NO_PROXY
	Agent   string        // User-Agent
	TLS     *tls.Config   // nil: the system's
}

// Token names the token among the secrets.
const Token = "models.token"

// Client speaks with one hub. It may be used from several goroutines.
type Client struct {
	base    *url.URL
	agent   string
	http    *http.Client
	secrets secret.Values
	gate    gate
	slots   chan struct{} // a request for a file holds one

	span  int64         // bytes that a request asks for
	piece int64         // bytes that an interruption can cost a request
	stall time.Duration // without a byte, after which a request is given up
	first time.Duration // wait before the second attempt; doubled for each more
	tries tries
}

// tries are how many attempts in a row may bring nothing.
type tries struct{ list, file int }

// connections is how many requests for files run at once. One is rarely as fast
// as the line.
const connections = 8

// New makes a client; it does not connect.
func New(o Options) (*Client, error) {
	base, err := parseAddress(o.Address)
	if err != nil {
		return nil, fmt.Errorf("hub %q: %w", redacted(o.Address), err)
	}
	transport, err := newTransport(o)
	if err != nil {
		return nil, err
	}
	c := &Client{
		base: base, agent: o.Agent, secrets: o.Secrets, slots: make(chan struct{}, connections),
		span: 128 << 20, piece: 16 << 20, stall: 30 * time.Second, first: 500 * time.Millisecond, tries: tries{4, 10},
	}
	c.http = &http.Client{
		Transport:     bearer{base, o.Secrets.Get(Token), transport},
		CheckRedirect: c.checkRedirect,
	}
	return c, nil
}

// Host is the hub's host, for people.
func (c *Client) Host() string { return c.base.Host }

func parseAddress(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil:
		return nil, errors.New("this is no address")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("want https://host and perhaps a path; a token is a setting of its own")
	case u.Host == "" || u.Scheme != "https" && !(u.Scheme == "http" && loopback(u)):
		return nil, errors.New("want https://host, or http to this machine")
	}
	return u, nil
}

// redacted is an address without a password that somebody wrote into it.
func redacted(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "(unreadable)"
	}
	return u.Redacted()
}

func loopback(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

func newTransport(o Options) (*http.Transport, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = o.TLS
	t.MaxIdleConnsPerHost = connections
	// HTTP/2 would send all parts over one connection.
	t.Protocols = new(http.Protocols)
	t.Protocols.SetHTTP1(true)
	if o.Proxy != "" {
		u, err := url.Parse(o.Proxy)
		if err != nil || u.Host == "" {
			return nil, fmt.Errorf("proxy %q: this is no address such as http://host:port", redacted(o.Proxy))
		}
		t.Proxy = http.ProxyURL(u)
	}
	return t, nil
}

// Revision is a state of a repository.
type Revision struct {
	Repo   string // owner/name
	Commit string // what never changes, unlike a branch
	Files  []File // in the hub's order
}

// File is a file of a revision.
type File struct {
	Path   string // with slashes; it stays below the folder that it is put in
	Size   int64  // bytes; -1: the list does not say, Describe does
	Digest Digest // zero where Size is -1
}

var (
	repoForm   = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,95}/[A-Za-z0-9_][A-Za-z0-9._-]{0,95}$`)
	commitForm = regexp.MustCompile(`^[0-9a-f]{40}([0-9a-f]{24})?$`)
)

// CheckRepo refuses what is no name of a repository.
func CheckRepo(repo string) error {
	if !repoForm.MatchString(repo) {
		return fmt.Errorf("%q is no repository: want owner/name", repo)
	}
	return nil
}

// maxList bounds the list of a repository's files.
const maxList = 32 << 20

// Revision asks for a repository as it is at a branch, tag or commit.
func (c *Client) Revision(ctx context.Context, repo, revision string, tell func(Event)) (Revision, error) {
	if err := CheckRepo(repo); err != nil {
		return Revision{}, err
	}
	var answer listing
	err := c.retry(ctx, c.tries.list, watcher(repo, tell), func() (bool, error) {
		return false, c.list(ctx, repo, revision, &answer)
	})
	if err != nil {
		return Revision{}, fmt.Errorf("list %s at %s: %w", repo, revision, explain(err, repo, revision))
	}
	r, err := answer.revision(repo)
	if err != nil {
		return Revision{}, fmt.Errorf("list %s at %s: %s: %w", repo, revision, c.base.Host, err)
	}
	return r, nil
}

func (c *Client) list(ctx context.Context, repo, revision string, into *listing) error {
	u := c.base.JoinPath("api/models/", repo, "revision")
	u = join(u, revision)
	u.RawQuery = "blobs=true" // sizes and hashes
	resp, end, err := c.do(ctx, http.MethodGet, u, nil)
	if err != nil {
		return err
	}
	defer end()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxList+1))
	switch {
	case err != nil:
		return &brokenError{"read the list", err}
	case len(b) > maxList:
		return fmt.Errorf("the list has more than %d bytes", maxList)
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("%s does not answer as a hub does: %w", c.base.Host, err)
	}
	return nil
}

// join appends one segment to a path; a slash in it is no separator.
func join(u *url.URL, segment string) *url.URL {
	v := *u
	v.Path, v.RawPath = u.Path+"/"+segment, u.EscapedPath()+"/"+url.PathEscape(segment)
	return &v
}

// address is where a file of a revision is fetched.
func (c *Client) address(r Revision, path string) *url.URL {
	return c.base.JoinPath(r.Repo, "resolve", r.Commit).JoinPath(path)
}

// listing is a hub's answer about a revision.
type listing struct {
	SHA      string `json:"sha"`
	Siblings []struct {
		Path   string `json:"rfilename"`
		Size   *int64 `json:"size"`
		BlobID string `json:"blobId"`
		LFS    *struct {
			SHA256 string `json:"sha256"`
			Size   *int64 `json:"size"`
		} `json:"lfs"`
	} `json:"siblings"`
}

func (l *listing) revision(repo string) (Revision, error) {
	if !commitForm.MatchString(l.SHA) {
		return Revision{}, fmt.Errorf("%q is no commit: this hub does not answer as a hub does", clip(l.SHA))
	}
	r := Revision{Repo: repo, Commit: l.SHA}
	var paths []string
	for _, s := range l.Siblings {
		f := File{Path: s.Path, Size: -1}
		switch {
		case s.LFS != nil && s.LFS.Size != nil:
			f.Size, f.Digest = *s.LFS.Size, parseDigest(s.LFS.SHA256)
		case s.LFS == nil && s.Size != nil:
			f.Size, f.Digest = *s.Size, parseDigest(s.BlobID)
		}
		if f.Size < 0 || f.Digest == (Digest{}) {
			f.Size, f.Digest = -1, Digest{}
		}
		r.Files, paths = append(r.Files, f), append(paths, f.Path)
	}
	return r, checkPaths(paths)
}

// Describe completes a file of which the list says too little, by asking for the
// file's own headers.
func (c *Client) Describe(ctx context.Context, r Revision, f File, tell func(Event)) (File, error) {
	if f.Size >= 0 {
		return f, nil
	}
	err := c.retry(ctx, c.tries.list, watcher(f.Path, tell), func() (bool, error) {
		resp, end, err := c.do(ctx, http.MethodHead, c.address(r, f.Path), nil)
		if err != nil {
			return false, err
		}
		defer end()
		linked := linkedTo(resp)
		f.Size, f.Digest = linked.size, linked.digest
		return false, nil
	})
	if err == nil && (f.Size < 0 || f.Digest == (Digest{})) {
		err = errors.New("the hub gives no size and hash of it, so it cannot be checked")
	}
	if err != nil {
		return File{}, fmt.Errorf("%s: %w", f.Path, err)
	}
	return f, nil
}
