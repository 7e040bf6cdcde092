package shape

// itemsOf reads prefixItems and items, and the older pair of items and
// additionalItems.
func itemsOf(v *value) (prefix []lit, rest *lit, err error) {
	list, items := v.get("prefixItems"), v.get("items")
	if items != nil && items.kind == kArray {
		list, items = items, v.get("additionalItems")
	}
	if list != nil {
		if list.kind != kArray {
			return nil, nil, invalid(v, "prefixItems", "wants a list of schemas")
		}
		for _, s := range list.items {
			prefix = append(prefix, lit{v: s})
		}
	}
	if items != nil {
		rest = &lit{v: items}
	}
	return prefix, rest, nil
}

func (c *compiler) itemGroup(v, _ *value, _ annotate) ([]clause, error) {
	prefix, rest, err := itemsOf(v)
	if err != nil {
		return nil, err
	}
	a := anything()
	a.arrays = []arrayAtom{{kind: aItems, prefix: prefix, rest: rest}}
	return some(a), nil
}

// addUnevaluated adds unevaluatedProperties and unevaluatedItems to alternatives
// that tell the schema's own branches apart.
func (c *compiler) addUnevaluated(v *value, cs []clause) ([]clause, error) {
	out := make([]clause, len(cs))
	for i, a := range cs {
		if u := v.get("unevaluatedProperties"); u != nil {
			a.objects = join(a.objects, []objectAtom{{kind: oUnevaluated, lit: lit{v: u}, of: a.objects}})
		}
		if u := v.get("unevaluatedItems"); u != nil {
			for _, b := range a.arrays {
				if b.kind == aContains {
					if _, err := c.tolerate(nil, unsupported(v, "unevaluatedItems", "beside contains, which items are evaluated cannot be held")); err != nil {
						return nil, err
					}
					return cs, nil
				}
			}
			a.arrays = join(a.arrays, []arrayAtom{{kind: aUnevaluated, lit: lit{v: u}, of: a.arrays}})
		}
		out[i] = a
	}
	return out, nil
}

// arrayShape is an array whose nodes are not built yet.
type arrayShape struct {
	prefix    [][]optionDraft
	rest      []optionDraft
	min, max  int
	unique    bool
	witnesses []Witness
}

// maxPrefix bounds the items that are told apart by their place.
const maxPrefix = 1000

// newArrayShape sorts the conditions on an array. It returns nil if they
// contradict each other.
func (c *compiler) newArrayShape(v *value, atoms []arrayAtom) (*arrayShape, error) {
	s := &arrayShape{max: -1}
	var contains []arrayAtom
	places := 0 // the items up to here are each of their own
	for _, a := range atoms {
		switch a.kind {
		case aLength:
			s.min = max(s.min, a.min)
			s.max = tighter(s.max, a.max)
		case aUnique:
			s.unique = true
		case aContains:
			if a.max >= 0 && a.min > a.max {
				return nil, nil
			}
			contains = append(contains, a)
			s.witnesses = append(s.witnesses, Witness{Min: min(a.min, 0xffff), Max: min(a.max, 0xffff), from: a.at, last: -1})
			places = max(places, a.at)
		case aAt:
			s.min = max(s.min, a.at+1)
			places = max(places, a.at+1)
		case aItems:
			places = max(places, len(a.prefix))
		}
	}
	if len(contains) > maxWitnesses {
		return nil, unsupported(v, "contains", "more than %d conditions on some item of one array", maxWitnesses)
	}
	if s.max >= 0 {
		if s.min > s.max {
			return nil, nil
		}
		places = min(places, s.max)
	}
	if places > maxPrefix {
		return nil, unsupported(v, "prefixItems", "more than %d items", maxPrefix)
	}
	for i := range places + 1 {
		opts, err := c.itemOptions(atoms, contains, i, i == places)
		if err != nil {
			return nil, err
		}
		if i == places {
			s.rest = opts
		} else {
			s.prefix = append(s.prefix, opts)
		}
	}
	return s, nil
}

// itemOptions returns the ways to take item i, or one of the rest behind all
// that are told apart.
func (c *compiler) itemOptions(atoms, contains []arrayAtom, i int, rest bool) ([]optionDraft, error) {
	var lits []lit
	for _, a := range atoms {
		switch a.kind {
		case aItems:
			lits = append(lits, a.item(i)...)
		case aAt:
			if a.at == i && !rest {
				lits = append(lits, a.lit)
			}
		case aUnevaluated:
			if !evaluatedItem(a.of, i) {
				lits = append(lits, a.lit)
			}
		}
	}
	for _, l := range lits {
		if l.v.kind == kFalse && !l.neg {
			return nil, nil
		}
	}
	return c.withWitnesses(lits, len(contains), func(k int) (bool, lit, error) {
		return i >= contains[k].at, contains[k].lit, nil
	}, func(k int) bool { return contains[k].max >= 0 })
}

// item returns what prefixItems and items say of item i.
func (a *arrayAtom) item(i int) []lit {
	if i < len(a.prefix) {
		return []lit{a.prefix[i]}
	}
	if a.rest != nil {
		return []lit{*a.rest}
	}
	return nil
}

func evaluatedItem(of []arrayAtom, i int) bool {
	for _, a := range of {
		if a.kind == aUnevaluated || a.kind == aItems && len(a.item(i)) > 0 {
			return true
		}
	}
	return false
}
