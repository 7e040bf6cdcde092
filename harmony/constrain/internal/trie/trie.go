package trie

import (
	"cmp"
	"slices"
)

// None is the token of a node at which no token ends.
const None = ^uint32(0)

// Trie holds texts with their tokens. Node i stands behind its parent and in
// front of its descendants, which end at Skip[i].
type Trie struct {
	Byte  []byte   // what leads to the node
	Depth []uint16 // of the node; 0 for the first byte of a text
	Skip  []uint32 // the first node that is no descendant
	Token []uint32 // that ends here, or None
	Deep  int      // the longest text
}

// Entry is a text and its token.
type Entry struct {
	Text  string
	Token uint32
}

// New returns the trie of the entries, of which no two have the same text, and
// none has none. It sorts them.
func New(entries []Entry) *Trie {
	slices.SortFunc(entries, func(a, b Entry) int { return cmp.Compare(a.Text, b.Text) })
	t := &Trie{}
	var path []uint32 // the nodes of the text before
	last := ""
	for _, e := range entries {
		shared := 0
		for shared < len(last) && shared < len(e.Text) && last[shared] == e.Text[shared] {
			shared++
		}
		t.close(path[shared:])
		path = path[:shared]
		for d := shared; d < len(e.Text); d++ {
			path = append(path, uint32(len(t.Byte)))
			t.Byte = append(t.Byte, e.Text[d])
			t.Depth = append(t.Depth, uint16(d))
			t.Skip = append(t.Skip, 0)
			t.Token = append(t.Token, None)
		}
		t.Token[path[len(path)-1]] = e.Token
		t.Deep = max(t.Deep, len(e.Text))
		last = e.Text
	}
	t.close(path)
	return t
}

// close sets the ends of nodes that get no more descendants.
func (t *Trie) close(path []uint32) {
	for _, i := range path {
		t.Skip[i] = uint32(len(t.Byte))
	}
}

// Len returns the number of nodes.
func (t *Trie) Len() uint32 { return uint32(len(t.Byte)) }

// Child returns the child of a node by its byte. The nodes from lo to hi are the
// descendants of one node, or all.
func (t *Trie) Child(lo, hi uint32, b byte) (uint32, bool) {
	for i := lo; i < hi; i = t.Skip[i] {
		if t.Byte[i] == b {
			return i, true
		}
	}
	return 0, false
}
