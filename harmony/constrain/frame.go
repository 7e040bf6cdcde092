package constrain

import (
	"slices"

	"chorale/harmony/constrain/internal/shape"
)

// frame is an open array or object. Frames are interned: two that are equal are
// one, so that a place in a document that leaves the same choices is the same
// place, whatever led to it.
type frame struct {
	parent  *frame
	array   *shape.Array
	object  *shape.Object
	next    int32  // the item or the declared property that may come next
	members int32  // of an object
	late    uint64 // which of its late keys have come
	witness uint64
	used    *used // the tail keys or the unique items so far
	start   int32 // where the text of the item or the key begins, counted from 1; 0 outside of one
	depth   int32
	watched bool // this frame or one around it forbids texts to be repeated
}

// used is a set of texts, as a list of which every tail is one as well.
type used struct {
	rest *used
	raw  string // as it was written, but for blanks
	same string // equal for equal values
	n    int
}

func (u *used) has(same string) bool {
	for ; u != nil; u = u.rest {
		if u.same == same {
			return true
		}
	}
	return false
}

func (u *used) count() int {
	if u == nil {
		return 0
	}
	return u.n
}

// mode is what a thread is in the middle of.
type mode uint8

const (
	atValue      mode = iota // in front of a value of thread.node
	inString                 // of term thread.term
	inNumber                 //
	inLiteral                // word thread.term, of which thread.s bytes are read
	atFirstItem              // behind [
	behindItem               //
	atFirstKey               // behind {
	atKey                    // behind a comma
	inName                   // at node thread.s of the names of the properties
	inTailKey                //
	behindKey                // of property thread.n, or of tail kind -1-thread.n
	behindMember             //
	atEnd                    // behind the document
)

// thread is one way to read the document so far. The innermost open bracket is
// its frame.
type thread struct {
	frame *frame
	node  *shape.Node
	term  int32
	text  textState
	mode  mode
}

var literals = [...]string{"null", "true", "false"}

// Bounds of a document and of what is kept of it.
const (
	maxDepth   = 256     // of brackets
	maxThreads = 256     // ways to read one text
	maxFrames  = 200_000 // that a schema keeps
)

// machine steps threads through bytes. It keeps the frames of a schema.
type machine struct {
	frames map[frame]*frame
	sets   map[used]*used
	blanks bool
}

func newMachine(blanks bool) *machine {
	return &machine{frames: map[frame]*frame{}, sets: map[used]*used{}, blanks: blanks}
}

func (m *machine) intern(f frame) *frame {
	if p := m.frames[f]; p != nil {
		return p
	}
	p := &f
	m.frames[f] = p
	return p
}

// add returns the set with one more text.
func (m *machine) add(u *used, raw, same string) *used {
	next := used{rest: u, raw: raw, same: same, n: u.count() + 1}
	if p := m.sets[next]; p != nil {
		return p
	}
	m.sets[next] = &next
	return &next
}

// full reports whether it is time to forget. Frames that are in use stay good.
func (m *machine) full() bool { return len(m.frames) > maxFrames }

func (m *machine) forget() {
	clear(m.frames)
	clear(m.sets)
}

// step appends to out where the thread can be after one more byte, the last one
// of text, which holds the document up to there.
func (m *machine) step(out []thread, t thread, text []byte) []thread {
	b := text[len(text)-1]
	if m.blanks && b == ' ' {
		return m.stepBlank(out, t)
	}
	if t.mode == atValue || t.mode == atKey {
		t.text.n = 0
	}
	switch t.mode {
	case atValue:
		return m.open(out, t, b)
	case inString:
		x, o := stepText(t.node.Strings[t.term], t.text, b)
		switch o {
		case inside:
			t.text = x
			return append(out, t)
		case closed:
			return m.complete(out, t.frame, text, len(text))
		}
	case inNumber:
		return m.stepNumber(out, t, text)
	case inLiteral:
		word := literals[t.term]
		if word[t.text.s] != b {
			return out
		}
		if t.text.s++; int(t.text.s) == len(word) {
			return m.complete(out, t.frame, text, len(text))
		}
		return append(out, t)
	case atFirstItem:
		if b == ']' {
			return m.closeArray(out, t.frame, text)
		}
		var buf [8]thread
		for _, item := range m.items(buf[:0], t.frame, len(text)-1) {
			out = m.open(out, item, b)
		}
	case behindItem:
		switch b {
		case ']':
			return m.closeArray(out, t.frame, text)
		case ',':
			f := t.frame
			if f.array.Unique {
				f = m.remember(f, string(text[f.start-1:len(text)-1]))
			}
			return m.items(out, f, len(text))
		}
	case atFirstKey, atKey, behindMember, inName, inTailKey, behindKey:
		return m.stepObject(out, t, text)
	}
	return out
}

// open reads the first byte of a value.
func (m *machine) open(out []thread, t thread, b byte) []thread {
	n := t.node
	switch b {
	case '"':
		t.mode = inString
		for i, term := range n.Strings {
			t.term = int32(i)
			t.text = textState{s: term.DFA.Start()}
			out = append(out, t)
		}
	case 'n', 't', 'f':
		i := int32(map[byte]int{'n': 0, 't': 1, 'f': 2}[b])
		if n.Literal>>i&1 != 0 {
			t.mode, t.term, t.text = inLiteral, i, textState{s: 1}
			out = append(out, t)
		}
	case '[':
		for _, a := range n.Arrays {
			f := m.child(t.frame, frame{array: a, watched: a.Unique})
			if f != nil {
				out = append(out, thread{frame: f, mode: atFirstItem})
			}
		}
	case '{':
		for _, o := range n.Objects {
			f := m.child(t.frame, frame{object: o, watched: o.Tail != nil})
			if f != nil {
				out = append(out, thread{frame: f, mode: atFirstKey})
			}
		}
	default:
		if n.Number != nil && b < 0x80 {
			if s := n.Number.StepASCII(n.Number.Start(), b); s != 0 {
				t.mode, t.text = inNumber, textState{s: s}
				out = append(out, t)
			}
		}
	}
	return out
}

// child returns a new frame inside of parent, or nil where that is too deep.
func (m *machine) child(parent *frame, f frame) *frame {
	f.parent = parent
	f.depth = 1
	if parent != nil {
		f.depth = parent.depth + 1
		f.watched = f.watched || parent.watched
	}
	if f.depth > maxDepth {
		return nil
	}
	return m.intern(f)
}

func (m *machine) stepNumber(out []thread, t thread, text []byte) []thread {
	b := text[len(text)-1]
	d := t.node.Number
	if b < 0x80 {
		if s := d.StepASCII(t.text.s, b); s != 0 {
			t.text.s = s
			return append(out, t)
		}
	}
	if d.Label(t.text.s) == 0 {
		return out
	}
	var buf [2]thread
	for _, next := range m.complete(buf[:0], t.frame, text, len(text)-1) {
		if next.mode != atEnd {
			out = m.step(out, next, text)
		}
	}
	return out
}

// complete ends a value, whose text ends at end, inside of the frame.
func (m *machine) complete(out []thread, f *frame, text []byte, end int) []thread {
	switch {
	case f == nil:
		return append(out, thread{mode: atEnd})
	case f.object != nil:
		return append(out, thread{frame: f, mode: behindMember})
	}
	if f.array.Unique && f.used != nil && f.used.has(canonical(string(text[f.start-1:end]))) {
		return out
	}
	return append(out, thread{frame: f, mode: behindItem})
}

func (m *machine) closeArray(out []thread, f *frame, text []byte) []thread {
	if !f.array.CanEnd(int(f.next), f.witness) {
		return out
	}
	return m.complete(out, f.parent, text, len(text))
}

// items appends the ways to begin the next item at the place start of the text.
func (m *machine) items(out []thread, f *frame, start int) []thread {
	a := f.array
	if a.Max >= 0 && int(f.next) >= a.Max {
		return out
	}
	for _, o := range a.At(int(f.next)) {
		witness, ok := shape.Claim(a.Witnesses, f.witness, o.Claims)
		if !ok || !a.CanGoOn(int(f.next)+1, witness) || int(f.depth)+o.Node.Height > maxDepth {
			continue
		}
		g := *f
		g.next = int32(a.Saturate(int(f.next) + 1))
		g.witness = witness
		if a.Unique {
			g.start = int32(start + 1)
		}
		out = append(out, thread{frame: m.intern(g), node: o.Node, mode: atValue})
	}
	return out
}

func (m *machine) stepObject(out []thread, t thread, text []byte) []thread {
	b := text[len(text)-1]
	f := t.frame
	switch t.mode {
	case atFirstKey, behindMember:
		switch {
		case b == '}':
			if f.object.CanEnd(int(f.next), int(f.members), f.late, f.witness) {
				return m.complete(out, f.parent, text, len(text))
			}
		case b == '"' && t.mode == atFirstKey:
			return m.keys(out, f, len(text))
		case b == ',' && t.mode == behindMember:
			var buf [2]thread
			if len(m.keys(buf[:0], f, len(text)+1)) > 0 {
				out = append(out, thread{frame: f, mode: atKey})
			}
		}
	case atKey:
		if b == '"' {
			return m.keys(out, f, len(text))
		}
	case inName:
		return m.stepName(out, t, b)
	case inTailKey:
		return m.stepTailKey(out, t, text)
	case behindKey:
		if b == ':' {
			if t.term < 0 {
				t.frame = m.remember(f, string(text[f.start-1:len(text)-1]))
			}
			return m.values(out, t, t.frame.used.count())
		}
	}
	return out
}

// keys appends the ways to begin a key at the place start of the text.
func (m *machine) keys(out []thread, f *frame, start int) []thread {
	if f.canBegin(f.object.Names.Below(0)) {
		out = append(out, thread{frame: f, mode: inName})
	}
	o := f.object
	if o.CanAdd(int(f.next), int(f.members), f.used.count()) &&
		o.CanGoOn(len(o.Props), int(f.members), f.used.count(), f.late, f.witness) {
		g := *f
		g.next = int32(len(o.Props))
		g.start = int32(start + 1)
		out = append(out, thread{frame: m.intern(g), mode: inTailKey, text: textState{s: o.Tail.Keys.DFA.Start()}})
	}
	return out
}

// canBegin reports whether one of the properties may come next.
func (f *frame) canBegin(props []int32) bool {
	at, _ := slices.BinarySearch(props, f.next)
	for _, p := range props[at:] {
		if f.object.RequiredBetween(int(f.next), int(p)) {
			return false
		}
		if f.canHave(int(p)) {
			return true
		}
	}
	return false
}

// canHave reports whether property p, in front of which none is required, may
// come next.
func (f *frame) canHave(p int) bool {
	o := f.object
	if o.Max >= 0 && int(f.members) >= o.Max {
		return false
	}
	for _, opt := range o.Props[p].Options {
		witness, ok := shape.Claim(o.Witnesses, f.witness, opt.Claims)
		if ok && int(f.depth)+opt.Node.Height <= maxDepth &&
			o.CanGoOn(p+1, int(f.members)+1, f.used.count(), f.late, witness) {
			return true
		}
	}
	return false
}

func (m *machine) stepName(out []thread, t thread, b byte) []thread {
	f := t.frame
	names := f.object.Names
	if next := names.Step(t.text.s, b); next >= 0 { // a quote, too, if it is escaped
		if f.canBegin(names.Below(next)) {
			t.text.s = next
			out = append(out, t)
		}
		return out
	}
	if b == '"' {
		p := names.Prop(t.text.s)
		if p >= int(f.next) && !f.object.RequiredBetween(int(f.next), p) && f.canHave(p) {
			out = append(out, thread{frame: f, mode: behindKey, term: int32(p)})
		}
	}
	return out
}

func (m *machine) stepTailKey(out []thread, t thread, text []byte) []thread {
	f := t.frame
	tail := f.object.Tail
	x, o := stepText(tail.Keys, t.text, text[len(text)-1])
	switch o {
	case inside:
		t.text = x
		return append(out, t)
	case refused:
		return out
	}
	if f.used != nil && f.used.has(canonical(`"`+string(text[f.start-1:]))) {
		return out
	}
	next := thread{frame: f, mode: behindKey, term: -tail.Keys.DFA.Label(t.text.s)}
	var buf [4]thread
	if len(m.values(buf[:0], next, f.used.count()+1)) > 0 {
		out = append(out, next)
	}
	return out
}

// remember puts the text of an item or a key that is complete among the used
// ones. It is done as late as can be, for the many texts that might have been.
func (m *machine) remember(f *frame, raw string) *frame {
	same := raw
	if f.object != nil {
		same = `"` + raw
	}
	if f.array != nil {
		raw = string(withoutBlanks([]byte(raw)))
	}
	g := *f
	g.start, g.used = 0, m.add(f.used, raw, canonical(same))
	return m.intern(g)
}

// values appends the ways to take the value of a key, the last one of so many
// tail keys.
func (m *machine) values(out []thread, t thread, used int) []thread {
	f := t.frame
	o := f.object
	g := *f
	var opts []shape.Option
	if t.term >= 0 {
		opts = o.Props[t.term].Options
		g.next = t.term + 1
	} else {
		kind := o.Tail.Kinds[-1-t.term]
		opts = kind.Options
		g.late |= kind.Late
	}
	g.members = int32(o.Saturate(int(f.members) + 1))
	for _, opt := range opts {
		witness, ok := shape.Claim(o.Witnesses, f.witness, opt.Claims)
		if !ok || int(f.depth)+opt.Node.Height > maxDepth ||
			!o.CanGoOn(int(g.next), int(f.members)+1, used, g.late, witness) {
			continue
		}
		g.witness = witness
		out = append(out, thread{frame: m.intern(g), node: opt.Node, mode: atValue})
	}
	return out
}

// stepBlank reads a space. Between the parts of a document one is allowed behind
// a comma and behind a colon; textState.n then says that it has come.
func (m *machine) stepBlank(out []thread, t thread) []thread {
	switch t.mode {
	case inString, inTailKey:
		x, o := stepText(t.strings(), t.text, ' ')
		if o == inside {
			t.text = x
			out = append(out, t)
		}
	case inName:
		return m.stepName(out, t, ' ')
	case atValue, atKey:
		if t.frame != nil && t.text.n == 0 {
			t.text.n = 1
			if t.frame.start > 0 { // the item begins behind the space
				g := *t.frame
				g.start++
				t.frame = m.intern(g)
			}
			out = append(out, t)
		}
	}
	return out
}

// strings returns the strings that a thread inside of one is reading.
func (t *thread) strings() *shape.Term {
	if t.mode == inTailKey {
		return t.frame.object.Tail.Keys
	}
	return t.node.Strings[t.term]
}
