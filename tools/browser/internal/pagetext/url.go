package pagetext

import (
	"fmt"
	"net/netip"
	"strings"
)

// The addresses of links are joined as RFC 3986 says in the reading of
// Python's urllib.parse, which gives the numbering of the trained format: it
// keeps letters and escapes as they are written, and leaves addresses of
// another scheme untouched.

type address struct {
	scheme, netloc, path, query, fragment string
}

// host is the authority of an address, with port and user as written.
func host(url string) string {
	if !strings.Contains(url, "http") {
		url = "http://" + url
	}
	a, err := split(url, "")
	if err != nil {
		return ""
	}
	return a.netloc
}

func split(url, scheme string) (address, error) {
	a := address{scheme: scheme}
	url = strings.TrimLeft(url, "\x00\x01\x02\x03\x04\x05\x06\x07\x08\t\n\x0b\x0c\r\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f ")
	url = lineBreaks.Replace(url)
	if i := strings.IndexByte(url, ':'); i > 0 && isScheme(url[:i]) {
		a.scheme, url = strings.ToLower(url[:i]), url[i+1:]
	}
	if strings.HasPrefix(url, "//") {
		end := strings.IndexAny(url[2:], "/?#")
		if end < 0 {
			end = len(url) - 2
		}
		a.netloc, url = url[2:2+end], url[2+end:]
		if err := checkBrackets(a.netloc); err != nil {
			return address{}, err
		}
	}
	url, a.fragment, _ = strings.Cut(url, "#")
	a.path, a.query, _ = strings.Cut(url, "?")
	return a, nil
}

var lineBreaks = strings.NewReplacer("\t", "", "\n", "", "\r", "")

func isScheme(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i] | 0x20
		letter := 'a' <= c && c <= 'z'
		if i == 0 && !letter {
			return false
		}
		if !letter && (s[i] < '0' || s[i] > '9') && s[i] != '+' && s[i] != '-' && s[i] != '.' {
			return false
		}
	}
	return true
}

func checkBrackets(netloc string) error {
	open, shut := strings.IndexByte(netloc, '['), strings.IndexByte(netloc, ']')
	if open < 0 && shut < 0 {
		return nil
	}
	if open < 0 || shut < open {
		return fmt.Errorf("host %q: unmatched bracket", netloc)
	}
	inner := netloc[open+1 : shut]
	if strings.HasPrefix(inner, "v") {
		return nil
	}
	if a, err := netip.ParseAddr(inner); err != nil || !a.Is6() {
		return fmt.Errorf("host %q: not an IPv6 address", netloc)
	}
	return nil
}

// join resolves a link against the page's address.
func join(base, link string) (string, error) {
	if base == "" {
		return link, nil
	}
	if link == "" {
		return base, nil
	}
	from, err := split(base, "")
	if err != nil {
		return "", err
	}
	to, err := split(link, from.scheme)
	if err != nil {
		return "", err
	}
	if to.scheme != from.scheme || !relative(to.scheme) {
		return link, nil
	}
	if to.netloc != "" {
		return to.String(), nil
	}
	to.netloc = from.netloc
	if to.path == "" {
		to.path = from.path
		if to.query == "" {
			to.query = from.query
		}
		return to.String(), nil
	}
	to.path = joinPath(from.path, to.path)
	return to.String(), nil
}

func relative(scheme string) bool {
	switch scheme {
	case "", "http", "https", "ftp", "file", "ws", "wss":
		return true
	}
	return false
}

func joinPath(base, path string) string {
	segments := strings.Split(path, "/")
	if !strings.HasPrefix(path, "/") {
		dir := strings.Split(base, "/")
		if dir[len(dir)-1] != "" {
			dir = dir[:len(dir)-1]
		}
		segments = append(dir, segments...)
	}
	var out []string
	for i, s := range segments {
		switch {
		case s == "" && i > 0 && i < len(segments)-1:
		case s == "..":
			if len(out) > 0 {
				out = out[:len(out)-1]
			}
		case s == ".":
		default:
			out = append(out, s)
		}
	}
	if last := segments[len(segments)-1]; last == "." || last == ".." {
		out = append(out, "")
	}
	if p := strings.Join(out, "/"); p != "" {
		return p
	}
	return "/"
}

func (a address) String() string {
	s := a.path
	if a.netloc != "" || relative(a.scheme) && a.scheme != "" && !strings.HasPrefix(s, "//") {
		if s != "" && s[0] != '/' {
			s = "/" + s
		}
		s = "//" + a.netloc + s
	}
	if a.scheme != "" {
		s = a.scheme + ":" + s
	}
	if a.query != "" {
		s += "?" + a.query
	}
	if a.fragment != "" {
		s += "#" + a.fragment
	}
	return s
}
