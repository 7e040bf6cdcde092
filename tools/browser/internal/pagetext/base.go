package pagetext

import (
	"net/url"
	"strings"

	"golang.org/x/net/html"
)

// BaseOf is what the document says its links are relative to.
func BaseOf(src, address string) string {
	z := html.NewTokenizer(strings.NewReader(src))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return ""
		case html.StartTagToken, html.SelfClosingTagToken:
			name, more := z.TagName()
			if string(name) == "body" {
				return ""
			}
			if string(name) != "base" {
				continue
			}
			for more {
				var k, v []byte
				k, v, more = z.TagAttr()
				from, err := url.Parse(address)
				if string(k) != "href" || err != nil {
					continue
				}
				if to, err := from.Parse(string(v)); err == nil && (to.Scheme == "http" || to.Scheme == "https") {
					return to.String()
				}
			}
		}
	}
}
