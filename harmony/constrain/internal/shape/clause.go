package shape

import (
	"slices"

	"chorale/harmony/constrain/internal/automaton"
)

// lit is a schema or its opposite.
type lit struct {
	v   *value
	neg bool
}

// types is a set of JSON types. An integer is a number with a condition.
type types uint8

const (
	tNull types = 1 << iota
	tTrue
	tFalse
	tNumber
	tString
	tArray
	tObject
	tAll = 1<<iota - 1
)

// clause is a conjunction of conditions without any applicator left. A condition
// on one type says nothing of values of another.
type clause struct {
	types    types
	numbers  []numberAtom
	strings  []*automaton.DFA
	min, max int // characters; a negative max is no limit
	arrays   []arrayAtom
	objects  []objectAtom
}

// numberAtom wants one of the labels, given as bits.
type numberAtom struct {
	d      *automaton.DFA
	labels uint8
}

// arrayAtom is a condition on arrays.
type arrayAtom struct {
	kind     arrayKind
	prefix   []lit // aItems
	rest     *lit  // aItems; nil if anything may stand there
	min, max int   // aLength, aContains
	at       int   // aAt: the item, aContains: the first item that counts
	lit      lit   // aAt, aContains, aUnevaluated
	of       []arrayAtom
}

type arrayKind uint8

const (
	aItems arrayKind = iota
	aLength
	aUnique
	aContains    // from item at on, min to max items fulfil lit
	aAt          // item at exists and fulfils lit
	aUnevaluated // items that of does not speak of fulfil lit
)

// objectAtom is a condition on objects.
type objectAtom struct {
	kind      objectKind
	group     *value // oGroup: the schema of properties, patternProperties, additionalProperties
	unordered bool   // oGroup: its names set no order
	name      string // oRequire, oForbid, oProperty
	lit       lit    // oProperty, oNames, oExists, oUnevaluated
	min, max  int    // oCount
	keys      keySet // oExists
	of        []objectAtom
}

type objectKind uint8

const (
	oGroup objectKind = iota
	oRequire
	oForbid
	oProperty // if the name is there, its value fulfils lit
	oCount
	oNames
	oExists      // there is a key of keys whose value fulfils lit
	oUnevaluated // keys that of does not speak of have values that fulfil lit
)

// keySet is a set of keys: those in which a pattern is found, those that a group
// leaves to additionalProperties, or those that fulfil a schema.
type keySet struct {
	pattern *automaton.DFA
	beyond  *value
	names   *lit
}

// maxClauses bounds the alternatives of one place.
const maxClauses = 400

func anything() clause { return clause{types: tAll, max: -1} }

func only(t types) clause { return clause{types: t, max: -1} }

// and joins two clauses. Conditions on types that are gone are dropped.
func (a clause) and(b clause) clause {
	c := clause{types: a.types & b.types, max: -1}
	if c.types&tNumber != 0 {
		c.numbers = join(a.numbers, b.numbers)
	}
	if c.types&tString != 0 {
		c.strings = join(a.strings, b.strings)
		c.min = max(a.min, b.min)
		c.max = tighter(a.max, b.max)
		if c.max >= 0 && c.min > c.max {
			c.types &^= tString
		}
	}
	if c.types&tArray != 0 {
		c.arrays = join(a.arrays, b.arrays)
	}
	if c.types&tObject != 0 {
		c.objects = join(a.objects, b.objects)
	}
	return c
}

func join[T any](a, b []T) []T {
	switch {
	case len(a) == 0:
		return b
	case len(b) == 0:
		return a
	}
	return append(slices.Clip(slices.Clone(a)), b...)
}

// tighter returns the smaller of two limits, of which a negative one is none.
func tighter(a, b int) int {
	if a < 0 {
		return b
	}
	if b < 0 {
		return a
	}
	return min(a, b)
}

// andAll returns the alternatives that are in both lists.
func andAll(as, bs []clause) []clause {
	if len(bs) == 1 && bs[0].trivial() {
		return as
	}
	if len(as) == 1 && as[0].trivial() {
		return bs
	}
	var out []clause
	for _, a := range as {
		for _, b := range bs {
			if c := a.and(b); c.types != 0 {
				out = append(out, c)
				if len(out) > maxClauses {
					return out
				}
			}
		}
	}
	return out
}

// trivial reports whether every value fulfils the clause.
func (a clause) trivial() bool {
	return a.types == tAll && len(a.numbers) == 0 && len(a.strings) == 0 && a.min == 0 && a.max < 0 &&
		len(a.arrays) == 0 && len(a.objects) == 0
}
