package shape

import (
	"strconv"
	"strings"

	"chorale/harmony/constrain/internal/automaton"
)

var typeNames = map[string]types{
	"null": tNull, "boolean": tTrue | tFalse, "number": tNumber, "string": tString, "array": tArray, "object": tObject,
}

// assertion returns the alternatives of one keyword that leads to no other
// schema for the same value, or of its opposite. The opposite of a condition on
// strings holds for strings only.
func (c *compiler) assertion(v *value, key string, arg *value, neg bool) ([]clause, error) {
	switch key {
	case "type":
		return c.typeOf(v, arg, neg)
	case "enum":
		if arg.kind != kArray {
			return nil, invalid(v, key, "wants a list")
		}
		return c.enum(v, arg.items, neg)
	case "const":
		return c.enum(v, []*value{arg}, neg)
	case "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf":
		return c.numeric(v, key, arg, neg)
	case "pattern", "format":
		return c.textual(v, key, arg, neg)
	case "uniqueItems":
		return c.unique(v, arg, neg)
	case "contains":
		return c.contains(v, arg, neg)
	case "required":
		return c.required(v, arg, neg)
	case "propertyNames":
		return c.propertyNames(arg, neg)
	}
	return c.counted(v, key, arg, neg)
}

// on returns the clause of a condition: it holds for the other types as well,
// its opposite does not.
func on(t types, neg bool) clause {
	if neg {
		return only(t)
	}
	return anything()
}

func (c *compiler) typeOf(v, arg *value, neg bool) ([]clause, error) {
	list := []*value{arg}
	if arg.kind == kArray {
		list = arg.items
	}
	var set types
	integer := false
	for _, item := range list {
		t, ok := typeNames[item.text]
		switch {
		case item.kind == kString && item.text == "integer":
			integer = true
		case item.kind != kString || !ok:
			return nil, invalid(v, "type", "there is no type %s", spell(item))
		}
		set |= t
	}
	integer = integer && set&tNumber == 0
	if !integer {
		if neg {
			set = tAll &^ set
		}
		return some(only(set)), nil
	}
	label := automaton.LabelYes
	if neg {
		set = tAll &^ set
		label = automaton.LabelNo
	}
	a := only(set | tNumber)
	a.numbers = []numberAtom{{automaton.Integer(), 1 << label}}
	return some(a), nil
}

// some is the list of one clause, or of none if it has no type left.
func some(a clause) []clause {
	if a.types == 0 {
		return nil
	}
	return []clause{a}
}

func spell(v *value) string {
	var b strings.Builder
	v.canonical(&b)
	return b.String()
}

// finiteScalars returns the scalars of a schema that is nothing but a list of
// them, or nil.
func finiteScalars(v *value) map[string]bool {
	out := map[string]bool{}
	for i, key := range v.keys {
		list := []*value{v.items[i]}
		switch key {
		case "enum":
			list = v.items[i].items
		case "const":
		case "title", "description", "type", "$comment", "default", "examples", "deprecated":
			continue
		default:
			return nil
		}
		for _, item := range list {
			if item.kind >= kArray {
				return nil
			}
			s := spell(item)
			if item.kind == kNumber {
				d, err := automaton.ParseDecimal(item.text)
				if err != nil {
					return nil
				}
				s = d.String()
			}
			out[s] = true
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// enum returns one clause for the scalars of the list, and one for each array
// and object.
func (c *compiler) enum(v *value, list []*value, neg bool) ([]clause, error) {
	var scalars types
	var words []string
	var numbers []automaton.Decimal
	out := []clause{}
	opposite := everything
	for _, item := range list {
		switch item.kind {
		case kNull:
			scalars |= tNull
		case kTrue:
			scalars |= tTrue
		case kFalse:
			scalars |= tFalse
		case kString:
			words = append(words, item.text)
		case kNumber:
			d, err := automaton.ParseDecimal(item.text)
			if err != nil {
				return nil, unsupported(v, "enum", "%v", err)
			}
			numbers = append(numbers, d)
		default:
			cs, err := c.expand(lit{c.constant(item), neg}, false)
			if err != nil {
				return nil, err
			}
			if neg {
				opposite = andAll(opposite, cs)
			} else {
				out = append(out, cs...)
			}
		}
	}
	a := only(scalars)
	if neg {
		a = only(tAll &^ scalars)
	}
	if len(words) > 0 {
		d, err := automaton.Words(words)
		if err != nil {
			return nil, unsupported(v, "enum", "%v", err)
		}
		if neg {
			d = d.Not()
		} else {
			d = d.Relabel(func(int32) int32 { return 1 })
		}
		a.types |= tString
		a.strings = []*automaton.DFA{d}
	}
	if len(numbers) > 0 {
		d, err := automaton.OneOf(numbers)
		if err != nil {
			return nil, unsupported(v, "enum", "%v", err)
		}
		label := automaton.LabelYes
		if neg {
			label = automaton.LabelNo
		}
		a.types |= tNumber
		a.numbers = []numberAtom{{d, 1 << label}}
	}
	if neg {
		return andAll(some(a), opposite), nil
	}
	return append(some(a), out...), nil
}

// constant returns a schema that only the array or object v fulfils.
func (c *compiler) constant(v *value) *value {
	if s := c.consts[v]; s != nil {
		return s
	}
	s := &value{kind: kObject, parent: v.parent, key: v.key}
	c.consts[v] = s
	put := func(to *value, key string, item *value) *value {
		item.parent, item.key = to, key
		to.keys = append(to.keys, key)
		to.items = append(to.items, item)
		return item
	}
	is := func(item *value) *value {
		return &value{kind: kObject, parent: item.parent, key: item.key, keys: []string{"const"}, items: []*value{item}}
	}
	closed := func() *value { return &value{kind: kFalse} }
	if v.kind == kArray {
		put(s, "type", &value{kind: kString, text: "array"})
		put(s, "minItems", &value{kind: kNumber, text: strconv.Itoa(len(v.items))})
		list := put(s, "prefixItems", &value{kind: kArray})
		for _, item := range v.items {
			list.items = append(list.items, is(item))
		}
		put(s, "items", closed())
		return s
	}
	put(s, "type", &value{kind: kString, text: "object"})
	props := put(s, "properties", &value{kind: kObject})
	names := &value{kind: kArray}
	for i, item := range v.items {
		put(props, v.keys[i], is(item))
		names.items = append(names.items, &value{kind: kString, text: v.keys[i]})
	}
	put(s, "required", names)
	put(s, "additionalProperties", closed())
	return s
}

func (c *compiler) numeric(v *value, key string, arg *value, neg bool) ([]clause, error) {
	if arg.kind != kNumber {
		return nil, invalid(v, key, "wants a number")
	}
	d, err := automaton.ParseDecimal(arg.text)
	if err != nil {
		return nil, unsupported(v, key, "%v", err)
	}
	a := on(tNumber, neg)
	if key == "multipleOf" {
		if d.Negative || d.Zero() {
			return nil, invalid(v, key, "wants a number above 0")
		}
		dfa, err := c.memo("multiple "+d.String(), func() (*automaton.DFA, error) { return automaton.Multiple(d) })
		if err != nil {
			return nil, unsupported(v, key, "%v", err)
		}
		label := automaton.LabelYes
		if neg {
			label = automaton.LabelNo
		}
		a.numbers = []numberAtom{{dfa, 1 << label}}
		return some(a), nil
	}
	dfa, err := c.memo(d.String(), func() (*automaton.DFA, error) { return automaton.Compare(d) })
	if err != nil {
		return nil, unsupported(v, key, "%v", err)
	}
	const less, equal, greater = 1 << automaton.LabelLess, 1 << automaton.LabelEqual, 1 << automaton.LabelGreater
	labels := map[string]uint8{"minimum": equal | greater, "maximum": less | equal,
		"exclusiveMinimum": greater, "exclusiveMaximum": less}[key]
	if neg {
		labels ^= less | equal | greater
	}
	a.numbers = []numberAtom{{dfa, labels}}
	return some(a), nil
}

// memo keeps automata that a schema names several times.
func (c *compiler) memo(key string, build func() (*automaton.DFA, error)) (*automaton.DFA, error) {
	if d := c.compared[key]; d != nil {
		return d, nil
	}
	d, err := build()
	if err == nil {
		c.compared[key] = d
	}
	return d, err
}

func (c *compiler) pattern(v *value, key, src string) (*automaton.DFA, error) {
	if d := c.patterns[src]; d != nil {
		return d, nil
	}
	d, err := automaton.Pattern(src)
	if err != nil {
		return nil, unsupported(v, key, "the pattern %q: %v", src, err)
	}
	c.patterns[src] = d
	return d, nil
}

func (c *compiler) textual(v *value, key string, arg *value, neg bool) ([]clause, error) {
	if arg.kind != kString {
		return nil, invalid(v, key, "wants a string")
	}
	a := on(tString, neg)
	if key == "pattern" {
		d, err := c.pattern(v, key, arg.text)
		if err != nil {
			return nil, err
		}
		if neg {
			d = d.Not()
		}
		a.strings = []*automaton.DFA{d}
		return some(a), nil
	}
	f, known, supported := automaton.FormatOf(arg.text)
	switch {
	case !known && neg:
		return nil, nil // it asserts nothing, and nothing is not nothing
	case !known:
		return everything, nil
	case !supported:
		return nil, unsupported(v, key, "%q has no automaton", arg.text)
	case neg:
		return nil, unsupported(v, key, "the opposite of %q is not exact", arg.text)
	}
	a.strings = []*automaton.DFA{f.DFA}
	a.max = f.Max
	return some(a), nil
}

// counted is a bound on characters, items or members.
func (c *compiler) counted(v *value, key string, arg *value, neg bool) ([]clause, error) {
	n, err := count(v, key, arg)
	if err != nil {
		return nil, err
	}
	low, high := 0, -1
	lower := strings.HasPrefix(key, "min")
	switch {
	case lower && !neg:
		low = n
	case lower:
		high = n - 1
		if n == 0 {
			return nil, nil
		}
	case !neg:
		high = n
	default:
		low = n + 1
	}
	switch key[3:] {
	case "Length":
		a := on(tString, neg)
		a.min, a.max = low, high
		return some(a), nil
	case "Items":
		a := on(tArray, neg)
		a.arrays = []arrayAtom{{kind: aLength, min: low, max: high}}
		return some(a), nil
	}
	a := on(tObject, neg)
	a.objects = []objectAtom{{kind: oCount, min: low, max: high}}
	return some(a), nil
}

func (c *compiler) required(v, arg *value, neg bool) ([]clause, error) {
	names, err := stringList(v, "required", arg)
	if err != nil {
		return nil, err
	}
	a := on(tObject, neg)
	if !neg {
		for _, n := range names {
			a.objects = append(a.objects, objectAtom{kind: oRequire, name: n})
		}
		return some(a), nil
	}
	var out []clause
	for _, n := range names {
		b := only(tObject)
		b.objects = []objectAtom{{kind: oForbid, name: n}}
		out = append(out, b)
	}
	return out, nil
}

func (c *compiler) propertyNames(arg *value, neg bool) ([]clause, error) {
	a := on(tObject, neg)
	if neg {
		a.objects = []objectAtom{{kind: oExists, keys: keySet{names: &lit{arg, true}}, lit: lit{v: trueSchema}}}
	} else {
		a.objects = []objectAtom{{kind: oNames, lit: lit{v: arg}}}
	}
	return some(a), nil
}

var trueSchema = &value{kind: kTrue}

func (c *compiler) unique(v, arg *value, neg bool) ([]clause, error) {
	if arg.kind != kTrue && arg.kind != kFalse {
		return nil, invalid(v, "uniqueItems", "wants true or false")
	}
	switch {
	case arg.kind == kFalse && neg:
		return nil, nil
	case arg.kind == kFalse:
		return everything, nil
	case neg:
		return nil, unsupported(v, "uniqueItems", "its opposite, that some items are equal, cannot be held")
	}
	a := anything()
	a.arrays = []arrayAtom{{kind: aUnique}}
	return some(a), nil
}

// contains reads minContains and maxContains with it.
func (c *compiler) contains(v, arg *value, neg bool) ([]clause, error) {
	low, high := 1, -1
	var err error
	if m := v.get("minContains"); m != nil {
		if low, err = count(v, "minContains", m); err != nil {
			return nil, err
		}
	}
	if m := v.get("maxContains"); m != nil {
		if high, err = count(v, "maxContains", m); err != nil {
			return nil, err
		}
	}
	with := func(low, high int) clause {
		a := on(tArray, neg)
		a.arrays = []arrayAtom{{kind: aContains, min: low, max: high, lit: lit{v: arg}}}
		return a
	}
	if !neg {
		return some(with(low, high)), nil
	}
	var out []clause
	if low > 0 {
		out = append(out, with(0, low-1))
	}
	if high >= 0 {
		out = append(out, with(high+1, -1))
	}
	return out, nil
}
