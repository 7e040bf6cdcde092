// Package wall is the boundary between a tool and the network: a rule that says
// which hosts may be reached, a dialer that enforces it at the moment of
// connecting, and the ways through it: a proxy for the browser, a client that
// fetches documents, and a transport for clients of HTTP. What the rule does not allow is never connected to, also
// not by redirect, and also not when an allowed name resolves to a private
// address. The zero rule allows nothing.
package wall

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// A Rule is a list of what may be reached.
type Rule struct {
	entries []entry
	within  []Rule // further rules that must allow the same
}

// Meet is the rule that allows what r and all others allow. A host may have a
// private address only where each of them names it without a star.
func (r Rule) Meet(others ...Rule) Rule {
	return Rule{entries: r.entries, within: slices.Concat(r.within, others)}
}

// All reports whether the rule allows every public host.
func (r Rule) All() bool {
	return slices.ContainsFunc(r.entries, func(e entry) bool { return e == entry{sub: true} }) &&
		!slices.ContainsFunc(r.within, func(w Rule) bool { return !w.All() })
}

type entry struct {
	scheme string // "", "http" or "https"
	host   string // without the "*."; empty for any host
	sub    bool   // "*.host": only below host
	port   uint16 // 0: the scheme's own
}

// ParseRule reads one entry a string:
//
//	example.org           that host, http on port 80 and https on port 443
//	https://example.org   only https
//	example.org:8080      only that port
//	*.example.org         every host below it
//	*                     every host
//
// A host that is named without a star may have any address. All others must
// resolve to globally routable addresses only.
func ParseRule(allow []string) (Rule, error) {
	var r Rule
	for _, s := range allow {
		e, err := parseEntry(s)
		if err != nil {
			return Rule{}, fmt.Errorf("allow %q: %w", s, err)
		}
		r.entries = append(r.entries, e)
	}
	return r, nil
}

// Origin is the rule that allows the origin of an address, and nothing else.
func Origin(u *url.URL) (Rule, error) {
	if u.Host == "" {
		return Rule{}, fmt.Errorf("%q names no host", u)
	}
	return ParseRule([]string{u.Scheme + "://" + u.Host})
}

func parseEntry(s string) (entry, error) {
	var e entry
	rest := s
	if scheme, after, ok := strings.Cut(s, "://"); ok {
		e.scheme, rest = strings.ToLower(scheme), after
		if e.scheme != "http" && e.scheme != "https" {
			return e, fmt.Errorf("scheme %q: only http and https", scheme)
		}
	}
	host := rest
	if h, p, err := net.SplitHostPort(rest); err == nil {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return e, fmt.Errorf("port %q: want 1 to 65535", p)
		}
		host, e.port = h, uint16(n)
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	switch {
	case host == "*":
		e.sub = true
		return e, nil
	case strings.HasPrefix(host, "*."):
		e.sub, host = true, host[2:]
	}
	name, err := cleanHost(host)
	if err != nil {
		return e, err
	}
	e.host = name
	return e, nil
}

// cleanHost returns the one spelling of a host that rules are compared in.
func cleanHost(host string) (string, error) {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if strings.ContainsFunc(host, func(r rune) bool { return r >= 0x80 }) {
		name, err := idna.Lookup.ToASCII(host)
		if err != nil {
			return "", fmt.Errorf("%q is not a host name: %w", host, err)
		}
		host = name
	}
	if a, err := netip.ParseAddr(host); err == nil {
		if a.Zone() != "" {
			return "", fmt.Errorf("host %q has a zone", host)
		}
		return a.Unmap().String(), nil
	}
	if host == "" || strings.ContainsAny(host, "*/?#@:%\\ \t\r\n") {
		return "", fmt.Errorf("%q is not a host name", host)
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	if _, err := strconv.ParseUint(last, 0, 64); err == nil || strings.Trim(last, "0123456789") == "" {
		return "", fmt.Errorf("%q is an odd spelling of an address", host)
	}
	return host, nil
}

// A Refusal says what the rule does not allow.
type Refusal struct{ Host, Why string }

func (r *Refusal) Error() string { return r.Host + " is not allowed: " + r.Why }

// check finds the entry that allows a connection. scheme may be empty where it
// is unknown. named reports that the entry names the host itself.
func (r Rule) check(scheme, host string, port uint16) (name string, named bool, err error) {
	name, err = cleanHost(host)
	if err != nil {
		return "", false, &Refusal{host, err.Error()}
	}
	found := false
	for _, e := range r.entries {
		if !e.matches(scheme, name, port) {
			continue
		}
		found = true
		named = named || !e.sub
	}
	if !found {
		return "", false, &Refusal{net.JoinHostPort(name, strconv.Itoa(int(port))), "no entry of the task's allow list names it"}
	}
	for _, w := range r.within {
		_, also, err := w.check(scheme, host, port)
		if err != nil {
			return "", false, &Refusal{net.JoinHostPort(name, strconv.Itoa(int(port))), "a policy does not allow it"}
		}
		named = named && also
	}
	return name, named, nil
}

func (e entry) matches(scheme, host string, port uint16) bool {
	switch {
	case e.scheme != "" && scheme != "" && e.scheme != scheme:
		return false
	case e.sub && e.host != "" && !strings.HasSuffix(host, "."+e.host):
		return false
	case !e.sub && e.host != host:
		return false
	}
	if e.port != 0 {
		return e.port == port
	}
	switch e.scheme {
	case "http":
		return port == 80
	case "https":
		return port == 443
	}
	return port == 80 && scheme != "https" || port == 443 && scheme != "http"
}

// CheckURL refuses an address that the rule does not allow, before anything is
// resolved.
func (r Rule) CheckURL(u *url.URL) error {
	if u.Scheme != "http" && u.Scheme != "https" {
		return &Refusal{u.Scheme + ":", "only http and https addresses can be opened"}
	}
	port := map[string]uint16{"http": 80, "https": 443}[u.Scheme]
	if p := u.Port(); p != "" {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil {
			return &Refusal{u.Host, "bad port"}
		}
		port = uint16(n)
	}
	_, _, err := r.check(u.Scheme, u.Hostname(), port)
	return err
}
