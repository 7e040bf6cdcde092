package shape

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"chorale/harmony/constrain/internal/automaton"
)

// draft is a node that is being built.
type draft struct {
	node    *Node
	lits    []lit
	arrays  []*arrayShape
	objects []*objectShape
}

// optionDraft is an option whose node may not be built yet.
type optionDraft struct {
	node   *draft
	claims uint8
}

// objectShape is an object whose nodes are not built yet.
type objectShape struct {
	draft   *objectDraft
	props   []propDraft
	late    []string
	tailDFA *automaton.DFA
	kinds   []tailDraft
}

type propDraft struct {
	name     string
	required bool
	options  []optionDraft
}

type tailDraft struct {
	options []optionDraft
	late    uint64
}

// maxNodes bounds the places of a schema that differ.
const maxNodes = 20_000

// Compile turns a schema into the node of a whole document. With lenient set, it
// returns what it left out. The error is an *[Error].
func Compile(schema []byte, lenient bool) (*Node, []*Error, error) {
	root, err := parseJSON(schema)
	if err != nil {
		return nil, nil, &Error{Path: "#", Reason: err.Error(), Invalid: true}
	}
	c := &compiler{
		root: root, lenient: lenient, anchors: map[string]*value{}, dynamic: map[string]int{},
		patterns: map[string]*automaton.DFA{}, compared: map[string]*automaton.DFA{}, consts: map[*value]*value{},
		nodes: map[string]*draft{}, active: map[lit]int{}, reported: map[string]bool{}, nameSets: map[lit]*automaton.DFA{},
	}
	c.index(root)
	first := c.draft([]lit{{v: root}})
	for i := 0; i < len(c.order); i++ { // building one appends those that it needs
		if err := c.build(c.order[i]); err != nil {
			return nil, nil, err
		}
		if len(c.order) > maxNodes {
			return nil, nil, unsupported(root, "$ref", "more than %d places that differ", maxNodes)
		}
	}
	c.settle()
	if first.node.Height < 0 {
		return nil, nil, &Error{Path: "#", Reason: "no document satisfies the schema", Invalid: true}
	}
	return first.node, c.unenforced, nil
}

// draft returns the node of all values that fulfil the schemas.
func (c *compiler) draft(lits []lit) *draft {
	var kept []lit
	for _, l := range lits {
		l = c.follow(l)
		dup := l.v.kind == kTrue && !l.neg || l.v.kind == kFalse && l.neg
		for _, k := range kept {
			dup = dup || k == l
		}
		if !dup {
			kept = append(kept, l)
		}
	}
	var key strings.Builder
	for _, l := range kept {
		fmt.Fprintf(&key, "%p%v ", l.v, l.neg)
	}
	if d := c.nodes[key.String()]; d != nil {
		return d
	}
	d := &draft{lits: kept, node: &Node{ID: len(c.order), Height: -1}}
	c.nodes[key.String()] = d
	c.order = append(c.order, d)
	return d
}

// follow leads through a schema that is nothing but a reference.
func (c *compiler) follow(l lit) lit {
	for range maxExpansion {
		ref := l.v.get("$ref")
		if ref == nil {
			return l
		}
		for _, k := range l.v.keys {
			switch k {
			case "$ref", "title", "description", "default", "examples", "$comment", "deprecated", "$defs", "definitions", "$schema", "$id", "$anchor":
			default:
				return l
			}
		}
		to, err := c.resolve(l.v, "$ref", ref)
		if err != nil {
			return l // building the node will say so
		}
		l.v = to
	}
	return l
}

// expandAll returns the alternatives in which all schemas are fulfilled.
func (c *compiler) expandAll(lits []lit) ([]clause, error) {
	out := everything
	for _, l := range lits {
		cs, err := c.tolerate(c.expand(l, false))
		if err != nil {
			return nil, err
		}
		if out = andAll(out, cs); len(out) > maxClauses {
			return nil, unsupported(l.v, "allOf", "more than %d alternatives at one place", maxClauses)
		}
	}
	return out, nil
}

// withWitnesses returns the options of a value: for each set of conditions that
// it may be a witness of, the node of the values that are. deny tells for which
// conditions a value that is none must be known to be none.
func (c *compiler) withWitnesses(lits []lit, n int, at func(i int) (bool, lit, error), deny func(i int) bool) ([]optionDraft, error) {
	type condition struct {
		bit  uint8
		lit  lit
		deny bool
	}
	var conds []condition
	for i := range n {
		in, l, err := at(i)
		if err != nil {
			return nil, err
		}
		if in {
			conds = append(conds, condition{1 << i, l, deny != nil && deny(i)})
		}
	}
	var out []optionDraft
	for set := range 1 << len(conds) {
		o := optionDraft{}
		all := append([]lit(nil), lits...)
		for i, cond := range conds {
			switch {
			case set>>i&1 != 0:
				o.claims |= cond.bit
				all = append(all, cond.lit)
			case cond.deny:
				all = append(all, lit{cond.lit.v, !cond.lit.neg})
			}
		}
		o.node = c.draft(all)
		out = append(out, o)
	}
	return out, nil
}

// build sorts the alternatives of a node by the type of value.
func (c *compiler) build(d *draft) error {
	cs, err := c.expandAll(d.lits)
	if err != nil {
		return err
	}
	at := c.root
	if len(d.lits) > 0 {
		at = d.lits[0].v
	}
	for _, a := range cs {
		for i, t := range []types{tNull, tTrue, tFalse} {
			if a.types&t != 0 {
				d.node.Literal |= 1 << i
			}
		}
	}
	if d.node.Number, err = c.number(at, cs); err != nil {
		return err
	}
	if d.node.Strings, err = c.stringTerms(at, cs); err != nil {
		return err
	}
	for _, a := range cs {
		if a.types&tArray != 0 {
			s, err := c.newArrayShape(at, a.arrays)
			if err != nil {
				return err
			}
			if s != nil {
				d.arrays = append(d.arrays, s)
			}
		}
		if a.types&tObject != 0 {
			od, err := c.newObjectDraft(a.objects)
			if err != nil {
				return err
			}
			if od == nil {
				continue
			}
			s, err := od.shape()
			if err != nil {
				return err
			}
			if s != nil {
				d.objects = append(d.objects, s)
			}
		}
	}
	return nil
}

// number returns the automaton of the numbers that fulfil one of the clauses.
func (c *compiler) number(v *value, cs []clause) (*automaton.DFA, error) {
	var all []*automaton.DFA
	for _, a := range cs {
		if a.types&tNumber == 0 {
			continue
		}
		d, err := numbersOf(a.numbers)
		if err != nil {
			return nil, unsupported(v, "type", "its numbers: %v", err)
		}
		if !d.Empty() {
			all = append(all, d)
		}
	}
	if len(all) == 0 {
		return nil, nil
	}
	d, err := automaton.Or(all...)
	if err != nil {
		return nil, unsupported(v, "type", "its numbers: %v", err)
	}
	return d, nil
}

func numbersOf(atoms []numberAtom) (*automaton.DFA, error) {
	if len(atoms) == 0 {
		return automaton.AnyNumber(), nil
	}
	ds := make([]*automaton.DFA, len(atoms))
	for i, a := range atoms {
		ds[i] = a.d
	}
	return automaton.Combine(func(labels []int32) int32 {
		for i, l := range labels {
			if atoms[i].labels>>l&1 == 0 || l == 0 {
				return 0
			}
		}
		return 1
	}, ds...)
}

// stringTerms returns the strings that fulfil one of the clauses.
func (c *compiler) stringTerms(v *value, cs []clause) ([]*Term, error) {
	var terms []*Term
	var free []*automaton.DFA // without bounds: one automaton for all
	for _, a := range cs {
		if a.types&tString == 0 {
			continue
		}
		d := anyText
		var err error
		if len(a.strings) > 0 {
			if d, err = automaton.And(a.strings...); err != nil {
				return nil, unsupported(v, "pattern", "%v", err)
			}
		}
		if a.min == 0 && a.max < 0 {
			free = append(free, d)
			continue
		}
		t, err := bounded(d, a.min, a.max)
		if err != nil {
			keyword := "maxLength"
			if a.max < 0 {
				keyword = "minLength"
			}
			return nil, unsupported(v, keyword, "%v", err)
		}
		if t != nil {
			terms = append(terms, t)
		}
	}
	if len(free) > 0 {
		d, err := automaton.Or(free...)
		if err != nil {
			return nil, unsupported(v, "pattern", "%v", err)
		}
		if !d.Empty() {
			terms = append(terms, &Term{DFA: d, Max: -1})
		}
	}
	return terms, nil
}

var anyText = automaton.All(1)

// bounded returns the strings of d with min to max characters, or nil if there
// are none.
func bounded(d *automaton.DFA, low, high int) (*Term, error) {
	if d.Empty() {
		return nil, nil
	}
	t := &Term{DFA: d, Min: low, Max: high, Counts: true}
	var err error
	if t.Lengths, err = d.LengthsFor(low, high); err != nil {
		return nil, err
	}
	if !t.Alive(d.Start(), 0) {
		return nil, nil
	}
	return t, nil
}

// disjoint reports whether no value fulfils a clause of each list, as far as can
// be told in a few steps.
func (c *compiler) disjoint(as, bs []clause, depth int) bool {
	for _, a := range as {
		for _, b := range bs {
			if !c.contradiction(a.and(b), depth) {
				return false
			}
		}
	}
	return true
}

// maxLook is how deep into objects contradictions are looked for.
const maxLook = 3

func (c *compiler) contradiction(a clause, depth int) bool {
	if a.types&(tNull|tTrue|tFalse) != 0 {
		return false
	}
	one := []clause{a}
	if a.types&tNumber != 0 {
		if d, err := c.number(c.root, one); err != nil || d != nil {
			return false
		}
	}
	if a.types&tString != 0 {
		if terms, err := c.stringTerms(c.root, one); err != nil || len(terms) > 0 {
			return false
		}
	}
	if a.types&tArray != 0 && !c.arrayContradiction(a.arrays, depth) {
		return false
	}
	return a.types&tObject == 0 || c.objectContradiction(a.objects, depth)
}

func (c *compiler) arrayContradiction(atoms []arrayAtom, depth int) bool {
	low, high := 0, -1
	for _, a := range atoms {
		if a.kind == aLength {
			low, high = max(low, a.min), tighter(high, a.max)
		}
	}
	if high >= 0 && low > high {
		return true
	}
	for i := range min(low, maxLook) {
		var lits []lit
		for _, a := range atoms {
			if a.kind == aItems {
				lits = append(lits, a.item(i)...)
			}
		}
		if c.noValue(lits, depth) {
			return true
		}
	}
	return false
}

func (c *compiler) objectContradiction(atoms []objectAtom, depth int) bool {
	d, err := c.newObjectDraft(atoms)
	if err != nil {
		return false
	}
	if d == nil {
		return true
	}
	for name := range d.required {
		var lits []lit
		k := key{name, true, matchesName(name)}
		for _, a := range atoms {
			switch a.kind {
			case oProperty:
				if a.name == name {
					lits = append(lits, a.lit)
				}
			case oGroup:
				g, err := c.groupOf(a.group)
				if err != nil {
					return false
				}
				more, known := g.at(k)
				lits = append(lits, more...)
				if !known && g.rest != nil {
					lits = append(lits, lit{v: g.rest})
				}
			}
		}
		if c.noValue(lits, depth) {
			return true
		}
	}
	return false
}

// noValue reports whether it is plain that nothing fulfils the schemas.
func (c *compiler) noValue(lits []lit, depth int) bool {
	if depth >= maxLook || len(lits) < 1 {
		return false
	}
	cs := everything
	for _, l := range lits {
		if c.active[l] > 0 {
			return false // it is about to be built
		}
		more, err := c.expand(l, false)
		if err != nil {
			return false
		}
		if cs = andAll(cs, more); len(cs) > maxClauses {
			return false
		}
	}
	for _, a := range cs {
		if !c.contradiction(a, depth+1) {
			return false
		}
	}
	return true
}

// settle finds out which nodes have values at all, drops what has none, and
// hands the shapes over to the nodes.
func (c *compiler) settle() {
	for changed := true; changed; {
		changed = false
		for _, d := range slices.Backward(c.order) { // what a node needs mostly stands behind it
			d.fill()
			if h := d.height(); h >= 0 && (d.node.Height < 0 || h < d.node.Height) {
				d.node.Height = h
				changed = true
			}
		}
	}
}

// spelling writes a key as it stands between quotes.
func spelling(name string) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(name); err != nil {
		return name
	}
	s := strings.TrimSpace(b.String())
	s = s[1 : len(s)-1]
	s = strings.ReplaceAll(s, "\\u2028", "\u2028")
	return strings.ReplaceAll(s, "\\u2029", "\u2029")
}
