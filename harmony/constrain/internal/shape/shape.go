package shape

import (
	"slices"

	"chorale/harmony/constrain/internal/automaton"
)

// Node is what may stand at one place of a document: any of its parts.
type Node struct {
	ID      int
	Literal Literal
	Number  *automaton.DFA // of the number's text; nil if none
	Strings []*Term
	Arrays  []*Array
	Objects []*Object
	// Height is how many brackets must be opened at least to complete the value,
	// or -1 if no value fits.
	Height int
}

// Literal is a set of null, true and false.
type Literal uint8

// The literals.
const (
	Null Literal = 1 << iota
	True
	False
)

// Term is a set of strings: those that DFA accepts and whose length in
// characters is at least Min and, unless Max is negative, at most Max.
type Term struct {
	DFA      *automaton.DFA
	Min, Max int
	Lengths  *automaton.LengthTable // if there are bounds
	Counts   bool                   // there are bounds
}

// Alive reports whether a string can be completed that has led to the state with
// n characters so far.
func (t *Term) Alive(s int32, n int) bool {
	if s == automaton.Dead {
		return false
	}
	if !t.Counts {
		return true
	}
	high := -1
	if t.Max >= 0 {
		if n > t.Max {
			return false
		}
		high = t.Max - n
	}
	return t.Lengths.Within(s, t.Min-n, high)
}

// Accepts reports whether the string may end in the state after n characters.
func (t *Term) Accepts(s int32, n int) bool {
	return t.DFA.Label(s) != 0 && n >= t.Min && (t.Max < 0 || n <= t.Max)
}

// Option is one way to take a value: as the node, and as a witness of the
// conditions whose bits are in Claims.
type Option struct {
	Node   *Node
	Claims uint8
}

// maxWitnesses bounds the conditions of one array or object that need witnesses.
const maxWitnesses = 4

// Witness is a condition that some values must fulfil: contains, and what is left
// of a negated items or properties.
type Witness struct {
	Min, Max int // a negative Max is no limit
	from     int // array items in front of it do not count
	last     int // of an object: the last property that can be one, or -1
	tail     bool
}

// Array is a shape of arrays.
type Array struct {
	Prefix    [][]Option
	Rest      []Option
	Min, Max  int // a negative Max is no limit
	Unique    bool
	Witnesses []Witness
}

// At returns the options of item i.
func (a *Array) At(i int) []Option {
	if i < len(a.Prefix) {
		return a.Prefix[i]
	}
	return a.Rest
}

// Object is a shape of objects. The properties come first, in this order, then
// the keys of the tail in any order.
type Object struct {
	Props     []Property
	Names     *Names
	Tail      *Tail // nil if no other keys may stand
	Late      uint64
	Min, Max  int // members; a negative Max is no limit
	Witnesses []Witness
	// required counts the required properties from each index on.
	required []int
}

// Property is a declared key.
type Property struct {
	Name     string
	Spelling string // as it is written between the quotes
	Required bool
	Options  []Option
}

// Tail holds the undeclared keys: the label of their automaton, less one, selects
// the key's kind.
type Tail struct {
	Keys  *Term
	Kinds []TailKind
	Count int // how many keys there are at most, or -1
}

// TailKind is what a tail key leads to.
type TailKind struct {
	Options []Option
	Late    uint64 // the key's bit of Object.Late
}

// CanEnd reports whether the array may end after n items with those witnesses.
func (a *Array) CanEnd(n int, witness uint64) bool {
	return n >= a.Min && enough(a.Witnesses, witness)
}

// Witnessed returns the count of witness i, kept in 16 bits each.
func Witnessed(witness uint64, i int) int { return int(witness >> (16 * i) & 0xffff) }

func enough(ws []Witness, witness uint64) bool {
	for i := range ws {
		if Witnessed(witness, i) < ws[i].Min {
			return false
		}
	}
	return true
}

// Claim counts one more value as a witness. It reports whether there may be so
// many. Counts that no longer matter stay where they are.
func Claim(ws []Witness, witness uint64, claims uint8) (uint64, bool) {
	for i := range ws {
		if claims>>i&1 == 0 {
			continue
		}
		switch n := Witnessed(witness, i); {
		case ws[i].Max >= 0 && n >= ws[i].Max:
			return 0, false
		case ws[i].Max < 0 && n >= ws[i].Min:
		default:
			witness += 1 << (16 * i)
		}
	}
	return witness, true
}

// CanGoOn reports whether an array of n items with those witnesses can still be
// completed.
func (a *Array) CanGoOn(n int, witness uint64) bool {
	need, ok := a.need(n, witness)
	if !ok || a.Max >= 0 && need > a.Max {
		return false
	}
	for i := n; i < need; i++ {
		if len(a.At(i)) == 0 {
			return false
		}
		if i >= len(a.Prefix) {
			break
		}
	}
	return true
}

// need returns how many items an array of n with those witnesses must have in the
// end. It is false if no items can be the witnesses that are missing.
func (a *Array) need(n int, witness uint64) (int, bool) {
	need := max(n, a.Min)
	for i, w := range a.Witnesses {
		missing := w.Min - Witnessed(witness, i)
		if missing <= 0 {
			continue
		}
		at := max(n, w.from)
		for ; missing > 0 && at < len(a.Prefix); at++ {
			if a.canClaim(at, i) {
				missing--
			}
		}
		if missing > 0 && !a.canClaim(at, i) {
			return 0, false
		}
		need = max(need, at+missing)
	}
	return need, true
}

// canClaim reports whether an item can be a witness.
func (a *Array) canClaim(item, witness int) bool {
	return slices.ContainsFunc(a.At(item), func(o Option) bool { return o.Claims>>witness&1 != 0 })
}

// Saturate returns the item count that stands for n: counts that no bound
// distinguishes are the same.
func (a *Array) Saturate(n int) int {
	if a.Max >= 0 {
		return n
	}
	return min(n, max(a.Min, len(a.Prefix), a.lastFrom()))
}

func (a *Array) lastFrom() int {
	last := 0
	for _, w := range a.Witnesses {
		last = max(last, w.from)
	}
	return last
}

// CanEnd reports whether the object may end when the properties from index next
// on have not been written.
func (o *Object) CanEnd(next, members int, late, witness uint64) bool {
	return o.required[next] == 0 && late == o.Late && members >= o.Min && enough(o.Witnesses, witness)
}

// CanGoOn reports whether the object can still be completed; used counts the
// tail keys so far.
func (o *Object) CanGoOn(next, members, used int, late, witness uint64) bool {
	missing := 0
	for bits := o.Late &^ late; bits != 0; bits &= bits - 1 {
		missing++
	}
	if o.Max >= 0 && members+o.required[next]+missing > o.Max {
		return false
	}
	if o.Tail == nil && missing > 0 {
		return false
	}
	if tail := o.tailLeft(used); tail >= 0 && members+len(o.Props)-next+tail < o.Min {
		return false
	}
	for i, w := range o.Witnesses {
		if Witnessed(witness, i) < w.Min && w.last < next && (!w.tail || o.Max >= 0 && members >= o.Max) {
			return false
		}
	}
	return true
}

// tailLeft returns how many tail keys are left, or -1 for no limit.
func (o *Object) tailLeft(used int) int {
	switch {
	case o.Tail == nil:
		return 0
	case o.Tail.Count < 0:
		return -1
	}
	return o.Tail.Count - used
}

// CanAdd reports whether a tail key may be next.
func (o *Object) CanAdd(next, members, used int) bool {
	return o.Tail != nil && o.required[next] == 0 && (o.Max < 0 || members < o.Max) && o.tailLeft(used) != 0
}

// Saturate returns the member count that stands for n.
func (o *Object) Saturate(n int) int {
	if o.Max >= 0 {
		return n
	}
	return min(n, o.Min)
}

// Names is a trie of the spellings of an object's properties.
type Names struct {
	nodes []nameNode
}

type nameNode struct {
	next  [][2]int32 // byte, node
	props []int32    // properties that begin so, in order
	prop  int32      // that is spelled so, or -1
}

func newNames(props []Property) *Names {
	n := &Names{nodes: []nameNode{{prop: -1}}}
	for i, p := range props {
		at := int32(0)
		n.nodes[0].props = append(n.nodes[0].props, int32(i))
		for _, b := range []byte(p.Spelling) {
			next := n.Step(at, b)
			if next < 0 {
				next = int32(len(n.nodes))
				n.nodes = append(n.nodes, nameNode{prop: -1})
				n.nodes[at].next = append(n.nodes[at].next, [2]int32{int32(b), next})
			}
			at = next
			n.nodes[at].props = append(n.nodes[at].props, int32(i))
		}
		n.nodes[at].prop = int32(i)
	}
	return n
}

// Step returns the node behind a byte, or -1.
func (n *Names) Step(at int32, b byte) int32 {
	for _, e := range n.nodes[at].next {
		if e[0] == int32(b) {
			return e[1]
		}
	}
	return -1
}

// Below returns the properties whose spelling begins with that of the node.
func (n *Names) Below(at int32) []int32 { return n.nodes[at].props }

// Prop returns the property that is spelled as the node, or -1.
func (n *Names) Prop(at int32) int { return int(n.nodes[at].prop) }

// EachNext calls f with the bytes that lead on.
func (n *Names) EachNext(at int32, f func(b byte, next int32)) {
	for _, e := range n.nodes[at].next {
		f(byte(e[0]), e[1])
	}
}

// RequiredBetween reports whether one of the properties from one index up to another, which
// is not among them, is required.
func (o *Object) RequiredBetween(from, to int) bool { return o.required[from] != o.required[to] }
