package shape

// fill hands the shapes whose values are known to exist over to the node.
// Options without a value are left out, and shapes that need one of them.
func (d *draft) fill() {
	d.node.Arrays, d.node.Objects = nil, nil
	for _, s := range d.arrays {
		if a := s.array(); a.CanGoOn(0, 0) {
			d.node.Arrays = append(d.node.Arrays, a)
		}
	}
	for _, s := range d.objects {
		if o := s.object(); o != nil && o.CanGoOn(0, 0, 0, 0, 0) {
			d.node.Objects = append(d.node.Objects, o)
		}
	}
}

func settled(drafts []optionDraft) []Option {
	var out []Option
	for _, o := range drafts {
		if o.node.node.Height >= 0 {
			out = append(out, Option{o.node.node, o.claims})
		}
	}
	return out
}

func (s *arrayShape) array() *Array {
	a := &Array{Min: s.min, Max: s.max, Unique: s.unique, Witnesses: s.witnesses, Rest: settled(s.rest)}
	for _, opts := range s.prefix {
		a.Prefix = append(a.Prefix, settled(opts))
	}
	for i := range len(a.Prefix) + 1 { // nothing follows an item that cannot be
		if len(a.At(i)) == 0 {
			a.Max = tighter(a.Max, i)
			break
		}
	}
	return a
}

func (s *objectShape) object() *Object {
	d := s.draft
	o := &Object{Min: d.min, Max: d.max, Late: 1<<len(s.late) - 1}
	for _, p := range s.props {
		opts := settled(p.options)
		if len(opts) == 0 {
			if p.required {
				return nil
			}
			continue
		}
		o.Props = append(o.Props, Property{p.name, spelling(p.name), p.required, opts})
	}
	o.required = make([]int, len(o.Props)+1)
	for i := len(o.Props) - 1; i >= 0; i-- {
		o.required[i] = o.required[i+1]
		if o.Props[i].Required {
			o.required[i]++
		}
	}
	o.Names = newNames(o.Props)
	if !s.settleTail(o) {
		return nil
	}
	for i := range d.existences {
		w := Witness{Min: 1, Max: -1, last: -1}
		for k, p := range o.Props {
			for _, opt := range p.Options {
				if opt.Claims>>i&1 != 0 {
					w.last = k
				}
			}
		}
		if o.Tail != nil {
			for _, k := range o.Tail.Kinds {
				for _, opt := range k.Options {
					w.tail = w.tail || opt.Claims>>i&1 != 0
				}
			}
		}
		o.Witnesses = append(o.Witnesses, w)
	}
	return o
}

// maxTail is how many tail keys are counted; more are without limit.
const maxTail = 200

// settleTail reports whether all names that must be in the tail can be.
func (s *objectShape) settleTail(o *Object) bool {
	if s.tailDFA == nil || s.tailDFA.Empty() {
		return len(s.late) == 0
	}
	kinds := make([]TailKind, len(s.kinds))
	var late uint64
	lost := false
	for i, k := range s.kinds {
		kinds[i] = TailKind{settled(k.options), k.late}
		if len(kinds[i].Options) > 0 {
			late |= k.late
		} else {
			lost = true
		}
	}
	if late != o.Late {
		return false
	}
	dfa := s.tailDFA
	if lost {
		dfa = dfa.Relabel(func(label int32) int32 {
			if len(kinds[label-1].Options) == 0 {
				return 0
			}
			return label
		})
	}
	if dfa.Empty() {
		return true
	}
	count := -1
	if n, ok := dfa.Finite(maxTail); ok {
		count = n
	}
	o.Tail = &Tail{Keys: &Term{DFA: dfa, Max: -1}, Kinds: kinds, Count: count}
	return true
}

// height returns how many brackets the node's plainest value opens, or -1.
func (d *draft) height() int {
	n := d.node
	if n.Literal != 0 || n.Number != nil || len(n.Strings) > 0 {
		return 0
	}
	best := -1
	for _, a := range n.Arrays {
		if h, ok := a.height(); ok && (best < 0 || h < best) {
			best = h
		}
	}
	for _, o := range n.Objects {
		if h := o.height(); best < 0 || h < best {
			best = h
		}
	}
	return best
}

func lowest(opts []Option) int {
	low := opts[0].Node.Height
	for _, o := range opts {
		low = min(low, o.Node.Height)
	}
	return low
}

func (a *Array) height() (int, bool) {
	h := 0
	need, _ := a.need(0, 0)
	for i := range min(need, len(a.Prefix)+1) {
		if len(a.At(i)) == 0 {
			return 0, false
		}
		h = max(h, lowest(a.At(i)))
	}
	return h + 1, true
}

func (o *Object) height() int {
	h := 0
	for _, p := range o.Props {
		if p.Required {
			h = max(h, lowest(p.Options))
		}
	}
	if o.Tail != nil {
		for _, k := range o.Tail.Kinds {
			if k.Late != 0 {
				h = max(h, lowest(k.Options))
			}
		}
	}
	return h + 1
}
