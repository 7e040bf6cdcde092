package constrain

import (
	"sync"

	"chorale/harmony"
	"chorale/harmony/constrain/internal/shape"
)

// Schema is a compiled schema. It is safe for concurrent use and keeps the masks
// that its matchers have computed, up to some megabytes.
type Schema struct {
	vocabulary *Vocabulary
	root       *shape.Node
	end        []harmony.Token
	unenforced []error

	mu      sync.Mutex // guards what follows
	machine *machine
	walker  *walker
	masks   map[thread]Mask
	joint   map[joint]Mask
	slab    []uint64 // memory of masks to come
}

// joint is a few threads at once.
type joint [maxJoint]thread

const (
	maxJoint = 4
	maxMasks = 1024 // that are kept, of 25 KB each for 200,000 tokens
)

// Unenforced lists what [Options.Lenient] left out, as *[UnsupportedError].
func (s *Schema) Unenforced() []error { return s.unenforced }

// Start returns a matcher at the beginning of a document.
func (s *Schema) Start() *Matcher {
	return &Matcher{schema: s, threads: []thread{{node: s.root, mode: atValue}}}
}

// Matcher follows one document, token by token. It is not safe for concurrent
// use.
type Matcher struct {
	schema    *Schema
	text      []byte
	tokens    []harmony.Token // that the text is made of
	threads   []thread
	spare     []thread // memory for the threads behind the next token
	mask      Mask     // of the threads, if it has been asked for
	own       Mask     // memory for a mask that no other document can have
	spareText []byte   // memory for the text that is forced
	ended     bool
}

// Mask returns the tokens that may come next. It is never empty before the end,
// is good until the next call of Accept, may be shared and must not be changed.
func (m *Matcher) Mask() Mask {
	if m.mask == nil {
		s := m.schema
		s.mu.Lock()
		defer s.mu.Unlock()
		m.mask = m.compute()
	}
	return m.mask
}

// compute joins the masks of the threads.
func (m *Matcher) compute() Mask {
	s := m.schema
	if m.ended {
		return m.blank()
	}
	if len(m.threads) == 1 && !m.threads[0].inRepeatable() {
		return s.maskOf(m.threads[0], m.text)
	}
	var key joint
	keep := len(m.threads) <= maxJoint
	for i, t := range m.threads {
		if keep = keep && !t.inRepeatable(); keep {
			key[i] = t
		}
	}
	if keep {
		if mask := s.joint[key]; mask != nil {
			return mask
		}
	}
	mask := m.blank()
	if keep {
		mask = s.newMask()
	}
	for i, t := range m.threads {
		switch {
		case !t.inRepeatable():
			mask.Or(s.maskOf(t, m.text))
		case i == 0:
			s.fill(mask, t, m.text)
		default: // repetitions are taken out of a mask of their own
			one := NewMask(64 * len(mask))
			s.fill(one, t, m.text)
			mask.Or(one)
		}
	}
	if keep {
		s.joint[key] = mask
	}
	return mask
}

// blank returns the matcher's own memory for a mask, empty.
func (m *Matcher) blank() Mask {
	if m.own == nil {
		m.own = make(Mask, len(m.schema.vocabulary.text))
	}
	clear(m.own)
	return m.own
}

// newMask returns memory for a mask that is kept.
func (s *Schema) newMask() Mask {
	if len(s.masks)+len(s.joint) >= maxMasks {
		clear(s.masks)
		clear(s.joint)
	}
	n := len(s.vocabulary.text)
	if len(s.slab) < n {
		s.slab = make([]uint64, 8*n)
	}
	mask := Mask(s.slab[:n:n])
	s.slab = s.slab[n:]
	return mask
}

// maskOf returns the mask of one thread, which depends on nothing else.
func (s *Schema) maskOf(t thread, text []byte) Mask {
	t = s.plain(t)
	if mask := s.masks[t]; mask != nil {
		return mask
	}
	mask := s.newMask()
	s.fill(mask, t, text)
	s.masks[t] = mask
	return mask
}

// plain returns the thread that stands for all that have its mask: the characters
// of a string do not count while the limit is further away than any token goes.
func (s *Schema) plain(t thread) thread {
	if !t.isText() {
		return t
	}
	term := t.strings()
	n, far := int(t.text.n), s.vocabulary.all.Deep
	if term.Counts && n >= term.Min && term.Max-n > far+term.Lengths.Most {
		t.text.n = int32(term.Min)
	}
	return t
}

// fill computes the mask of a thread.
func (s *Schema) fill(mask Mask, t thread, text []byte) {
	if t.canEnd() {
		for _, id := range s.end {
			mask.Set(id)
		}
	}
	if t.mode != atEnd {
		s.walk().fill(mask, t, text)
	}
}

func (s *Schema) walk() *walker {
	if s.walker == nil {
		s.walker = newWalker(s.vocabulary, s.machine)
	}
	return s.walker
}

// canEnd reports whether the document is complete.
func (t *thread) canEnd() bool {
	return t.mode == atEnd || t.mode == inNumber && t.frame == nil && t.node.Number.Label(t.text.s) != 0
}

// Accept takes the next token. A token that the mask does not allow is an error,
// *[RefusedError] or [ErrEnded], and changes nothing.
func (m *Matcher) Accept(id harmony.Token) error {
	s := m.schema
	if m.ended {
		return ErrEnded
	}
	enc := s.vocabulary.enc
	if !s.vocabulary.text.Has(id) {
		for _, end := range s.end {
			if id == end && m.Done() {
				m.ended, m.mask, m.threads = true, nil, nil
				return nil
			}
		}
		return &RefusedError{id, enc.TokenText(id)}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.machine.full() {
		s.machine.forget()
		clear(s.masks)
		clear(s.joint)
	}
	text := enc.TokenText(id)
	n := len(m.text)
	if !m.read(text) {
		m.text = m.text[:n]
		return &RefusedError{id, text}
	}
	m.mask = nil
	m.tokens = append(m.tokens, id)
	return nil
}

// read steps through the text. If it reports false, only m.text has changed.
func (m *Matcher) read(text string) bool {
	s := m.schema
	now := append(m.spare[:0], m.threads...)
	for i := range len(text) {
		m.text = append(m.text, text[i])
		n := len(now)
		for k := range n {
			now = s.machine.step(now, now[k], m.text)
		}
		now = distinct(now, n)
		if len(now) == n || len(now)-n > maxThreads {
			m.spare = now
			return false
		}
		now = now[:copy(now, now[n:])]
	}
	w := s.walk()
	w.budget = maxBudget
	if !w.anyAlive(now, m.text) {
		m.spare = now
		return false
	}
	m.spare, m.threads = m.threads, now
	return true
}

// Done reports whether the document is complete as it stands, so that the tokens
// of [Options.End] are allowed. It may still be possible to go on: after the
// number 1, with 12.
func (m *Matcher) Done() bool {
	for i := range m.threads {
		if m.threads[i].canEnd() {
			return true
		}
	}
	return false
}

// Ended reports whether one of the tokens of [Options.End] has been accepted.
func (m *Matcher) Ended() bool { return m.ended }

// Clone returns a matcher that goes on from here on its own.
func (m *Matcher) Clone() *Matcher {
	return &Matcher{
		schema:  m.schema,
		text:    append([]byte(nil), m.text...),
		tokens:  append([]harmony.Token(nil), m.tokens...),
		threads: append([]thread(nil), m.threads...),
		ended:   m.ended,
	}
}
