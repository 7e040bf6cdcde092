package constrain

import (
	"slices"
	"sync/atomic"

	"chorale/harmony"
	"chorale/harmony/constrain/internal/trie"
)

// headers is a graph of all headers that are legal in a conversation. Its edges
// are bytes of text, and control tokens; it holds both orders of channel and
// recipient:
//
//	<|start|>assistant<|channel|>commentary to=functions.f <|constrain|>json<|message|>
//	<|start|>assistant to=functions.f<|channel|>commentary json<|message|>
//
// the first as the models write, the second as openai-harmony renders. Text is
// followed by its bytes, so that every way to cut it into tokens is a way
// through the graph; control tokens are edges of their own, so that no text can
// spell one.
type headers struct {
	v     *Vocabulary
	c     harmony.Control
	nodes []node
	start int32 // before <|start|>
	open  int32 // behind <|start|>assistant
}

type node struct {
	bytes []byteEdge
	marks []markEdge
	next  atomic.Pointer[next] // filled in when it is first asked for
}

type byteEdge struct {
	b  byte
	to int32
}

// markEdge is a control token. It leads to a node, or from <|message|> into the
// body ^to.
type markEdge struct {
	token harmony.Token
	to    int32
}

// next is what may follow a node.
type next struct {
	tokens []harmony.Token // all that may come
	forced []harmony.Token // those that must come, in order
}

// newHeaders builds the graph. The answer is no body where the model must call.
func newHeaders(v *Vocabulary, tools []recipient, thought, answer int) *headers {
	h := &headers{v: v, c: v.enc.Control()}
	h.start = h.node()
	role := h.node()
	h.mark(h.start, h.c.Start, role)
	h.open = h.text(role, harmony.Assistant.String())
	first := h.node()
	h.mark(h.open, h.c.Channel, first)
	for _, name := range []string{harmony.Analysis, harmony.Commentary} { // reasoning and preambles
		h.mark(h.text(first, name), h.c.Message, ^int32(thought))
	}
	if answer != noBody {
		h.mark(h.text(first, harmony.Final), h.c.Message, ^int32(answer))
	}
	for _, r := range tools {
		h.addCall(first, r)
	}
	return h
}

// addCall adds the headers of calls of one tool: the channel first, from the
// node where channels are named, and the recipient first.
func (h *headers) addCall(channels int32, r recipient) {
	tail := h.tail(r)
	address := " to=" + r.name
	addressed := h.text(h.open, address)
	second := h.node()
	h.mark(addressed, h.c.Channel, second)
	for _, channel := range r.channels {
		h.join(h.text(h.text(channels, channel), address), tail)
		h.join(h.text(second, channel), tail)
	}
}

// tail is what follows when channel and recipient are known: perhaps the type of
// the content, as " json" or " <|constrain|>json", and the end of the header.
func (h *headers) tail(r recipient) int32 {
	tail := h.node()
	end := func(n int32) { h.mark(n, h.c.Message, ^int32(r.body)) }
	end(tail)
	space := h.text(tail, " ")
	constrained := h.node()
	h.mark(space, h.c.Constrain, constrained)
	for _, t := range r.types {
		end(h.text(space, t))
		end(h.text(constrained, t))
	}
	return tail
}

func (h *headers) node() int32 {
	h.nodes = append(h.nodes, node{})
	return int32(len(h.nodes) - 1)
}

// text follows a text from a node, and makes the way where there is none.
func (h *headers) text(from int32, s string) int32 {
	for i := range len(s) {
		to, ok := h.step(from, s[i])
		if !ok {
			to = h.node()
			h.nodes[from].bytes = append(h.nodes[from].bytes, byteEdge{s[i], to})
		}
		from = to
	}
	return from
}

func (h *headers) mark(from int32, t harmony.Token, to int32) {
	h.nodes[from].marks = append(h.nodes[from].marks, markEdge{t, to})
}

// join has a node go on as another one does.
func (h *headers) join(from, as int32) {
	h.nodes[from].bytes = append(h.nodes[from].bytes, h.nodes[as].bytes...)
	h.nodes[from].marks = append(h.nodes[from].marks, h.nodes[as].marks...)
}

func (h *headers) step(from int32, b byte) (int32, bool) {
	for _, e := range h.nodes[from].bytes {
		if e.b == b {
			return e.to, true
		}
	}
	return 0, false
}

// accept follows a token. It leads to a node, or into the body ^to.
func (h *headers) accept(from int32, t harmony.Token) (to int32, ok bool) {
	for _, m := range h.nodes[from].marks {
		if m.token == t {
			return m.to, true
		}
	}
	if !h.v.Text().Has(t) {
		return 0, false
	}
	text := h.v.enc.TokenText(t)
	for i := range len(text) {
		if from, ok = h.step(from, text[i]); !ok {
			return 0, false
		}
	}
	return from, true
}

// after returns what may follow a node.
func (h *headers) after(n int32) *next {
	at := &h.nodes[n]
	if f := at.next.Load(); f != nil {
		return f
	}
	f := &next{forced: h.forced(n)}
	for _, m := range at.marks {
		f.tokens = append(f.tokens, m.token)
	}
	f.tokens = h.through(f.tokens, 0, h.v.all.Len(), n)
	at.next.Store(f) // if two get here at once, they store the same
	return f
}

// through appends the tokens whose text is a way on from a node. The trie's
// nodes from lo to hi are those that stand behind the text so far.
func (h *headers) through(dst []harmony.Token, lo, hi uint32, n int32) []harmony.Token {
	t := h.v.all
	for _, e := range h.nodes[n].bytes {
		at, ok := t.Child(lo, hi, e.b)
		if !ok {
			continue
		}
		if t.Token[at] != trie.None {
			dst = append(dst, t.Token[at])
		}
		dst = h.through(dst, at+1, t.Skip[at], e.to)
	}
	return dst
}

// chain returns the tokens that must come from a node on, up to a choice or to
// the header's end.
func (h *headers) chain(n int32) []harmony.Token {
	var out []harmony.Token
	for n >= 0 {
		forced := h.after(n).forced
		if len(forced) == 0 {
			break
		}
		for _, t := range forced {
			n, _ = h.accept(n, t) // they come from the graph
		}
		out = append(out, forced...)
	}
	return out
}

// forced returns the tokens that all ways on from a node share, in the encoding
// that the models were trained on: there each part of a header, which begins
// with a space or behind a control token, is encoded by itself.
func (h *headers) forced(n int32) []harmony.Token {
	at := &h.nodes[n]
	if len(at.bytes) == 0 && len(at.marks) == 1 {
		return []harmony.Token{at.marks[0].token}
	}
	if len(at.marks) > 0 || len(at.bytes) == 0 {
		return nil
	}
	var common []harmony.Token
	for i, text := range h.texts(nil, "", n) {
		tokens := h.v.enc.Encode(text)
		if i == 0 {
			common = tokens
		}
		same := 0
		for same < min(len(common), len(tokens)) && common[same] == tokens[same] {
			same++
		}
		common = common[:same]
	}
	return common
}

// texts appends all texts from a node to the end of the part that it is in,
// each behind what came before.
func (h *headers) texts(dst []string, before string, n int32) []string {
	at := &h.nodes[n]
	ends := len(at.marks) > 0 || len(at.bytes) == 0
	for _, e := range at.bytes {
		if e.b == ' ' && before != "" {
			ends = true
			continue
		}
		dst = h.texts(dst, before+string(e.b), e.to)
	}
	if ends && !slices.Contains(dst, before) {
		dst = append(dst, before)
	}
	return dst
}
