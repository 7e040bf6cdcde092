package automaton

import (
	"encoding/binary"
	"slices"
)

// Pattern returns the automaton of the texts in which the pattern is found
// somewhere, as ECMA-262 means it.
func Pattern(src string) (*DFA, error) {
	n, ahead, err := parsePattern(src)
	if err != nil {
		return nil, err
	}
	d, err := search(n)
	if err != nil || len(ahead) == 0 {
		return d, err
	}
	all := []*DFA{d}
	for _, a := range ahead {
		c, err := search(a.n)
		if err != nil {
			return nil, err
		}
		if a.negate {
			c = c.Not()
		}
		all = append(all, c)
	}
	return And(all...)
}

// nfa is a pattern as states that each read one set of characters, or split.
type nfa struct {
	states []nstate
	sets   [][]rune
	setOf  map[*node]int32 // repetitions compile a node many times
}

type nstate struct {
	kind nstateKind
	set  int32 // nSet
	out  [2]int32
}

type nstateKind uint8

const (
	nSet nstateKind = iota
	nSplit
	nBegin
	nEnd
	nMatch
)

// maxNFA bounds the states of a pattern.
const maxNFA = 60_000

// add appends a state and returns its number.
func (m *nfa) add(s nstate) int32 {
	m.states = append(m.states, s)
	return int32(len(m.states) - 1)
}

// compile adds the states of n, which go on to next, and returns the first.
func (m *nfa) compile(n *node, next int32) (int32, error) {
	if len(m.states) > maxNFA {
		return 0, ErrTooLarge
	}
	switch n.kind {
	case opSet:
		set, ok := m.setOf[n]
		if !ok {
			set = int32(len(m.sets))
			m.setOf[n] = set
			m.sets = append(m.sets, invert(invert(n.set))) // sorted
		}
		return m.add(nstate{kind: nSet, set: set, out: [2]int32{next, -1}}), nil
	case opBegin:
		return m.add(nstate{kind: nBegin, out: [2]int32{next, -1}}), nil
	case opEnd:
		return m.add(nstate{kind: nEnd, out: [2]int32{next, -1}}), nil
	case opConcat:
		var err error
		for _, s := range slices.Backward(n.sub) {
			if next, err = m.compile(s, next); err != nil {
				return 0, err
			}
		}
		return next, nil
	case opAlternate:
		at, err := m.compile(n.sub[len(n.sub)-1], next)
		if err != nil {
			return 0, err
		}
		for _, s := range slices.Backward(n.sub[:len(n.sub)-1]) {
			one, err := m.compile(s, next)
			if err != nil {
				return 0, err
			}
			at = m.add(nstate{kind: nSplit, out: [2]int32{one, at}})
		}
		return at, nil
	}
	return m.compileRepeat(n, next)
}

func (m *nfa) compileRepeat(n *node, next int32) (int32, error) {
	at := next
	if n.max < 0 {
		loop := m.add(nstate{kind: nSplit, out: [2]int32{-1, next}})
		body, err := m.compile(n.sub[0], loop)
		if err != nil {
			return 0, err
		}
		m.states[loop].out[0] = body
		at = loop
	}
	for range max(0, n.max-n.min) { // x{0,2} is (x(x)?)?
		body, err := m.compile(n.sub[0], at)
		if err != nil {
			return 0, err
		}
		at = m.add(nstate{kind: nSplit, out: [2]int32{body, next}})
	}
	var err error
	for range n.min {
		if at, err = m.compile(n.sub[0], at); err != nil {
			return 0, err
		}
	}
	return at, nil
}

// subset builds the deterministic automaton: its states are sets of the nfa's.
type subset struct {
	m       *nfa
	d       *DFA
	columns [][]bool // class, set → whether the set holds the class
	first   int32
	seen    map[string]int32
	members []int32 // the sets of all states, one behind the other
	bounds  []int32
	mark    []int32
	round   int32
	key     []byte
}

// search returns the automaton of the texts that n matches somewhere.
func search(n *node) (*DFA, error) {
	m := &nfa{setOf: map[*node]int32{}}
	match := m.add(nstate{kind: nMatch})
	first, err := m.compile(n, match)
	if err != nil {
		return nil, err
	}
	var starts []rune
	for _, set := range m.sets {
		for i := 0; i < len(set); i += 2 {
			starts = append(starts, set[i], set[i+1]+1)
		}
	}
	s := &subset{m: m, first: first, seen: map[string]int32{}, mark: make([]int32, len(m.states)), bounds: []int32{0}}
	s.d = &DFA{alphabet: newAlphabet(starts)}
	s.mergeClasses()
	return s.build()
}

// mergeClasses makes one class of the ranges that all sets treat alike.
func (s *subset) mergeClasses() {
	a := &s.d.alphabet
	seen := map[string]uint16{}
	for i, r := range a.starts {
		column := make([]bool, len(s.m.sets))
		key := make([]byte, len(s.m.sets))
		for j, set := range s.m.sets {
			k, at := slices.BinarySearch(set, r) // an odd k lies inside a pair
			if at || k%2 == 1 {
				column[j], key[j] = true, 1
			}
		}
		id, ok := seen[string(key)]
		if !ok {
			id = uint16(len(seen))
			seen[string(key)] = id
			s.columns = append(s.columns, column)
		}
		a.ids[i] = id
	}
	a.classes = len(seen)
	a.fillASCII()
}

// found is the state behind a match that needs no end of text: all is accepted.
const found int32 = 1

func (s *subset) build() (*DFA, error) {
	d := s.d
	d.label = []int32{0, 1}
	for c := range 2 * d.classes {
		d.trans = append(d.trans, int32(c/d.classes))
	}
	s.bounds = append(s.bounds, 0, 0)
	var set []int32
	s.round++
	set, hit := s.closure(set, s.first, true, false)
	d.start = s.intern(set, hit, true)
	for at := int32(2); int(at) < len(d.label); at++ {
		for c := range d.classes {
			set = set[:0]
			hit := false
			s.round++
			for _, q := range s.members[s.bounds[at]:s.bounds[at+1]] {
				st := s.m.states[q]
				if st.kind == nSet && s.columns[c][st.set] {
					var h bool
					set, h = s.closure(set, st.out[0], false, false)
					hit = hit || h
				}
			}
			set, h := s.closure(set, s.first, false, false)
			d.trans = append(d.trans, s.intern(set, hit || h, false))
		}
		if len(d.label) > maxStates {
			return nil, ErrTooLarge
		}
	}
	return d.finish(), nil
}

// closure adds what q leads to without a character. It reports whether that is
// a match.
func (s *subset) closure(set []int32, q int32, begin, end bool) ([]int32, bool) {
	work := []int32{q}
	hit := false
	for len(work) > 0 {
		q := work[len(work)-1]
		work = work[:len(work)-1]
		if s.mark[q] == s.round {
			continue
		}
		s.mark[q] = s.round
		switch st := s.m.states[q]; st.kind {
		case nSet:
			set = append(set, q)
		case nSplit:
			work = append(work, st.out[1], st.out[0])
		case nBegin:
			if begin {
				work = append(work, st.out[0])
			}
		case nEnd:
			if end {
				work = append(work, st.out[0])
			} else {
				set = append(set, q)
			}
		case nMatch:
			hit = true
		}
	}
	return set, hit
}

// intern returns the number of the state that is the set.
func (s *subset) intern(set []int32, hit, begin bool) int32 {
	if hit {
		return found
	}
	slices.Sort(set)
	s.key = s.key[:0]
	for _, q := range set {
		s.key = binary.LittleEndian.AppendUint32(s.key, uint32(q))
	}
	if begin {
		s.key = append(s.key, 1) // at the beginning ^ may still match in front of $
	}
	id, ok := s.seen[string(s.key)]
	if !ok {
		id = int32(len(s.d.label))
		s.seen[string(s.key)] = id
		label := int32(0)
		if s.endsHere(set, begin) {
			label = 1
		}
		s.d.label = append(s.d.label, label)
		s.members = append(s.members, set...)
		s.bounds = append(s.bounds, int32(len(s.members)))
	}
	return id
}

// endsHere reports whether the pattern matches if the text ends at the set.
func (s *subset) endsHere(set []int32, begin bool) bool {
	s.round++
	for _, q := range set {
		if st := s.m.states[q]; st.kind == nEnd {
			if _, hit := s.closure(nil, st.out[0], begin, true); hit {
				return true
			}
		}
	}
	return false
}
