package automaton

import (
	"encoding/binary"
	"errors"
	"slices"
)

// Dead is the state from which nothing is accepted.
const Dead int32 = 0

// ErrTooLarge is an automaton beyond the limit of states.
var ErrTooLarge = errors.New("needs too large an automaton")

// maxStates bounds every automaton that is built.
const maxStates = 20_000

// DFA is a deterministic automaton over characters. Each state has a label: 0 if
// the text so far is not accepted, otherwise what it was accepted as. A state
// from which nothing can be accepted any more is [Dead].
type DFA struct {
	alphabet
	trans []int32 // state*classes + class → state
	label []int32
	start int32
	total []uint64 // states that no character kills, nor any that follow
	whole []uint64 // of those, the ones that accept with one label for ever

	runs    [Runs]runs
	longest runs
}

// alphabet divides the characters into classes that an automaton treats alike.
type alphabet struct {
	starts  []rune   // where ranges begin, from 0
	ids     []uint16 // the class of each range
	ascii   [128]uint16
	classes int
}

// newAlphabet makes one class of each range between the given boundaries.
func newAlphabet(starts []rune) alphabet {
	slices.Sort(starts)
	starts = slices.Compact(starts)
	if len(starts) == 0 || starts[0] != 0 {
		starts = slices.Insert(starts, 0, 0)
	}
	ids := make([]uint16, len(starts))
	for i := range ids {
		ids[i] = uint16(i)
	}
	a := alphabet{starts: starts, ids: ids, classes: len(starts)}
	a.fillASCII()
	return a
}

func (a *alphabet) fillASCII() {
	at := 0
	for r := range a.ascii {
		for at+1 < len(a.starts) && a.starts[at+1] <= rune(r) {
			at++
		}
		a.ascii[r] = a.ids[at]
	}
}

// rangeOf returns the index of the range that holds r.
func (a *alphabet) rangeOf(r rune) int {
	i, found := slices.BinarySearch(a.starts, r)
	if !found {
		i--
	}
	return i
}

func (a *alphabet) class(r rune) uint16 {
	if r < 128 {
		return a.ascii[r]
	}
	return a.ids[a.rangeOf(r)]
}

// Start returns the state before the first character, Dead if nothing is accepted.
func (d *DFA) Start() int32 { return d.start }

// States returns the number of states, with Dead.
func (d *DFA) States() int { return len(d.label) }

// Step returns the state after one more character.
func (d *DFA) Step(s int32, r rune) int32 {
	return d.trans[int(s)*d.classes+int(d.class(r))]
}

// StepASCII is Step for a byte below 128.
func (d *DFA) StepASCII(s int32, b byte) int32 {
	return d.trans[int(s)*d.classes+int(d.ascii[b&127])]
}

// Label returns what the text that led to the state is accepted as, or 0.
func (d *DFA) Label(s int32) int32 { return d.label[s] }

// Total reports whether every text may follow without the state dying.
func (d *DFA) Total(s int32) bool { return d.total[s/64]>>(s%64)&1 != 0 }

// Whole reports whether every text may follow and is accepted with the same label.
func (d *DFA) Whole(s int32) bool { return d.whole[s/64]>>(s%64)&1 != 0 }

// AnyIn reports whether a character from lo to hi leads on from the state.
func (d *DFA) AnyIn(s int32, lo, hi rune) bool {
	for i := d.rangeOf(lo); i < len(d.starts) && d.starts[i] <= hi; i++ {
		if d.trans[int(s)*d.classes+int(d.ids[i])] != Dead {
			return true
		}
	}
	return false
}

// EachNext calls f for every range of characters that leads on from the state,
// until f returns false.
func (d *DFA) EachNext(s int32, f func(lo, hi rune) bool) {
	for i, lo := range d.starts {
		if d.trans[int(s)*d.classes+int(d.ids[i])] == Dead {
			continue
		}
		hi := rune(0x10FFFF)
		if i+1 < len(d.starts) {
			hi = d.starts[i+1] - 1
		}
		if !f(lo, hi) {
			return
		}
	}
}

// Empty reports whether nothing is accepted.
func (d *DFA) Empty() bool { return d.start == Dead }

// finish removes what leads nowhere and computes the sets of states.
func (d *DFA) finish() *DFA {
	n := len(d.label)
	d.trim(d.live())
	d.total = d.stable(func(s int) bool { return s != 0 })
	d.whole = d.stable(func(s int) bool { return d.label[s] != 0 })
	for s := range n { // one label for ever: compare with the neighbours until nothing changes
		if d.whole[s/64]>>(s%64)&1 == 0 {
			continue
		}
		if !d.oneLabel(s) {
			d.whole[s/64] &^= 1 << (s % 64)
		}
	}
	return d
}

// oneLabel reports whether all states that follow a whole state accept alike.
func (d *DFA) oneLabel(from int) bool {
	seen := map[int32]bool{int32(from): true}
	for work := []int32{int32(from)}; len(work) > 0; {
		s := work[len(work)-1]
		work = work[:len(work)-1]
		for _, t := range d.trans[int(s)*d.classes : int(s+1)*d.classes] {
			if d.label[t] != d.label[from] {
				return false
			}
			if !seen[t] {
				seen[t] = true
				work = append(work, t)
			}
		}
	}
	return true
}

// live returns the states from which something is accepted.
func (d *DFA) live() []uint64 {
	n := len(d.label)
	live := make([]uint64, (n+63)/64)
	for s := range n {
		if d.label[s] != 0 {
			live[s/64] |= 1 << (s % 64)
		}
	}
	for changed := true; changed; {
		changed = false
		for s := n - 1; s > 0; s-- {
			if live[s/64]>>(s%64)&1 != 0 {
				continue
			}
			for _, t := range d.trans[s*d.classes : (s+1)*d.classes] {
				if live[t/64]>>(t%64)&1 != 0 {
					live[s/64] |= 1 << (s % 64)
					changed = true
					break
				}
			}
		}
	}
	return live
}

func (d *DFA) trim(live []uint64) {
	dead := func(s int32) bool { return live[s/64]>>(s%64)&1 == 0 }
	for i, t := range d.trans {
		if dead(t) {
			d.trans[i] = Dead
		}
	}
	if dead(d.start) {
		d.start = Dead
	}
}

// stable returns the largest set of states that all satisfy ok and never leave it.
func (d *DFA) stable(ok func(s int) bool) []uint64 {
	n := len(d.label)
	in := make([]uint64, (n+63)/64)
	for s := range n {
		if ok(s) {
			in[s/64] |= 1 << (s % 64)
		}
	}
	for changed := true; changed; {
		changed = false
		for s := range n {
			if in[s/64]>>(s%64)&1 == 0 {
				continue
			}
			for _, t := range d.trans[s*d.classes : (s+1)*d.classes] {
				if in[t/64]>>(t%64)&1 == 0 {
					in[s/64] &^= 1 << (s % 64)
					changed = true
					break
				}
			}
		}
	}
	return in
}

// Combine runs automata side by side. f tells from their labels what the
// combination accepts the text as, and must return 0 if all labels are 0.
func Combine(f func(labels []int32) int32, ds ...*DFA) (*DFA, error) {
	if len(ds) == 0 {
		return All(f(nil)), nil
	}
	a, columns := merge(ds)
	b := newBuilder(a)
	k := len(ds)
	tuple, labels := make([]int32, k), make([]int32, k)
	for i, d := range ds {
		tuple[i] = d.start
	}
	b.d.start = b.intern(tuple)
	for at := 0; at < len(b.tuples)/k; at++ {
		from := slices.Clone(b.tuples[at*k : at*k+k])
		for i, d := range ds {
			labels[i] = d.label[from[i]]
		}
		b.d.label = append(b.d.label, f(labels))
		for c := range a.classes {
			for i, d := range ds {
				tuple[i] = d.trans[int(from[i])*d.classes+int(columns[c*k+i])]
			}
			b.d.trans = append(b.d.trans, b.intern(tuple))
		}
		if len(b.d.label) > maxStates {
			return nil, ErrTooLarge
		}
	}
	return b.d.finish(), nil
}

// merge returns the common refinement of the automata's alphabets, and for each
// of its classes the class in every automaton.
func merge(ds []*DFA) (alphabet, []uint16) {
	var starts []rune
	for _, d := range ds {
		starts = append(starts, d.starts...)
	}
	slices.Sort(starts)
	starts = slices.Compact(starts)
	a := alphabet{starts: starts, ids: make([]uint16, len(starts))}
	var columns []uint16
	seen := map[string]uint16{}
	key := make([]byte, 0, 16)
	at := make([]int, len(ds))
	for i, r := range starts {
		key = key[:0]
		for j, d := range ds {
			for at[j]+1 < len(d.starts) && d.starts[at[j]+1] <= r {
				at[j]++
			}
			key = binary.LittleEndian.AppendUint16(key, d.ids[at[j]])
		}
		id, ok := seen[string(key)]
		if !ok {
			id = uint16(len(seen))
			seen[string(key)] = id
			for j, d := range ds {
				columns = append(columns, d.ids[at[j]])
			}
		}
		a.ids[i] = id
	}
	a.classes = len(seen)
	a.fillASCII()
	return a, columns
}

// builder numbers the tuples of states that a product reaches. Tuple 0 is the
// one of all dead states.
type builder struct {
	d      *DFA
	tuples []int32
	seen   map[string]int32
	key    []byte
}

func newBuilder(a alphabet) *builder {
	return &builder{d: &DFA{alphabet: a}, seen: map[string]int32{}}
}

// intern returns the number of a tuple. State 0 is reserved for the first one
// that is asked for, so a product interns its dead tuple first.
func (b *builder) intern(tuple []int32) int32 {
	if len(b.seen) == 0 && slices.ContainsFunc(tuple, func(s int32) bool { return s != Dead }) {
		b.intern(make([]int32, len(tuple)))
	}
	b.key = b.key[:0]
	for _, s := range tuple {
		b.key = binary.LittleEndian.AppendUint32(b.key, uint32(s))
	}
	id, ok := b.seen[string(b.key)]
	if !ok {
		id = int32(len(b.seen))
		b.seen[string(b.key)] = id
		b.tuples = append(b.tuples, tuple...)
	}
	return id
}

// All accepts every text with the label; with label 0 it accepts none.
func All(label int32) *DFA {
	d := &DFA{alphabet: newAlphabet(nil), trans: []int32{0, 1}, label: []int32{0, label}, start: 1}
	return d.finish()
}

// And accepts what all accept.
func And(ds ...*DFA) (*DFA, error) {
	if len(ds) == 1 {
		return ds[0], nil
	}
	return Combine(func(labels []int32) int32 {
		if slices.Contains(labels, 0) {
			return 0
		}
		return 1
	}, ds...)
}

// Or accepts what any accepts.
func Or(ds ...*DFA) (*DFA, error) {
	if len(ds) == 1 {
		return ds[0], nil
	}
	return Combine(func(labels []int32) int32 {
		for _, l := range labels {
			if l != 0 {
				return 1
			}
		}
		return 0
	}, ds...)
}

// Not accepts what d does not.
func (d *DFA) Not() *DFA {
	// The state Dead becomes a live one that accepts, so all move up by one.
	n := &DFA{alphabet: d.alphabet, start: d.start + 1, label: make([]int32, len(d.label)+1)}
	n.trans = make([]int32, n.classes, len(d.trans)+n.classes)
	for _, t := range d.trans {
		n.trans = append(n.trans, t+1)
	}
	for s, l := range d.label {
		if l == 0 {
			n.label[s+1] = 1
		}
	}
	return n.finish()
}

// Select accepts the texts whose label is among those.
func (d *DFA) Select(labels ...int32) *DFA {
	c := &DFA{alphabet: d.alphabet, trans: slices.Clone(d.trans), start: d.start, label: make([]int32, len(d.label))}
	for s, l := range d.label {
		if l != 0 && slices.Contains(labels, l) {
			c.label[s] = 1
		}
	}
	return c.finish()
}

// Relabel returns the automaton with other labels; those that become 0 are no
// longer accepted.
func (d *DFA) Relabel(f func(label int32) int32) *DFA {
	c := &DFA{alphabet: d.alphabet, trans: slices.Clone(d.trans), start: d.start, label: make([]int32, len(d.label))}
	for s, l := range d.label {
		if l != 0 {
			c.label[s] = f(l)
		}
	}
	return c.finish()
}

// Words accepts the given words, word i with label i+1.
func Words(words []string) (*DFA, error) {
	var starts []rune
	for _, w := range words {
		for _, r := range w {
			starts = append(starts, r, r+1)
		}
	}
	a := newAlphabet(starts)
	d := &DFA{alphabet: a, start: 1, label: make([]int32, 2), trans: make([]int32, 2*a.classes)}
	for i, w := range words {
		s := d.start
		for _, r := range w {
			t := &d.trans[int(s)*a.classes+int(a.class(r))]
			if *t == Dead {
				if len(d.label) >= maxStates {
					return nil, ErrTooLarge
				}
				*t = int32(len(d.label))
				s = *t
				d.label = append(d.label, 0)
				d.trans = append(d.trans, make([]int32, a.classes)...)
				continue
			}
			s = *t
		}
		if d.label[s] == 0 {
			d.label[s] = int32(i + 1)
		}
	}
	return d.finish(), nil
}

// Lengths accepts the texts of min to max characters; a negative max is no limit.
func Lengths(low, high int) (*DFA, error) {
	last := max(low, high)
	if last+2 > maxStates {
		return nil, ErrTooLarge
	}
	d := &DFA{alphabet: newAlphabet(nil), start: 1, label: make([]int32, last+2), trans: make([]int32, last+2)}
	for n := 0; n <= last; n++ {
		if n >= low {
			d.label[n+1] = 1
		}
		d.trans[n+1] = int32(n + 2)
	}
	d.trans[last+1] = Dead
	if high < 0 {
		d.trans[last+1] = int32(last + 1)
	}
	return d.finish(), nil
}

// Finite returns the number of texts that are accepted if that is at most limit.
func (d *DFA) Finite(limit int) (int, bool) {
	onPath := make([]uint64, (len(d.label)+63)/64)
	left := limit
	var visit func(s int32) bool
	visit = func(s int32) bool {
		if s == Dead {
			return true
		}
		if onPath[s/64]>>(s%64)&1 != 0 {
			return false // a loop of live states
		}
		if d.label[s] != 0 {
			if left--; left < 0 {
				return false
			}
		}
		onPath[s/64] |= 1 << (s % 64)
		defer func() { onPath[s/64] &^= 1 << (s % 64) }()
		more := true
		d.EachNext(s, func(lo, hi rune) bool {
			if int(hi-lo) > limit {
				more = false
			}
			for r := lo; more && r <= hi; r++ {
				more = visit(d.Step(s, r))
			}
			return more
		})
		return more
	}
	if !visit(d.start) {
		return 0, false
	}
	return limit - left, true
}

// LengthTable tells how long the texts can be that lead from a state to
// acceptance.
type LengthTable struct {
	words int
	sets  []uint64 // row k: the states from which a text of k characters is accepted
	rows  int
	Most  int // no state needs more characters than this
}

// LengthsFor computes the table that tells texts of low to high characters; a
// negative high is no limit.
func (d *DFA) LengthsFor(low, high int) (*LengthTable, error) {
	n := len(d.label)
	most := max(low, high)
	if high < 0 {
		most = low + n // a longer text goes through some state twice, and so there is a shorter one
	}
	t := &LengthTable{words: (n + 63) / 64}
	row := make([]uint64, t.words)
	for s, l := range d.label {
		if l != 0 {
			row[s/64] |= 1 << (s % 64)
		}
	}
	seen := make([]uint64, t.words)
	for k := 0; k <= most; k++ {
		if k > 0 && slices.Equal(row, t.sets[len(t.sets)-t.words:]) {
			break // and so for every length from here on
		}
		if len(t.sets) > 1<<20 {
			return nil, ErrTooLarge
		}
		t.sets = append(t.sets, row...)
		t.rows++
		for w := range seen {
			if row[w]&^seen[w] != 0 {
				t.Most = k
			}
			seen[w] |= row[w]
		}
		next := make([]uint64, t.words)
		for s := 1; s < n; s++ {
			for _, to := range d.trans[s*d.classes : (s+1)*d.classes] {
				if row[to/64]>>(to%64)&1 != 0 {
					next[s/64] |= 1 << (s % 64)
					break
				}
			}
		}
		row = next
	}
	return t, nil
}

// Within reports whether a text of at least low and at most high characters (a
// negative high is no limit) leads from the state to acceptance.
func (t *LengthTable) Within(s int32, low, high int) bool {
	low = max(low, 0)
	if high >= 0 && low > high {
		return false
	}
	for k := min(low, t.rows-1); k < t.rows; k++ {
		if high >= 0 && k > high {
			return false
		}
		if t.sets[k*t.words+int(s/64)]>>(s%64)&1 != 0 {
			return true
		}
	}
	return false
}
