package provenance

import (
	"slices"
	"strings"
)

// link says what speaks for an address.
func (l *Ledger) link(address string, label Label) Link {
	out := Link{URL: address, Host: Host(address)}
	verbatim := l.verbatim(address)
	named := out.Host != "" && (l.user.mentions(out.Host) || l.developer.mentions(out.Host))
	switch {
	case out.Host == "" && label < Directory:
		out.Standing = Invented
	case label >= Directory, within(out.Host, l.manifest.Boundary.Hosts), named && verbatim,
		named && bare(address) == out.Host:
		out.Standing = Named
	case l.said.holds(address):
		out.Standing = Vouched
	case verbatim:
		out.Standing = Foreign
	case named:
		out.Standing = OnNamed
	}
	return out
}

// verbatim reports whether an address stands in untrusted text that the model
// cannot have put it into: neither by code of its own nor by writing it into a
// call, which many an answer repeats.
func (l *Ledger) verbatim(address string) bool {
	text := strings.ToLower(bare(address))
	first := slices.IndexFunc(l.wrote, func(wrote string) bool { return strings.Contains(wrote, text) })
	ok := false
	l.untrusted.find(address, func(n, _ int) bool {
		from := l.sources[n]
		ok = !from.plain && !from.made && (first < 0 || from.wrote <= first)
		return !ok
	})
	return ok
}

// mentions reports whether a host name stands in a text, alone or at the
// beginning of an address.
func (x *index) mentions(host string) bool {
	for _, text := range x.texts {
		lower := strings.ToLower(text)
		for from := 0; ; {
			i := strings.Index(lower[from:], host)
			if i < 0 {
				break
			}
			start, end := from+i, from+i+len(host)
			if hostAt(lower, start, end) {
				return true
			}
			from = end
		}
	}
	return false
}

// hostAt reports whether a host name ends at end and begins at start, behind
// nothing or a scheme.
func hostAt(text string, start, end int) bool {
	if start > 0 && (isWord(rune(text[start-1])) || strings.IndexByte("-.@", text[start-1]) >= 0 || text[start-1] >= 0x80) {
		return false
	}
	if start > 0 && text[start-1] == '/' && !strings.HasSuffix(text[:start], "://") {
		return false
	}
	if end == len(text) {
		return true
	}
	switch c := text[end]; {
	case c == '.', c == '-':
		return end+1 == len(text) || !isWord(rune(text[end+1])) && text[end+1] < 0x80
	case c == '@':
		return false
	default:
		return !isWord(rune(c)) && c < 0x80
	}
}
