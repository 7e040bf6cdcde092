// Package hubtest is a hub for tests: it speaks the API over TLS on this machine,
// sends large files from a second host, and does what a test wants wrong.
package hubtest

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Commit is the commit of every repository at the revision main.
const Commit = "0123456789abcdef0123456789abcdef01234567"

// File is a file of the repository. Large ones are sent by the second host.
type File struct {
	Path  string
	Data  []byte
	Large bool
}

// SHA256 is the hash of the file.
func (f File) SHA256() string { return fmt.Sprintf("%x", sha256.Sum256(f.Data)) }

// Blob is the hash under which git would keep the file.
func (f File) Blob() string {
	return fmt.Sprintf("%x", sha1.Sum(append(fmt.Appendf(nil, "blob %d\x00", len(f.Data)), f.Data...)))
}

// Request is what a host was asked.
type Request struct {
	Large         bool // of the second host
	Method, Path  string
	Range         string
	Authorization string
}

// Server is a hub with one repository.
type Server struct {
	Repo  string
	Files []File
	URL   string // of the hub; its host differs from that of the large files

	hub, cdn *httptest.Server

	mu     sync.Mutex
	seen   []Request
	fault  Fault
	relist func(map[string]any)
}

// Fault may answer a request itself, and then returns true. large says that it was
// put to the second host.
type Fault func(large bool, w http.ResponseWriter, r *http.Request) bool

// Break has every request from now on go to f first.
func (s *Server) Break(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// Relist has f change the list of files from now on, before it is sent.
func (s *Server) Relist(f func(map[string]any)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.relist = f
}

// New starts a hub. The test's end stops it.
func New(t testing.TB, repo string, files ...File) *Server {
	s := &Server{Repo: repo, Files: files}
	s.hub = start(s.host(false, s.serveHub))
	s.cdn = start(s.host(true, s.serveLarge))
	t.Cleanup(func() { s.hub.Close(); s.cdn.Close() })
	s.URL = s.hub.URL
	return s
}

// start starts a host that keeps quiet about connections that end early.
func start(h http.Handler) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	return s
}

// TLS trusts the two hosts.
func (s *Server) TLS() *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(s.hub.Certificate())
	pool.AddCert(s.cdn.Certificate())
	return &tls.Config{RootCAs: pool}
}

// PEM is the certificate of both hosts, for SSL_CERT_FILE.
func (s *Server) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.hub.Certificate().Raw})
}

// Requests are those of both hosts, in the order in which they came.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

// Asked is how many requests there were whose path contains a text.
func (s *Server) Asked(text string) int {
	n := 0
	for _, r := range s.Requests() {
		if strings.Contains(r.Path, text) {
			n++
		}
	}
	return n
}

func (s *Server) host(large bool, serve http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.seen = append(s.seen, Request{large, r.Method, r.URL.Path, r.Header.Get("Range"), r.Header.Get("Authorization")})
		fault := s.fault
		s.mu.Unlock()
		if fault == nil || !fault(large, w, r) {
			serve(w, r)
		}
	})
}

func (s *Server) serveHub(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/api/models/"+s.Repo+"/revision/main" || r.URL.Path == "/api/models/"+s.Repo+"/revision/"+Commit {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(s.list()) // a client that has gone is its own affair
		return
	}
	f, ok := s.find(strings.TrimPrefix(r.URL.Path, "/"+s.Repo+"/resolve/"+Commit+"/"))
	switch {
	case !ok:
		w.Header().Set("X-Error-Code", "EntryNotFound")
		http.NotFound(w, r)
	case f.Large:
		h := w.Header()
		h.Set("X-Repo-Commit", Commit)
		h.Set("X-Linked-Size", fmt.Sprint(len(f.Data)))
		h.Set("X-Linked-Etag", `"`+f.SHA256()+`"`)
		http.Redirect(w, r, s.cdn.URL+"/blobs/"+url.PathEscape(f.Path)+"?Signature=signed-for-you", http.StatusFound)
	default:
		s.send(w, r, f, f.Blob())
	}
}

func (s *Server) serveLarge(w http.ResponseWriter, r *http.Request) {
	f, ok := s.find(strings.TrimPrefix(r.URL.Path, "/blobs/"))
	if !ok {
		http.NotFound(w, r)
		return
	}
	s.send(w, r, f, "cdn-"+f.SHA256()[:8])
}

func (s *Server) send(w http.ResponseWriter, r *http.Request, f File, tag string) {
	w.Header().Set("ETag", `"`+tag+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.Data))
}

func (s *Server) find(path string) (File, bool) {
	i := slices.IndexFunc(s.Files, func(f File) bool { return f.Path == path })
	if i < 0 {
		return File{}, false
	}
	return s.Files[i], true
}

func (s *Server) list() map[string]any {
	var siblings []any
	for _, f := range s.Files {
		entry := map[string]any{"rfilename": f.Path, "size": len(f.Data), "blobId": f.Blob()}
		if f.Large {
			entry["lfs"] = map[string]any{"sha256": f.SHA256(), "size": len(f.Data), "pointerSize": 134}
		}
		siblings = append(siblings, entry)
	}
	list := map[string]any{"id": s.Repo, "sha": Commit, "siblings": siblings}
	s.mu.Lock()
	relist := s.relist
	s.mu.Unlock()
	if relist != nil {
		relist(list)
	}
	return list
}
