package provenance

import (
	"net/url"
	"regexp"
	"strings"
)

// Domain is what stands behind the @ of a mail address, in lower case, or "".
// Letters that only look like others stay what they are.
func Domain(address string) string {
	local, domain, ok := strings.Cut(address, "@")
	if !ok || local == "" || strings.ContainsAny(domain, "@ <>,;") {
		return ""
	}
	return strings.ToLower(strings.TrimSuffix(domain, "."))
}

// Host is the host name of an address in lower case, or "" where there is
// none. The scheme may be missing, as people write it. User names, ports and
// what browsers make of backslashes don't count: what cannot be read for sure
// has no host.
func Host(address string) string {
	if strings.ContainsAny(address, "\\ \t\r\n") {
		return ""
	}
	bare := !strings.Contains(address, "://")
	if bare {
		address = "https://" + strings.TrimPrefix(address, "//")
	}
	u, err := url.Parse(address)
	if err != nil || u.User != nil {
		return ""
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if bare && !strings.Contains(host, ".") && host != "localhost" {
		return "" // a word
	}
	return host
}

// linkPattern finds addresses in prose: with a scheme, with www., or a host
// name, perhaps with a port, with a path or a query.
var (
	linkPattern = regexp.MustCompile(schemed + `|\bwww\.` + linkRune + `+|\b(?:[\pL\pN-]+\.)+(?:\pL{2,}|xn--[a-z0-9-]+)(?::\d{1,5})?(?:/` + linkRune + `*|\?` + linkRune + `+)`)
	nested      = regexp.MustCompile(schemed)
)

const (
	schemed  = `(?i)[a-z][a-z0-9+.-]*://` + linkRune + `+`
	linkRune = `[^\s<>"'` + "`" + `\\)\]}]`
)

// linksIn are the addresses in a text, without the punctuation behind them, and
// those within them: what separates two is not always a space. It reports
// whether these are all that there are.
func linksIn(text string) (out []string, all bool) {
	if !strings.ContainsAny(text, "/.") {
		return nil, true
	}
	for _, m := range linkPattern.FindAllString(text, maxLinks+1) {
		for m != "" {
			if len(out) == maxLinks {
				return out, false
			}
			out = append(out, strings.TrimRight(m, ".,;:!?*_"))
			_, rest, _ := strings.Cut(m, "://")
			m = nested.FindString(rest)
		}
	}
	return out, true
}

const maxLinks = 100 // of one text

// bare is an address in the form in which two are compared: without scheme and
// closing slash, the host in lower case.
func bare(address string) string {
	_, rest, ok := strings.Cut(address, "://")
	if !ok {
		rest = address
	}
	rest = strings.TrimSuffix(rest, "/")
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	return strings.ToLower(rest[:end]) + rest[end:]
}

// within reports whether a host is one of the patterns, as an allow list of the
// browser has them: the host itself, "*.example.com" for those below it, "*"
// for any. Scheme and port of a pattern say nothing about the host.
func within(host string, patterns []string) bool {
	for _, p := range patterns {
		if _, rest, ok := strings.Cut(p, "://"); ok {
			p = rest
		}
		if i := strings.LastIndexByte(p, ':'); i >= 0 && !strings.HasSuffix(p, "]") {
			p = p[:i]
		}
		p = strings.ToLower(strings.Trim(p, "[]"))
		base, below := strings.CutPrefix(p, "*.")
		if host != "" && (p == "*" || host == p || below && strings.HasSuffix(host, "."+base)) {
			return true
		}
	}
	return false
}
