package constrain

import (
	"unicode"
	"unicode/utf8"

	"chorale/harmony"
)

// maxForced bounds the bytes that are forced at once.
const maxForced = 512

// Forced appends the tokens that must come next, whatever the model would say:
// the text that the schema leaves no choice about, encoded as the model would
// have encoded it. Tokens that could merge with what follows are not among
// them. They are not accepted yet: call Accept with each.
func (m *Matcher) Forced(dst []harmony.Token) []harmony.Token {
	s := m.schema
	if m.ended {
		return dst
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(m.text)
	text, ended := s.forcedText(m.threads, append(m.spareText[:0], m.text...))
	m.spareText = text
	if len(text) == n && !ended {
		return dst
	}
	dst = m.encodeForced(dst, string(text), ended)
	if ended && len(s.end) == 1 && m.covers(dst, text) {
		dst = append(dst, s.end[0])
	}
	return dst
}

// covers reports whether the tokens spell all of the text behind the document.
func (m *Matcher) covers(tokens []harmony.Token, text []byte) bool {
	n := len(m.text)
	for _, id := range tokens {
		n += len(m.schema.vocabulary.enc.TokenText(id))
	}
	return n == len(text)
}

// forcedText appends the bytes that must follow the text. It reports whether the
// document's end is what follows then.
func (s *Schema) forcedText(threads []thread, text []byte) ([]byte, bool) {
	now := append([]thread(nil), threads...)
	w := s.walk()
	for range maxForced {
		ends := false
		for i := range now {
			ends = ends || now[i].canEnd()
		}
		b, ok := s.onlyByte(now, text)
		if !ok || ends {
			return text, ends && !ok && len(now) > 0 && now[0].mode == atEnd
		}
		text = append(text, b)
		n := len(now)
		for k := range n {
			now = s.machine.step(now, now[k], text)
		}
		now = distinct(now, n)
		now = now[:copy(now, now[n:])]
		w.budget = maxBudget
		if len(now) > maxThreads || !w.anyAlive(now, text) {
			return text[:len(text)-1], false
		}
	}
	return text, false
}

// onlyByte returns the byte that all threads leave as the only one.
func (s *Schema) onlyByte(threads []thread, text []byte) (byte, bool) {
	only, have := byte(0), false
	w := s.walk()
	w.budget = maxBudget
	probe := append(text[:len(text):len(text)], 0)
	var buf [16]thread
	for _, t := range threads {
		if t.isText() && t.text.d == atChar && t.strings().DFA.Total(t.text.s) && !t.strings().Counts {
			return 0, false
		}
		for b := range 256 {
			if have && byte(b) == only {
				continue
			}
			probe[len(text)] = byte(b)
			next := s.machine.step(buf[:0], t, probe)
			if len(next) == 0 || !w.anyAlive(next, probe) {
				continue
			}
			if have {
				return 0, false
			}
			only, have = byte(b), true
		}
	}
	return only, have
}

// encodeForced appends the tokens of the text behind the document. They are
// those of the whole text's encoding, if the document so far is encoded so, as
// far as nothing that may follow can change them; if the document ends with the
// text, nothing follows.
func (m *Matcher) encodeForced(dst []harmony.Token, text string, ended bool) []harmony.Token {
	n := len(m.text)
	from := lastSeam(text, n) // what stands in front of it does not matter
	limit := len(text)
	if !ended {
		limit = lastSeam(text, len(text))
	}
	at := from
	enc := m.schema.vocabulary.enc
	begun := len(dst)
	tokens := m.recent(from)
	for _, id := range enc.Encode(text[from:]) {
		end := at + len(enc.TokenText(id))
		if at < n {
			if len(tokens) == 0 || tokens[0] != id {
				return dst[:begun] // the model has spelled it otherwise, or it would merge
			}
			tokens = tokens[1:]
		} else {
			if end > limit {
				break
			}
			dst = append(dst, id)
		}
		at = end
	}
	return dst
}

// recent returns the accepted tokens from that byte of the document on, or none
// if no token begins there.
func (m *Matcher) recent(from int) []harmony.Token {
	at := len(m.text)
	for i := len(m.tokens); i >= 0; i-- {
		if at == from {
			return m.tokens[i:]
		}
		if i > 0 {
			at -= len(m.schema.vocabulary.enc.TokenText(m.tokens[i-1]))
		}
	}
	return nil
}

// lastSeam returns the last place, at most at limit, at which the encoding
// splits the text whatever follows: between a letter or a digit and a mark of
// ASCII that is no apostrophe, which would begin a contraction. The start of the
// text is one.
func lastSeam(text string, limit int) int {
	for i := min(limit, len(text)-1); i > 0; i-- {
		b := text[i]
		if b >= 0x80 || b <= ' ' || b == '\'' || isWord(rune(b)) {
			continue
		}
		if r, _ := utf8.DecodeLastRuneInString(text[:i]); r < 0x80 && isWord(r) {
			return i
		}
	}
	return 0
}

func isWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
