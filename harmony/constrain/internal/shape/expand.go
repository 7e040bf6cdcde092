package shape

import (
	"errors"
	"strconv"

	"chorale/harmony/constrain/internal/automaton"
)

// compiler holds what is shared while one schema is compiled.
type compiler struct {
	root       *value
	anchors    map[string]*value
	dynamic    map[string]int // how often a $dynamicAnchor is declared
	lenient    bool
	unenforced []*Error
	reported   map[string]bool

	patterns map[string]*automaton.DFA
	compared map[string]*automaton.DFA
	consts   map[*value]*value
	nameSets map[lit]*automaton.DFA
	nodes    map[string]*draft
	order    []*draft
	active   map[lit]int
	depth    int
}

// maxExpansion bounds how deep applicators and references lead into each other
// without a value in between.
const maxExpansion = 120

var everything = []clause{anything()}

// annotate asks for alternatives that tell apart which branches hold, as
// unevaluatedProperties and unevaluatedItems need it.
type annotate bool

// expand returns the alternatives of a schema or of its opposite.
func (c *compiler) expand(l lit, ann annotate) ([]clause, error) {
	switch l.v.kind {
	case kTrue, kFalse:
		if (l.v.kind == kTrue) != l.neg {
			return everything, nil
		}
		return nil, nil
	case kObject:
	default:
		return nil, invalid(l.v, "", "a schema must be an object or a boolean")
	}
	if c.active[l]++; c.active[l] > 1 {
		return nil, invalid(l.v, "$ref", "the schema leads back to itself without a value in between")
	}
	defer delete(c.active, l)
	if c.depth++; c.depth > maxExpansion {
		return nil, unsupported(l.v, "$ref", "applicators lead into each other more than %d deep", maxExpansion)
	}
	defer func() { c.depth-- }()
	var out []clause
	var err error
	if l.neg {
		out, err = c.expandNegative(l.v)
	} else {
		out, err = c.expandPositive(l.v, ann)
	}
	if err == nil && len(out) > maxClauses {
		return nil, unsupported(l.v, "anyOf", "more than %d alternatives at one place", maxClauses)
	}
	return out, err
}

// keyword gives the alternatives that one keyword of the schema v leaves.
type keyword func(c *compiler, v, arg *value, ann annotate) ([]clause, error)

// tolerate turns an unsupported keyword into no condition, if that is asked for.
func (c *compiler) tolerate(cs []clause, err error) ([]clause, error) {
	var e *Error
	if c.lenient && errors.As(err, &e) && !e.Invalid {
		if key := e.Error(); !c.reported[key] {
			c.reported[key] = true
			c.unenforced = append(c.unenforced, e)
		}
		return everything, nil
	}
	return cs, err
}

func (c *compiler) expandPositive(v *value, ann annotate) ([]clause, error) {
	unevaluated := v.get("unevaluatedProperties") != nil || v.get("unevaluatedItems") != nil
	out := everything
	done := map[string]bool{}
	for i, key := range v.keys {
		name, f := positive(v, key)
		if f == nil || done[name] {
			continue
		}
		done[name] = true
		cs, err := c.tolerate(f(c, v, v.items[i], ann || annotate(unevaluated)))
		if err != nil {
			return nil, err
		}
		if out = andAll(out, cs); len(out) == 0 {
			return nil, c.checkRest(v, i+1)
		}
		if len(out) > maxClauses {
			return nil, unsupported(v, key, "more than %d alternatives at one place", maxClauses)
		}
	}
	if unevaluated {
		return c.addUnevaluated(v, out)
	}
	return out, nil
}

// checkRest goes over the keywords behind a contradiction, so that a wrong one
// is found whatever stands in front of it.
func (c *compiler) checkRest(v *value, from int) error {
	for i := from; i < len(v.keys); i++ {
		if _, f := positive(v, v.keys[i]); f != nil {
			if _, err := c.tolerate(f(c, v, v.items[i], false)); err != nil {
				return err
			}
		}
	}
	return nil
}

// positive returns the keyword's meaning and a name that it shares with those
// that are one condition with it.
func positive(v *value, key string) (string, keyword) {
	switch key {
	case "type", "enum", "const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
		"minLength", "maxLength", "pattern", "format", "minItems", "maxItems", "uniqueItems", "contains",
		"required", "minProperties", "maxProperties", "propertyNames":
		return key, func(c *compiler, v, arg *value, _ annotate) ([]clause, error) {
			return c.assertion(v, key, arg, false)
		}
	case "properties", "patternProperties", "additionalProperties":
		if key != "properties" && v.get("properties") != nil {
			return key, nil // the group stands where properties does
		}
		return "properties", (*compiler).propertyGroup
	case "prefixItems", "items", "additionalItems":
		return "items", (*compiler).itemGroup
	case "dependentRequired", "dependentSchemas", "dependencies":
		return key, (*compiler).dependencies
	case "allOf", "anyOf", "oneOf", "not", "$ref", "$dynamicRef":
		return key, applicators[key]
	case "then", "else":
		return "if", func(c *compiler, v, _ *value, ann annotate) ([]clause, error) { return c.conditional(v, ann) }
	case "$recursiveRef":
		return key, func(c *compiler, v, _ *value, _ annotate) ([]clause, error) {
			return nil, unsupported(v, key, "is of an older draft")
		}
	}
	return key, nil
}

var applicators map[string]keyword

func init() {
	applicators = map[string]keyword{
		"allOf":       (*compiler).allOf,
		"anyOf":       (*compiler).anyOf,
		"oneOf":       (*compiler).oneOf,
		"not":         (*compiler).not,
		"$ref":        (*compiler).ref,
		"$dynamicRef": (*compiler).dynamicRef,
	}
}

// branches returns the schemas of an applicator's list.
func branches(v, arg *value, key string) ([]*value, error) {
	if arg.kind != kArray || len(arg.items) == 0 {
		return nil, invalid(v, key, "wants a list of schemas")
	}
	return arg.items, nil
}

func (c *compiler) allOf(v, arg *value, ann annotate) ([]clause, error) {
	list, err := branches(v, arg, "allOf")
	if err != nil {
		return nil, err
	}
	out := everything
	for _, s := range list {
		cs, err := c.expand(lit{v: s}, ann)
		if err != nil {
			return nil, err
		}
		if out = andAll(out, cs); len(out) > maxClauses {
			return nil, unsupported(v, "allOf", "more than %d alternatives at one place", maxClauses)
		}
	}
	return out, nil
}

// maxAnnotated bounds the branches of an anyOf that are told apart.
const maxAnnotated = 6

func (c *compiler) anyOf(v, arg *value, ann annotate) ([]clause, error) {
	list, err := branches(v, arg, "anyOf")
	if err != nil {
		return nil, err
	}
	each := make([][]clause, len(list))
	for i, s := range list {
		if each[i], err = c.expand(lit{v: s}, ann); err != nil {
			return nil, err
		}
	}
	var out []clause
	if !ann {
		for _, cs := range each {
			out = append(out, cs...)
		}
		return out, nil
	}
	if len(list) > maxAnnotated {
		return nil, unsupported(v, "anyOf", "more than %d branches under unevaluatedProperties or unevaluatedItems", maxAnnotated)
	}
	for set := 1; set < 1<<len(list); set++ { // the branches that are known to hold
		cs := everything
		for i := range list {
			if set>>i&1 != 0 {
				cs = andAll(cs, each[i])
			}
		}
		if out = append(out, cs...); len(out) > maxClauses {
			return nil, unsupported(v, "anyOf", "more than %d alternatives at one place", maxClauses)
		}
	}
	return out, nil
}

// oneOf is the union of the branches if no two can hold at once, and otherwise
// each branch without those that it meets.
func (c *compiler) oneOf(v, arg *value, ann annotate) ([]clause, error) {
	list, err := branches(v, arg, "oneOf")
	if err != nil {
		return nil, err
	}
	each := make([][]clause, len(list))
	finite := make([]map[string]bool, len(list))
	for i, s := range list {
		if each[i], err = c.expand(lit{v: s}, ann); err != nil {
			return nil, err
		}
		finite[i] = finiteScalars(s)
	}
	var out []clause
	for i := range list {
		cs := each[i]
		for j := range list {
			if i == j || c.apart(each[i], each[j], finite[i], finite[j]) {
				continue
			}
			not, err := c.expand(lit{v: list[j], neg: true}, false)
			if err != nil {
				return nil, notDisjoint(v, i, j, err)
			}
			if cs = andAll(cs, not); len(cs) > maxClauses {
				return nil, unsupported(v, "oneOf", "branches %d and %d may both hold, and telling them apart takes more than %d alternatives", i, j, maxClauses)
			}
		}
		out = append(out, cs...)
	}
	return out, nil
}

func notDisjoint(v *value, i, j int, err error) error {
	var e *Error
	if errors.As(err, &e) && !e.Invalid {
		return unsupported(v, "oneOf", "branches %d and %d may both hold, and %s in %s has no opposite: %s", i, j, e.Keyword, e.Path, e.Reason)
	}
	return err
}

func (c *compiler) apart(a, b []clause, fa, fb map[string]bool) bool {
	if fa != nil && fb != nil {
		for k := range fa {
			if fb[k] {
				return false
			}
		}
		return true
	}
	return c.disjoint(a, b, 0)
}

func (c *compiler) not(v, arg *value, _ annotate) ([]clause, error) {
	return c.expand(lit{v: arg, neg: true}, false)
}

func (c *compiler) conditional(v *value, ann annotate) ([]clause, error) {
	cond := v.get("if")
	if cond == nil {
		return everything, nil
	}
	yes, err := c.expand(lit{v: cond}, ann)
	if err != nil {
		return nil, err
	}
	no, err := c.expand(lit{v: cond, neg: true}, false)
	if err != nil {
		return nil, err
	}
	yes = unordered(yes)
	for i, key := range []string{"then", "else"} {
		branch := v.get(key)
		if branch == nil {
			continue
		}
		cs, err := c.expand(lit{v: branch}, ann)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			yes = andAll(yes, cs)
		} else {
			no = andAll(no, cs)
		}
	}
	return append(append([]clause(nil), yes...), no...), nil
}

// unordered marks that the properties of a condition set no order of keys.
func unordered(cs []clause) []clause {
	out := make([]clause, len(cs))
	for i, a := range cs {
		a.objects = append([]objectAtom(nil), a.objects...)
		for j := range a.objects {
			a.objects[j].unordered = true
		}
		out[i] = a
	}
	return out
}

func (c *compiler) ref(v, arg *value, ann annotate) ([]clause, error) {
	to, err := c.resolve(v, "$ref", arg)
	if err != nil {
		return nil, err
	}
	return c.expand(lit{v: to}, ann)
}

func (c *compiler) dynamicRef(v, arg *value, ann annotate) ([]clause, error) {
	if arg.kind == kString && len(arg.text) > 1 && c.dynamic[arg.text[1:]] > 1 {
		return nil, unsupported(v, "$dynamicRef", "more than one $dynamicAnchor %q", arg.text[1:])
	}
	to, err := c.resolve(v, "$dynamicRef", arg)
	if err != nil {
		return nil, err
	}
	return c.expand(lit{v: to}, ann)
}

// dependencies are conditions on objects that have a key.
func (c *compiler) dependencies(v, arg *value, ann annotate) ([]clause, error) {
	if arg.kind != kObject {
		return nil, invalid(v, arg.key, "wants an object")
	}
	out := everything
	for i, name := range arg.keys {
		with := []clause{only(tObject)}
		with[0].objects = []objectAtom{{kind: oRequire, name: name}}
		dep := arg.items[i]
		switch {
		case dep.kind == kArray && arg.key != "dependentSchemas":
			names, err := stringList(v, arg.key, dep)
			if err != nil {
				return nil, err
			}
			for _, n := range names {
				with[0].objects = append(with[0].objects, objectAtom{kind: oRequire, name: n})
			}
		case dep.kind != kArray && arg.key != "dependentRequired":
			cs, err := c.expand(lit{v: dep}, ann)
			if err != nil {
				return nil, err
			}
			with = andAll(with, unordered(cs))
		default:
			return nil, invalid(v, arg.key, "%q wants a list of names or a schema", name)
		}
		without := only(tObject)
		without.objects = []objectAtom{{kind: oForbid, name: name}}
		cs := append([]clause{only(tAll &^ tObject), without}, with...)
		if out = andAll(out, cs); len(out) > maxClauses {
			return nil, unsupported(v, arg.key, "more than %d alternatives at one place", maxClauses)
		}
	}
	return out, nil
}

func stringList(v *value, key string, list *value) ([]string, error) {
	if list.kind != kArray {
		return nil, invalid(v, key, "wants a list of strings")
	}
	var out []string
	for _, item := range list.items {
		if item.kind != kString {
			return nil, invalid(v, key, "wants a list of strings")
		}
		out = append(out, item.text)
	}
	return out, nil
}

// count reads a keyword's value that is not negative and whole.
func count(v *value, key string, arg *value) (int, error) {
	if arg.kind != kNumber {
		return 0, invalid(v, key, "wants a number")
	}
	d, err := automaton.ParseDecimal(arg.text)
	if err != nil || d.Negative || !d.Integer() {
		return 0, invalid(v, key, "wants a whole number, not %s", arg.text)
	}
	n, err := strconv.Atoi(d.String())
	if err != nil || n > maxCount {
		return maxCount, nil // beyond what any document reaches
	}
	return n, nil
}

// maxCount stands for every larger count.
const maxCount = 1 << 30
