package shape

import (
	"encoding/binary"
	"slices"

	"chorale/harmony/constrain/internal/automaton"
)

// group is properties, patternProperties and additionalProperties of a schema.
type group struct {
	names          []string
	schemas        []*value
	patterns       []*automaton.DFA
	patternSchemas []*value
	rest           *value // additionalProperties, or nil
}

// groupOf reads a schema's group.
func (c *compiler) groupOf(v *value) (*group, error) {
	g := &group{rest: v.get("additionalProperties")}
	if p := v.get("properties"); p != nil {
		if p.kind != kObject {
			return nil, invalid(v, "properties", "wants an object")
		}
		g.names, g.schemas = p.keys, p.items
	}
	if p := v.get("patternProperties"); p != nil {
		if p.kind != kObject {
			return nil, invalid(v, "patternProperties", "wants an object")
		}
		for i, src := range p.keys {
			d, err := c.pattern(v, "patternProperties", src)
			if err != nil {
				return nil, err
			}
			g.patterns = append(g.patterns, d)
			g.patternSchemas = append(g.patternSchemas, p.items[i])
		}
	}
	return g, nil
}

func (c *compiler) propertyGroup(v, _ *value, _ annotate) ([]clause, error) {
	if _, err := c.groupOf(v); err != nil {
		return nil, err
	}
	a := anything()
	a.objects = []objectAtom{{kind: oGroup, group: v}}
	return some(a), nil
}

// at returns what the group says of a key, and whether it speaks of it other
// than by additionalProperties.
func (g *group) at(k key) (lits []lit, known bool) {
	for i, n := range g.names {
		if k.special && n == k.name {
			lits = append(lits, lit{v: g.schemas[i]})
			known = true
		}
	}
	for i, d := range g.patterns {
		if k.matches(d) {
			lits = append(lits, lit{v: g.patternSchemas[i]})
			known = true
		}
	}
	return lits, known
}

// matchesName tells whether a pattern is found in the name.
func matchesName(name string) func(*automaton.DFA) bool {
	return func(d *automaton.DFA) bool {
		s := d.Start()
		for _, r := range name {
			s = d.Step(s, r)
		}
		return d.Label(s) != 0
	}
}

// objectDraft is an object shape whose nodes are not known yet.
type objectDraft struct {
	c          *compiler
	atoms      []objectAtom
	required   map[string]bool
	special    []string // names that some condition mentions; the declared ones first
	declared   int
	min, max   int
	names      *automaton.DFA // what propertyNames allow, or nil
	existences []objectAtom
}

// newObjectDraft sorts the conditions on an object. It returns nil if they
// contradict each other.
func (c *compiler) newObjectDraft(atoms []objectAtom) (*objectDraft, error) {
	d := &objectDraft{c: c, atoms: atoms, required: map[string]bool{}, max: -1}
	seen := map[string]bool{}
	mention := func(name string) {
		if !seen[name] {
			seen[name] = true
			d.special = append(d.special, name)
		}
	}
	eachGroup := func(unordered bool) error {
		for _, a := range atoms {
			if a.kind == oGroup && a.unordered == unordered {
				g, err := c.groupOf(a.group)
				if err != nil {
					return err
				}
				for _, n := range g.names {
					mention(n)
				}
			}
		}
		return nil
	}
	if err := eachGroup(false); err != nil {
		return nil, err
	}
	d.declared = len(d.special)
	if err := eachGroup(true); err != nil {
		return nil, err
	}
	forbidden := map[string]bool{}
	for _, a := range atoms {
		switch a.kind {
		case oRequire:
			mention(a.name)
			d.required[a.name] = true
		case oForbid:
			mention(a.name)
			forbidden[a.name] = true
		case oProperty:
			mention(a.name)
		case oCount:
			d.min = max(d.min, a.min)
			d.max = tighter(d.max, a.max)
		case oExists:
			d.existences = append(d.existences, a)
			if a.keys.beyond == nil {
				continue
			}
			g, err := c.groupOf(a.keys.beyond)
			if err != nil {
				return nil, err
			}
			for _, n := range g.names { // are not beyond
				mention(n)
			}
		}
	}
	for name := range forbidden {
		if d.required[name] {
			return nil, nil
		}
	}
	if d.max >= 0 && max(d.min, len(d.required)) > d.max {
		return nil, nil
	}
	if len(d.existences) > maxWitnesses {
		return nil, unsupported(c.root, "not", "more than %d conditions on some property of one object", maxWitnesses)
	}
	return d, d.readNames()
}

// readNames puts all propertyNames into one automaton.
func (d *objectDraft) readNames() error {
	var lits []lit
	for _, a := range d.atoms {
		if a.kind == oNames {
			lits = append(lits, a.lit)
		}
	}
	if len(lits) == 0 {
		return nil
	}
	var err error
	d.names, err = d.c.namesOf(lits)
	return err
}

// namesOf returns the automaton of the strings that fulfil the schemas.
func (c *compiler) namesOf(lits []lit) (*automaton.DFA, error) {
	cs, err := c.expandAll(lits)
	if err != nil {
		return nil, err
	}
	terms, err := c.stringTerms(lits[0].v, cs)
	if err != nil {
		return nil, err
	}
	union := automaton.All(0)
	for _, t := range terms {
		d := t.DFA
		if t.Counts {
			l, err := automaton.Lengths(t.Min, t.Max)
			if err == nil {
				d, err = automaton.And(d, l)
			}
			if err != nil {
				return nil, unsupported(lits[0].v, "propertyNames", "%v", err)
			}
		}
		if union, err = automaton.Or(union, d); err != nil {
			return nil, unsupported(lits[0].v, "propertyNames", "%v", err)
		}
	}
	return union, nil
}

// key is what is known of a key: its name if it is special, and which automata
// accept it.
type key struct {
	name    string
	special bool
	matches func(*automaton.DFA) bool
}

// options returns the ways to take the value of a key, each with the conditions
// that it is a witness of. There are none if the key must not stand.
func (d *objectDraft) options(k key) ([]optionDraft, error) {
	if d.names != nil && !k.matches(d.names) {
		return nil, nil
	}
	var lits []lit
	for _, a := range d.atoms {
		switch {
		case a.kind == oForbid && k.special && a.name == k.name:
			return nil, nil
		case a.kind == oProperty && k.special && a.name == k.name:
			lits = append(lits, a.lit)
		case a.kind == oGroup:
			g, err := d.c.groupOf(a.group)
			if err != nil {
				return nil, err
			}
			more, known := g.at(k)
			lits = append(lits, more...)
			if !known && g.rest != nil {
				lits = append(lits, lit{v: g.rest})
			}
		case a.kind == oUnevaluated:
			known, err := d.c.evaluated(a.of, k)
			if err != nil {
				return nil, err
			}
			if !known {
				lits = append(lits, a.lit)
			}
		}
	}
	for _, l := range lits {
		if l.v.kind == kFalse && !l.neg {
			return nil, nil
		}
	}
	return d.c.withWitnesses(lits, len(d.existences), func(i int) (bool, lit, error) {
		in, err := d.inKeySet(d.existences[i].keys, k)
		return in, d.existences[i].lit, err
	}, nil)
}

// evaluated reports whether one of the atoms speaks of the key.
func (c *compiler) evaluated(of []objectAtom, k key) (bool, error) {
	for _, a := range of {
		switch a.kind {
		case oUnevaluated:
			return true, nil
		case oGroup:
			g, err := c.groupOf(a.group)
			if err != nil {
				return false, err
			}
			if _, known := g.at(k); known || g.rest != nil {
				return true, nil
			}
		}
	}
	return false, nil
}

func (d *objectDraft) inKeySet(s keySet, k key) (bool, error) {
	switch {
	case s.pattern != nil:
		return k.matches(s.pattern), nil
	case s.beyond != nil:
		g, err := d.c.groupOf(s.beyond)
		if err != nil {
			return false, err
		}
		_, known := g.at(k)
		return !known, nil
	}
	dfa, err := d.c.keyNames(s.names)
	if err != nil {
		return false, err
	}
	return k.matches(dfa), nil
}

// keyNames keeps the automaton of a condition on names, so that it is the same
// one wherever it is asked for.
func (c *compiler) keyNames(l *lit) (*automaton.DFA, error) {
	if d := c.nameSets[*l]; d != nil {
		return d, nil
	}
	d, err := c.namesOf([]lit{*l})
	if err == nil {
		c.nameSets[*l] = d
	}
	return d, err
}

// parts returns the automata that tell the tail's keys apart.
func (d *objectDraft) parts() ([]*automaton.DFA, error) {
	var out []*automaton.DFA
	add := func(ds ...*automaton.DFA) {
		for _, p := range ds {
			if !slices.Contains(out, p) {
				out = append(out, p)
			}
		}
	}
	addGroup := func(v *value) error {
		g, err := d.c.groupOf(v)
		if err == nil {
			add(g.patterns...)
		}
		return err
	}
	if d.names != nil {
		add(d.names)
	}
	for _, a := range d.atoms {
		switch a.kind {
		case oGroup:
			if err := addGroup(a.group); err != nil {
				return nil, err
			}
		case oUnevaluated:
			for _, g := range a.of {
				if g.kind == oGroup {
					if err := addGroup(g.group); err != nil {
						return nil, err
					}
				}
			}
		case oExists:
			switch {
			case a.keys.pattern != nil:
				add(a.keys.pattern)
			case a.keys.beyond != nil:
				if err := addGroup(a.keys.beyond); err != nil {
					return nil, err
				}
			default:
				p, err := d.c.keyNames(a.keys.names)
				if err != nil {
					return nil, err
				}
				add(p)
			}
		}
	}
	return out, nil
}

// shape returns the object with its nodes still to be built.
func (d *objectDraft) shape() (*objectShape, error) {
	o := &objectShape{draft: d}
	for _, name := range d.special[:d.declared] {
		opts, err := d.options(key{name, true, matchesName(name)})
		if err != nil {
			return nil, err
		}
		if len(opts) == 0 && d.required[name] {
			return nil, nil
		}
		if len(opts) > 0 {
			o.props = append(o.props, propDraft{name, d.required[name], opts})
		}
	}
	var late []string
	for _, name := range d.special[d.declared:] {
		if d.required[name] {
			late = append(late, name)
		}
	}
	if len(late) > 64 {
		return nil, unsupported(d.c.root, "required", "more than 64 names that no properties declares")
	}
	o.late = late
	return o, d.tail(o)
}

// tail builds the automaton of the undeclared keys. Its labels number the kinds
// of keys, which differ in what may follow.
func (d *objectDraft) tail(o *objectShape) error {
	parts, err := d.parts()
	if err != nil {
		return err
	}
	if len(parts) == 0 { // all undeclared keys but the special ones are alike
		opts, err := d.options(key{matches: func(*automaton.DFA) bool { return false }})
		if err != nil || len(opts) == 0 && d.declared == len(d.special) {
			return err
		}
	}
	words, err := automaton.Words(d.special)
	if err != nil {
		return unsupported(d.c.root, "properties", "%v", err)
	}
	kinds := map[string]int32{}
	var failed error
	id := make([]byte, 0, 16)
	dfa, err := automaton.Combine(func(labels []int32) int32 {
		if word := int(labels[0]); labels[1] == 0 || word > 0 && word <= d.declared || failed != nil {
			return 0
		}
		id = binary.LittleEndian.AppendUint32(id[:0], uint32(labels[0]))
		for _, l := range labels[2:] {
			id = append(id, byte(min(l, 1)))
		}
		if kind, ok := kinds[string(id)]; ok {
			return kind
		}
		k := key{matches: func(p *automaton.DFA) bool { return labels[2+slices.Index(parts, p)] != 0 }}
		kind := tailDraft{}
		if word := labels[0]; word > 0 {
			k.name, k.special = d.special[word-1], true
			if i := slices.Index(o.late, k.name); i >= 0 {
				kind.late = 1 << i
			}
		}
		var err error
		if kind.options, err = d.options(k); err != nil {
			failed = err
			return 0
		}
		label := int32(0)
		if len(kind.options) > 0 {
			o.kinds = append(o.kinds, kind)
			label = int32(len(o.kinds))
		}
		kinds[string(id)] = label
		return label
	}, append([]*automaton.DFA{words, automaton.All(1)}, parts...)...)
	if failed != nil {
		return failed
	}
	if err != nil {
		return unsupported(d.c.root, "patternProperties", "the keys of an object: %v", err)
	}
	o.tailDFA = dfa
	return nil
}
