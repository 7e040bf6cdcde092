package harmony

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// lenientHeader reads the header of one message. Unlike parseHeader it knows the
// markers by their ids, places every word that it can and reports the rest.
type lenientHeader struct {
	control  *Control
	segments []segment
	given    Role // the author, if the prompt named it
	implied  bool // the header began without <|start|>
	text     string
	// channelFollows says that some segment is behind <|channel|>.
	channelFollows bool

	message    Message
	rawChannel string
	needTo     bool // the last word was a bare "to="
	left       []string
	repairs    []RepairKind
}

func (h *lenientHeader) repair(k RepairKind) { h.repairs = append(h.repairs, k) }

// takeWords reads a complete header.
func (h *lenientHeader) takeWords() {
	for i, s := range h.segments {
		text := s.text
		switch {
		case i == 0:
		case s.marker == h.control.Channel:
			text = h.takeChannel(text, false)
		default:
			text = h.takeConstrain(text, false)
		}
		words := strings.Fields(text)
		if i == 0 {
			words = h.takeRole(words)
		}
		for _, w := range words {
			h.takeWord(w)
		}
	}
	h.placeLeft()
}

// placeLeft takes the content type out of the words that are left over: a usual
// one, or the only word behind a recipient, as in "to=python code".
func (h *lenientHeader) placeLeft() {
	m := &h.message
	if m.ContentType == "" {
		i := slices.IndexFunc(h.left, isContentType)
		if i < 0 && len(h.left) == 1 && m.Recipient != "" {
			i = 0
		}
		if i >= 0 {
			m.ContentType = h.left[i]
			h.left = slices.Delete(h.left, i, i+1)
		}
	}
	if len(h.left) > 0 {
		h.repair(ExtraWords)
	}
}

func isContentType(word string) bool { return word == "json" || word == "code" || word == "text" }

// takeChannel takes the channel's name off the text behind its marker. In an
// unfinished header content may follow at once, and what is not near to a
// channel's name is content.
func (h *lenientHeader) takeChannel(text string, unfinished bool) (rest string) {
	trimmed := strings.TrimLeftFunc(text, unicode.IsSpace)
	end := strings.IndexFunc(trimmed, func(r rune) bool { return unicode.IsSpace(r) || r == '<' })
	if end < 0 {
		end = len(trimmed)
	}
	if to := strings.Index(trimmed[:end], "to="); to >= 0 {
		end = to
	}
	if unfinished {
		end = channelEnd(trimmed[:end])
	}
	name := trimmed[:end]
	switch {
	case name == "":
		h.repair(EmptyChannel)
		return text
	case h.rawChannel != "":
		h.repair(RepeatedChannel)
	default:
		h.rawChannel = name
	}
	if len(trimmed) < len(text) {
		h.repair(ExtraSpace)
	}
	return trimmed[end:]
}

// channelEnd returns how much of a word is a channel's name: what is one, if no
// small letter follows, or all of it, if it is near to one, or nothing.
func channelEnd(word string) int {
	for _, c := range []string{Analysis, Commentary, Final} {
		if rest, ok := strings.CutPrefix(word, c); ok {
			if r, _ := utf8.DecodeRuneInString(rest); !unicode.IsLower(r) {
				return len(c)
			}
		}
	}
	if _, near := nearChannel(word); near {
		return len(word)
	}
	return 0
}

// takeConstrain takes the content type off the text behind its marker. In an
// unfinished header it is letters only.
func (h *lenientHeader) takeConstrain(text string, unfinished bool) (rest string) {
	if h.message.ContentType != "" {
		return text
	}
	trimmed := strings.TrimLeftFunc(text, unicode.IsSpace)
	end := strings.IndexFunc(trimmed, func(r rune) bool {
		return unicode.IsSpace(r) || unfinished && !unicode.IsLetter(r)
	})
	if end < 0 {
		end = len(trimmed)
	}
	h.message.ContentType = constrainName + trimmed[:end]
	if end == 0 {
		return text
	}
	if len(trimmed) < len(text) {
		h.repair(ExtraSpace)
	}
	return trimmed[end:]
}

// takeRole reads the author off the words before the first marker.
func (h *lenientHeader) takeRole(words []string) []string {
	m := &h.message
	m.Role = h.given
	if len(words) > 0 {
		if role, rest := unglue(words[0]); rest != "" {
			h.repair(GarbledRole)
			words = append([]string{role, rest}, words[1:]...)
		}
	}
	if h.given == 0 {
		if len(words) == 0 || h.namesNoAuthor(words[0]) {
			m.Role = Assistant
			if !h.implied {
				h.repair(MissingRole)
			}
		} else {
			h.author(words[0])
			words = words[1:]
		}
	}
	for len(words) > 0 && words[0] == m.Role.String() {
		h.repair(RepeatedRole)
		words = words[1:]
	}
	return words
}

// unglue cuts a role's word off the channel or recipient that is glued to it, as
// in "assistantfinal" and "assistantto=python".
func unglue(word string) (role, rest string) {
	for r := System; r <= Tool; r++ {
		rest, ok := strings.CutPrefix(word, r.String())
		if ok && (isChannel(rest) || strings.HasPrefix(rest, "to=")) {
			return r.String(), rest
		}
	}
	return word, ""
}

// namesNoAuthor reports whether the header begins with something else than its
// author.
func (h *lenientHeader) namesNoAuthor(word string) bool {
	if strings.HasPrefix(word, "to=") || isChannel(word) {
		return true
	}
	who, _, _ := strings.Cut(word, ":")
	role, _ := nearestRole(who)
	return h.implied && role == 0 && !isToolName(word)
}

// author reads the word that names the author. One that nobody knows is taken
// for a tool, the author with the least authority.
func (h *lenientHeader) author(word string) {
	m := &h.message
	who, name, named := strings.Cut(word, ":")
	role, exact := nearestRole(who)
	switch {
	case role == 0:
		m.Role, m.Name = Tool, word
		if !isToolName(word) {
			h.repair(UnknownRole)
		}
		return
	case strings.HasPrefix(who, role.String()+role.String()):
		h.repair(RepeatedRole)
	case !exact:
		h.repair(GarbledRole)
	}
	m.Role = role
	if role == Tool {
		m.Name = who
	}
	if named {
		m.Name = name
	}
}

// nearestRole returns the role that a word stands for: the word itself, said
// more than once, in other case, or an assistant with up to two slips.
func nearestRole(word string) (role Role, exact bool) {
	if r, ok := ParseRole(word); ok {
		return r, true
	}
	for r := System; r <= Tool; r++ {
		name := r.String()
		if strings.ReplaceAll(strings.ToLower(word), name, "") == "" && word != "" {
			return r, false
		}
	}
	if distance(strings.ToLower(word), Assistant.String()) <= 2 {
		return Assistant, false
	}
	return 0, false
}

// takeWord places one word behind the author.
func (h *lenientHeader) takeWord(w string) {
	m := &h.message
	to, addressed := strings.CutPrefix(w, "to=")
	switch {
	case h.needTo && !addressed:
		h.repair(ExtraSpace)
		h.setRecipient(w)
	case addressed && m.Recipient == "":
		h.setRecipient(to)
	case addressed:
		h.repair(ExtraWords)
	case isChannel(w) && h.rawChannel == "" && !h.channelFollows:
		h.rawChannel = w
		h.repair(MissingChannel)
	case m.Recipient == "" && isToolName(w):
		h.setRecipient(w)
		h.repair(MissingTo)
	default:
		h.left = append(h.left, w)
	}
}

// setRecipient cuts off markup that was spelled out behind a tool's name.
func (h *lenientHeader) setRecipient(to string) {
	name, _, markup := strings.Cut(to, "<")
	if markup {
		h.repair(ExtraWords)
	}
	h.message.Recipient = name
	h.needTo = name == ""
}

// takeStart reads what stands at the start of a header that never ended and
// returns the rest, unchanged: it is content.
func (h *lenientHeader) takeStart() (content string) {
	var b strings.Builder
	for i, s := range h.segments {
		text := s.text
		switch {
		case i == 0:
			text = h.takeKnownRole(text)
		case s.marker == h.control.Channel:
			text = h.takeChannel(text, true)
		default:
			text = h.takeConstrain(text, true)
		}
		if b.Len() == 0 {
			text = h.takeTo(text)
		}
		b.WriteString(text)
	}
	return b.String()
}

// takeKnownRole takes a role's word off the text; any other word is content.
func (h *lenientHeader) takeKnownRole(text string) (rest string) {
	m := &h.message
	m.Role = h.given
	if h.given == 0 {
		m.Role = Assistant
	}
	for _, r := range []Role{Assistant, User, System, Developer, Tool} {
		rest, ok := strings.CutPrefix(text, r.String())
		if !ok || h.given != 0 && r != h.given || rest != "" && !strings.ContainsRune(" \t\r\n", rune(rest[0])) {
			continue
		}
		m.Role = r
		if r == Tool {
			m.Name = r.String()
		}
		return rest
	}
	if h.given == 0 && !h.implied {
		h.repair(MissingRole)
	}
	return text
}

// takeTo takes a recipient off the start of the text.
func (h *lenientHeader) takeTo(text string) (rest string) {
	to, ok := strings.CutPrefix(strings.TrimLeft(text, " "), "to=")
	if !ok || h.message.Recipient != "" {
		return text
	}
	end := strings.IndexFunc(to, func(r rune) bool { return unicode.IsSpace(r) || r == '<' || r == '{' })
	if end < 0 {
		end = len(to)
	}
	h.message.Recipient = to[:end]
	return to[end:]
}

// settle maps the channel to one that exists.
func (h *lenientHeader) settle() {
	m := &h.message
	if h.rawChannel == "" {
		return
	}
	m.Channel = nearestChannel(h.rawChannel, m.Recipient != "")
	if m.Channel != h.rawChannel {
		h.repair(GarbledChannel)
	}
}

func isChannel(word string) bool {
	return word == Analysis || word == Commentary || word == Final
}

// nearestChannel returns the channel that a name stands for; if it is near to
// none, commentary for a call and final for the rest, so that no answer is taken
// for reasoning.
func nearestChannel(name string, call bool) string {
	c, near := nearChannel(name)
	switch {
	case near:
		return c
	case call:
		return Commentary
	}
	return Final
}

// nearChannel returns the channel with the fewest slips between it and the name,
// if no more than half of the name are slips.
func nearChannel(name string) (channel string, near bool) {
	slips := len(name) / 2
	for _, c := range []string{Final, Commentary, Analysis} {
		if c == name {
			return c, true
		}
		if d := distance(strings.ToLower(name), c); d <= slips {
			channel, near, slips = c, true, d-1
		}
	}
	return channel, near
}

// isToolName reports whether a word can only be a tool: python, browser, or
// names joined by dots.
func isToolName(word string) bool {
	if word == "python" || word == "browser" {
		return true
	}
	parts := strings.Split(word, ".")
	return len(parts) > 1 && !slices.ContainsFunc(parts, func(s string) bool { return !isName(s) })
}

func isName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r != '_' && r != '-' && !unicode.IsLetter(r) && !unicode.IsDigit(r)
	})
}

// distance is the number of letters to insert, drop or change (Levenshtein).
// Words that differ much in length are far apart and not measured.
func distance(a, b string) int {
	if len(a) > 2*len(b) || len(b) > 2*len(a) {
		return max(len(a), len(b))
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal = row[j+1]
			row[j+1] = cost
		}
	}
	return row[len(b)]
}
