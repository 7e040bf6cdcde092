package pagetext

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html/atom"
)

// A piece is a tag or a part of a text. Pieces of text that follow each other
// are one text; they are not joined earlier than needed, so that a long
// paragraph of many links costs no more than its length.
type piece struct {
	kind pieceKind
	tag  atom.Atom
	text string // of a text; of an opening tag its attribute
	has  bool   // whether that attribute is there
}

type pieceKind uint8

const (
	words pieceKind = iota
	opening
	closing
	remark // a comment: no text, but it parts what surrounds it
)

// linker walks the document once, puts markers in the place of links and
// images, and leaves formulas out.
type linker struct {
	doc    *document
	own    string // the page's host
	base   string
	out    []piece
	links  []string
	number map[string]int
	images int
	// nextText[i] is the first text node at or after node i.
	nextText []int32
}

func markLinks(doc *document, url, base string) ([]piece, []string) {
	l := &linker{doc: doc, own: host(url), base: base, number: map[string]int{}}
	l.out = make([]piece, 0, 2*len(doc.nodes))
	l.nextText = make([]int32, len(doc.nodes)+1)
	next := int32(len(doc.nodes))
	l.nextText[len(doc.nodes)] = next
	for i := len(doc.nodes) - 1; i >= 0; i-- {
		if doc.nodes[i].kind == text {
			next = int32(i)
		}
		l.nextText[i] = next
	}
	l.walk()
	return l.out, l.links
}

// walk visits the nodes in document order. Within a marked link nothing is
// shown but nested links still take their number; within a formula images do
// too.
func (l *linker) walk() {
	type open struct {
		tag atom.Atom
		end int32
	}
	var stack []open
	var linkEnd, mathEnd int32
	lost := false // the text after a formula goes with it
	nodes := l.doc.nodes
	for i := int32(0); ; i++ {
		for len(stack) > 0 && stack[len(stack)-1].end <= i {
			l.out = append(l.out, piece{kind: closing, tag: stack[len(stack)-1].tag})
			stack = stack[:len(stack)-1]
			lost = false
		}
		if int(i) == len(nodes) {
			return
		}
		n := &nodes[i]
		hidden := i < linkEnd || i < mathEnd
		switch {
		case n.kind == text:
			if !hidden && !lost {
				l.out = append(l.out, piece{text: n.text})
			}
			continue
		case n.kind == comment:
			if !hidden {
				l.out = append(l.out, piece{kind: remark})
				lost = false
			}
			continue
		}
		if n.tag == atom.A && n.has {
			if marker, ok := l.marker(i); ok {
				if !hidden && !lost {
					l.out = append(l.out, piece{text: marker})
				}
				linkEnd = max(linkEnd, n.end)
				continue
			}
		}
		if n.tag == atom.Img && i >= linkEnd {
			marker := l.image(n)
			if !hidden && !lost {
				l.out = append(l.out, piece{text: marker})
			}
			continue
		}
		if hidden {
			continue
		}
		if n.tag == atom.Math {
			mathEnd, lost = n.end, true
			continue
		}
		lost = false
		l.out = append(l.out, piece{kind: opening, tag: n.tag, text: n.text, has: n.has})
		stack = append(stack, open{n.tag, n.end})
	}
}

func (l *linker) image(n *node) string {
	id := l.images
	l.images++
	if n.text == "" {
		return fmt.Sprintf("[Image %d]", id)
	}
	return fmt.Sprintf("[Image %d: %s]", id, n.text)
}

// marker numbers the link at node i and returns what stands in its place. It
// reports false for a link that stays as its content: one without text, or
// that leads nowhere.
func (l *linker) marker(i int32) (string, bool) {
	n := &l.doc.nodes[i]
	href := n.text
	if strings.HasPrefix(href, "mailto:") || strings.HasPrefix(href, "javascript:") {
		return "", false
	}
	if l.nextText[i] >= n.end {
		return "", false
	}
	if strings.HasPrefix(href, "#") {
		return l.linkText(i), true
	}
	link, err := join(l.base, href)
	if err != nil {
		return "", false
	}
	domain := host(link)
	if domain == "" {
		return "", false
	}
	link = arxiv.ReplaceAllString(link, "ar5iv.org")
	id, known := l.number[link]
	if !known {
		id = len(l.links)
		l.number[link] = id
		l.links = append(l.links, link)
	}
	if domain == l.own {
		return "【" + strconv.Itoa(id) + "†" + l.linkText(i) + "】", true
	}
	return "【" + strconv.Itoa(id) + "†" + l.linkText(i) + "†" + domain + "】", true
}

// arxiv.org is read at its HTML twin, as in the trained format.
var arxiv = regexp.MustCompile(`arxiv.org`)

// linkText is a link's text on one line.
func (l *linker) linkText(i int32) string {
	var b strings.Builder
	end := l.doc.nodes[i].end
	for j := l.nextText[i]; j < end; j = l.nextText[j+1] {
		if n := &l.doc.nodes[j]; b.Len() > 0 && !n.has {
			b.WriteByte(' ')
		}
		b.WriteString(l.doc.nodes[j].text)
	}
	return strings.ReplaceAll(oneSpace(b.String()), "†", "‡")
}

// scripts writes a superscript or subscript that is one word as ^{word} or
// _{word}.
func scripts(in []piece, name string, sign byte) []piece {
	tag := atom.Lookup([]byte(name))
	out := in[:0]
	for i := 0; i < len(in); i++ {
		p := in[i]
		if p.kind == opening && p.tag == tag {
			j := i + 1
			for j < len(in) && in[j].kind == words && isWordOrHyphen(in[j].text) {
				j++
			}
			if j > i+1 && in[j].kind == closing && in[j].tag == tag {
				first := in[i+1]
				first.text = string(sign) + "{" + first.text
				out = append(out, first)
				out = append(out, in[i+2:j]...)
				out = append(out, piece{text: "}"})
				i = j
				continue
			}
		}
		out = append(out, p)
	}
	return out
}

func isWordOrHyphen(s string) bool {
	for _, r := range s {
		if r != '-' && !isWord(r) {
			return false
		}
	}
	return s != ""
}

// separate puts a space where only tags part two words, as between the cells
// of a table.
func separate(pieces []piece) {
	lastText := -1
	for i := range pieces {
		if pieces[i].kind != words {
			continue
		}
		if lastText >= 0 && lastText < i-1 {
			before, _ := utf8.DecodeLastRuneInString(pieces[lastText].text)
			after, _ := utf8.DecodeRuneInString(pieces[i].text)
			if isWord(before) && isWord(after) {
				pieces[lastText].text += " "
			}
		}
		lastText = i
	}
}
