package search

import (
	"iter"
	"slices"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// having are the elements below a node of a kind (0: any) that have a class, or
// that id (empty: any), in their order. Those within one of them are not visited.
func having(n *html.Node, kind atom.Atom, class string) iter.Seq[*html.Node] {
	return func(yield func(*html.Node) bool) {
		for at := n.FirstChild; at != nil; {
			fits := at.Type == html.ElementNode && (kind == 0 || at.DataAtom == kind) && (class == "" || hasClass(at, class) || attribute(at, "id") == class)
			if fits && !yield(at) {
				return
			}
			at = after(at, n, !fits)
		}
	}
}

// after is the next node of a walk below top; with inside a node's children come
// next.
func after(n, top *html.Node, inside bool) *html.Node {
	if inside && n.FirstChild != nil {
		return n.FirstChild
	}
	for ; n != top; n = n.Parent {
		if n.NextSibling != nil {
			return n.NextSibling
		}
	}
	return nil
}

func hasClass(n *html.Node, class string) bool {
	return slices.Contains(strings.Fields(attribute(n, "class")), class)
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// textOf is the text below a node, in one line.
func textOf(n *html.Node) string {
	var b strings.Builder
	for at := n.FirstChild; at != nil; at = after(at, n, true) {
		if at.Type == html.TextNode {
			b.WriteString(at.Data)
		}
	}
	return html.EscapeString(strings.Join(strings.Fields(b.String()), " "))
}
