package pagetext

import "regexp"

var (
	// Link is a whole link marker; its first group is the link's text.
	Link = regexp.MustCompile(`【\p{Nd}+†([^†】]+)(?:†[^†】]+)?】`)
	// linkTail is a marker whose start lies before the text.
	linkTail = regexp.MustCompile(`^[^【】]*】`)
	// LinkHead is a marker whose end lies after the text; its groups are the
	// text of the link and a last line break.
	LinkHead = regexp.MustCompile(`【\p{Nd}*(?:†([^†】]*)(?:†[^†】]*)?)?(\n?)\z`)
)

// StripLinks replaces link markers by the text of the link, also the halves of
// markers that the ends of the text cut.
func StripLinks(s string) string {
	s = linkTail.ReplaceAllLiteralString(s, "")
	s = LinkHead.ReplaceAllString(s, "${1}${2}")
	return Link.ReplaceAllString(s, "${1}")
}
