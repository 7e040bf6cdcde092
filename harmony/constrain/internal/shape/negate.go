package shape

import "errors"

// expandNegative returns the alternatives in which some keyword does not hold.
func (c *compiler) expandNegative(v *value) ([]clause, error) {
	var out []clause
	done := map[string]bool{}
	for i, key := range v.keys {
		name, f := positive(v, key)
		if f == nil || done[name] {
			continue
		}
		done[name] = true
		cs, err := c.tolerate(c.opposite(v, key, v.items[i]))
		if err != nil {
			return nil, err
		}
		if out = append(out, cs...); len(out) > maxClauses {
			return nil, unsupported(v, key, "its opposite has more than %d alternatives", maxClauses)
		}
	}
	for _, key := range []string{"unevaluatedProperties", "unevaluatedItems"} {
		if v.get(key) != nil {
			if _, err := c.tolerate(nil, unsupported(v, key, "its opposite cannot be held")); err != nil {
				return nil, err
			}
			return everything, nil
		}
	}
	return out, nil
}

func (c *compiler) opposite(v *value, key string, arg *value) ([]clause, error) {
	switch key {
	case "allOf":
		return c.anyOpposite(v, arg)
	case "anyOf":
		return c.allOpposite(v, arg, -1)
	case "oneOf":
		return c.oneOpposite(v, arg)
	case "not":
		return c.expand(lit{v: arg}, false)
	case "$ref", "$dynamicRef":
		to, err := c.resolve(v, key, arg)
		if err != nil {
			return nil, err
		}
		return c.expand(lit{to, true}, false)
	case "then", "else":
		return c.conditionalOpposite(v)
	case "properties", "patternProperties", "additionalProperties":
		return c.groupOpposite(v)
	case "prefixItems", "items", "additionalItems":
		return c.itemsOpposite(v)
	case "dependentRequired", "dependentSchemas", "dependencies":
		return c.dependenciesOpposite(v, arg)
	}
	return c.assertion(v, key, arg, true)
}

func (c *compiler) anyOpposite(v, arg *value) ([]clause, error) {
	list, err := branches(v, arg, "allOf")
	if err != nil {
		return nil, err
	}
	var out []clause
	for _, s := range list {
		cs, err := c.expand(lit{s, true}, false)
		if err != nil {
			return nil, err
		}
		out = append(out, cs...)
	}
	return out, nil
}

// allOpposite is where none of the branches holds, but for one.
func (c *compiler) allOpposite(v, arg *value, but int) ([]clause, error) {
	list, err := branches(v, arg, arg.key)
	if err != nil {
		return nil, err
	}
	out := everything
	for i, s := range list {
		if i == but {
			continue
		}
		cs, err := c.expand(lit{s, true}, false)
		if err != nil {
			return nil, err
		}
		if out = andAll(out, cs); len(out) > maxClauses {
			return nil, unsupported(v, arg.key, "its opposite has more than %d alternatives", maxClauses)
		}
	}
	return out, nil
}

// oneOpposite is where no branch holds, or two do.
func (c *compiler) oneOpposite(v, arg *value) ([]clause, error) {
	out, err := c.allOpposite(v, arg, -1)
	if err != nil {
		return nil, err
	}
	for i := range arg.items {
		for j := range i {
			a, errA := c.expand(lit{v: arg.items[i]}, false)
			b, errB := c.expand(lit{v: arg.items[j]}, false)
			if err := errors.Join(errA, errB); err != nil {
				return nil, err
			}
			if out = append(out, andAll(a, b)...); len(out) > maxClauses {
				return nil, unsupported(v, "oneOf", "its opposite has more than %d alternatives", maxClauses)
			}
		}
	}
	return out, nil
}

func (c *compiler) conditionalOpposite(v *value) ([]clause, error) {
	cond := v.get("if")
	if cond == nil {
		return nil, nil
	}
	var out []clause
	for _, b := range []struct {
		key string
		neg bool
	}{{"then", false}, {"else", true}} {
		branch := v.get(b.key)
		if branch == nil {
			continue
		}
		yes, err := c.expand(lit{cond, b.neg}, false)
		if err != nil {
			return nil, err
		}
		no, err := c.expand(lit{branch, true}, false)
		if err != nil {
			return nil, err
		}
		out = append(out, andAll(yes, no)...)
	}
	return out, nil
}

func (c *compiler) dependenciesOpposite(v, arg *value) ([]clause, error) {
	if arg.kind != kObject {
		return nil, invalid(v, arg.key, "wants an object")
	}
	var out []clause
	for i, name := range arg.keys {
		with := only(tObject)
		with.objects = []objectAtom{{kind: oRequire, name: name}}
		dep := arg.items[i]
		if dep.kind != kArray {
			cs, err := c.expand(lit{dep, true}, false)
			if err != nil {
				return nil, err
			}
			out = append(out, andAll([]clause{with}, cs)...)
			continue
		}
		names, err := stringList(v, arg.key, dep)
		if err != nil {
			return nil, err
		}
		for _, n := range names {
			without := only(tObject)
			without.objects = []objectAtom{{kind: oForbid, name: n}}
			out = append(out, with.and(without))
		}
	}
	return out, nil
}

// groupOpposite is an object with a value that its property's schema refuses.
func (c *compiler) groupOpposite(v *value) ([]clause, error) {
	g, err := c.groupOf(v)
	if err != nil {
		return nil, err
	}
	var out []clause
	add := func(atoms ...objectAtom) {
		a := only(tObject)
		a.objects = atoms
		out = append(out, a)
	}
	for i, name := range g.names {
		add(objectAtom{kind: oRequire, name: name}, objectAtom{kind: oProperty, name: name, lit: lit{g.schemas[i], true}})
	}
	for i, p := range g.patterns {
		add(objectAtom{kind: oExists, keys: keySet{pattern: p}, lit: lit{g.patternSchemas[i], true}})
	}
	if g.rest != nil {
		add(objectAtom{kind: oExists, keys: keySet{beyond: v}, lit: lit{g.rest, true}})
	}
	return out, nil
}

// itemsOpposite is an array with an item that its schema refuses.
func (c *compiler) itemsOpposite(v *value) ([]clause, error) {
	prefix, rest, err := itemsOf(v)
	if err != nil {
		return nil, err
	}
	var out []clause
	add := func(atom arrayAtom) {
		a := only(tArray)
		a.arrays = []arrayAtom{atom}
		out = append(out, a)
	}
	for i, l := range prefix {
		add(arrayAtom{kind: aAt, at: i, lit: lit{l.v, true}})
	}
	if rest != nil {
		add(arrayAtom{kind: aContains, at: len(prefix), min: 1, max: -1, lit: lit{rest.v, true}})
	}
	return out, nil
}
