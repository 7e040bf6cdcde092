package pagetext

import (
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// A document is its nodes in document order. A node's descendants are the
// nodes between it and its end, so that no walk needs recursion.
type document struct {
	nodes []node
	title int // index of the first title element, or noTitle
}

const noTitle = -1

type kind uint8

const (
	element kind = iota
	text
	comment
)

type node struct {
	kind kind
	tag  atom.Atom // 0 for an element that HTML does not know
	end  int32     // index after the last descendant
	text string    // of a text node; for a, img, ol and abbr their attribute
	has  bool      // whether that attribute is there
}

// titleText is the title's text up to its first child element.
func (d *document) titleText() string {
	i := d.title + 1
	if i < len(d.nodes) && d.nodes[i].kind == text && int32(i) < d.nodes[d.title].end {
		return d.nodes[i].text
	}
	return ""
}

// builder makes a document from tags. It does not repair the tree as a browser
// does: what comes from a browser needs no repair, and for the rest it closes
// elements by the few rules of HTML 4 that the reference's parser (libxml2)
// follows, which is what the format was trained on.
type builder struct {
	doc  document
	open []frame
	// last is the place in open of the innermost element of each tag, so that
	// a closing tag costs no search.
	last     map[atom.Atom]int
	unknown  map[string]int // for elements that HTML does not know
	barrier  [barriers]int  // the same for each rank of closing power
	headOver bool
	joins    bool // whether a text that comes now goes on the node before
}

type frame struct {
	node      int32
	tag       atom.Atom
	name      string // where tag is 0
	outer     int    // what last held before
	outerRank int
}

func parse(src string) *document {
	b := &builder{last: map[atom.Atom]int{}, unknown: map[string]int{}}
	b.doc.title = noTitle
	b.doc.nodes = make([]node, 0, len(src)/24+16)
	for i := range b.barrier {
		b.barrier[i] = -1
	}
	z := html.NewTokenizer(strings.NewReader(src))
	for {
		switch z.Next() {
		case html.ErrorToken:
			for len(b.open) > 0 {
				b.pop()
			}
			return &b.doc
		case html.TextToken:
			b.addText(string(z.Text()))
		case html.CommentToken:
			b.doc.nodes = append(b.doc.nodes, node{kind: comment, end: int32(len(b.doc.nodes) + 1)})
		case html.StartTagToken:
			b.start(z, false)
		case html.SelfClosingTagToken:
			b.start(z, true)
		case html.EndTagToken:
			name, _ := z.TagName()
			b.endTag(atom.Lookup(name), string(name))
		}
	}
}

func (b *builder) addText(s string) {
	if s == "" {
		return
	}
	s = unmark(s)
	if b.top() == atom.Html || b.top() == atom.Head || len(b.open) == 0 {
		if strings.TrimFunc(s, isSpace) == "" {
			return
		}
		b.closeHead()
	}
	n := len(b.doc.nodes)
	joined := b.joins && n > 0 && b.doc.nodes[n-1].kind == text
	b.doc.nodes = append(b.doc.nodes, node{kind: text, end: int32(n + 1), text: s, has: joined})
	b.joins = true
}

func (b *builder) top() atom.Atom {
	if len(b.open) == 0 {
		return 0
	}
	return b.open[len(b.open)-1].tag
}

// closeHead ends an open head and makes sure that none is implied any more.
func (b *builder) closeHead() {
	if i, ok := b.last[atom.Head]; ok && i >= 0 {
		for len(b.open) > i {
			b.pop()
		}
	}
	b.headOver = true
}

func (b *builder) start(z *html.Tokenizer, selfClosing bool) {
	raw, hasAttr := z.TagName()
	tag := atom.Lookup(raw)
	name := ""
	if tag == 0 {
		name = string(raw)
	}
	switch tag {
	case atom.Html, atom.Body:
		if tag == atom.Body {
			b.closeHead()
		}
		if i, ok := b.last[tag]; ok && i >= 0 {
			return // a second one only adds attributes
		}
	case atom.Head:
		if b.headOver {
			return
		}
	default:
		b.imply(tag)
	}
	for len(b.open) > 0 && closes(tag, b.top()) {
		b.pop()
	}
	n := node{kind: element, tag: tag}
	if hasAttr {
		readAttr(z, tag, &n)
	}
	if tag == atom.Noscript {
		z.NextIsNotRawText()
	}
	if tag == atom.Title && b.doc.title == noTitle {
		b.doc.title = len(b.doc.nodes)
	}
	b.push(n, name)
	if selfClosing || void(tag) {
		b.pop()
	}
}

// imply opens the head that a document left out, or closes it.
func (b *builder) imply(tag atom.Atom) {
	if !inHead(tag) {
		if b.top() == atom.Head || !b.headOver && len(b.open) <= 1 {
			b.closeHead()
		}
		return
	}
	if !b.headOver && len(b.open) <= 1 && (b.top() == atom.Html || len(b.open) == 0) {
		if i, ok := b.last[atom.Head]; !ok || i < 0 {
			b.push(node{kind: element, tag: atom.Head}, "")
		}
	}
}

func (b *builder) push(n node, name string) {
	at := len(b.open)
	f := frame{node: int32(len(b.doc.nodes)), tag: n.tag, name: name, outer: -1}
	if n.tag == 0 {
		if i, ok := b.unknown[name]; ok {
			f.outer = i
		}
		b.unknown[name] = at
	} else {
		if i, ok := b.last[n.tag]; ok {
			f.outer = i
		}
		b.last[n.tag] = at
	}
	r := rank(n.tag)
	f.outerRank, b.barrier[r] = b.barrier[r], at
	b.joins = false
	b.open = append(b.open, f)
	b.doc.nodes = append(b.doc.nodes, n)
}

func (b *builder) pop() {
	f := b.open[len(b.open)-1]
	b.joins = false
	b.open = b.open[:len(b.open)-1]
	if f.tag == 0 {
		b.unknown[f.name] = f.outer
	} else {
		b.last[f.tag] = f.outer
	}
	b.barrier[rank(f.tag)] = f.outerRank
	b.doc.nodes[f.node].end = int32(len(b.doc.nodes))
	if f.tag == atom.Head {
		b.headOver = true
	}
}

// endTag closes the innermost element of that name, and what is open in it,
// unless an element of more closing power lies between.
func (b *builder) endTag(tag atom.Atom, name string) {
	if tag == atom.Body || tag == atom.Html {
		return // what follows still belongs to the body
	}
	at, ok := b.last[tag]
	if tag == 0 {
		at, ok = b.unknown[name]
	}
	if !ok || at < 0 {
		if tag == atom.P { // a stray </p> is an empty paragraph
			b.push(node{kind: element, tag: atom.P}, "")
			b.pop()
		}
		return
	}
	for r := rank(tag) + 1; r < barriers; r++ {
		if b.barrier[r] > at {
			return
		}
	}
	for len(b.open) > at {
		b.pop()
	}
}

// readAttr keeps the one attribute that the text needs.
func readAttr(z *html.Tokenizer, tag atom.Atom, n *node) {
	want, second := "", ""
	switch tag {
	case atom.A:
		want = "href"
	case atom.Img:
		want, second = "alt", "title"
	case atom.Ol:
		want = "start"
	case atom.Abbr, atom.Acronym:
		want = "title"
	default:
		return
	}
	for more := true; more; {
		var key, val []byte
		key, val, more = z.TagAttr()
		if string(key) == want && !n.has {
			n.text, n.has = unmark(string(val)), true
		} else if second != "" && string(key) == second && n.text == "" && !n.has {
			n.text = unmark(string(val))
		}
	}
}
