package automaton

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// node is a part of a parsed pattern.
type node struct {
	kind     nodeKind
	set      []rune // opSet: pairs of first and last character
	sub      []*node
	min, max int // opRepeat; a negative max is no limit
}

type nodeKind uint8

const (
	opSet nodeKind = iota
	opConcat
	opAlternate
	opRepeat
	opBegin
	opEnd
)

// lookahead is a condition on the whole text: it begins with the pattern, or not.
type lookahead struct {
	n      *node
	negate bool
}

// maxRepeat is the largest count of a repetition, and maxDepth how deep groups
// may be nested.
const (
	maxRepeat = 10_000
	maxDepth  = 200
)

// parser reads the patterns of ECMA-262 as far as they are regular. Where
// engines differ it takes what all of them accept: \d and \w are ASCII, \s the
// blanks of ASCII, "." no line end of any kind.
type parser struct {
	src   []rune
	at    int
	depth int
	ahead []lookahead
	begun bool // something other than ^ and lookaheads has been read
}

func parsePattern(src string) (*node, []lookahead, error) {
	p := &parser{src: []rune(src)}
	n, err := p.alternation()
	if err != nil {
		return nil, nil, err
	}
	if p.at < len(p.src) {
		return nil, nil, errors.New("unmatched )")
	}
	if len(p.ahead) > 0 && n.kind == opAlternate {
		return nil, nil, errors.New("a lookahead beside alternatives is not supported")
	}
	return n, p.ahead, nil
}

func (p *parser) peek() rune {
	if p.at < len(p.src) {
		return p.src[p.at]
	}
	return -1
}

func (p *parser) has(s string) bool {
	r := []rune(s)
	return p.at+len(r) <= len(p.src) && slices.Equal(p.src[p.at:p.at+len(r)], r)
}

func (p *parser) alternation() (*node, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, fmt.Errorf("groups nested more than %d deep", maxDepth)
	}
	defer func() { p.depth-- }()
	var alts []*node
	for {
		n, err := p.concat()
		if err != nil {
			return nil, err
		}
		alts = append(alts, n)
		if p.peek() != '|' {
			break
		}
		p.at++
	}
	if len(alts) == 1 {
		return alts[0], nil
	}
	return &node{kind: opAlternate, sub: alts}, nil
}

func (p *parser) concat() (*node, error) {
	c := &node{kind: opConcat}
	for p.at < len(p.src) && p.peek() != '|' && p.peek() != ')' {
		n, err := p.atom()
		if err != nil {
			return nil, err
		}
		if n == nil {
			continue // a lookahead
		}
		if n.kind != opBegin {
			p.begun = true
		}
		if n, err = p.repeat(n); err != nil {
			return nil, err
		}
		c.sub = append(c.sub, n)
	}
	return c, nil
}

func (p *parser) atom() (*node, error) {
	r := p.peek()
	p.at++
	switch r {
	case '^':
		return &node{kind: opBegin}, nil
	case '$':
		return &node{kind: opEnd}, nil
	case '(':
		return p.group()
	case '[':
		return p.class()
	case '.':
		return setNode(invert([]rune{'\n', '\n', '\r', '\r', 0x2028, 0x2029})), nil
	case '\\':
		set, err := p.escape(false)
		if err != nil {
			return nil, err
		}
		return setNode(set), nil
	case '*', '+', '?':
		return nil, fmt.Errorf("nothing to repeat before %c", r)
	}
	return setNode([]rune{r, r}), nil
}

func setNode(set []rune) *node { return &node{kind: opSet, set: set} }

func (p *parser) group() (*node, error) {
	switch {
	case p.has("?:"):
		p.at += 2
	case p.has("?="), p.has("?!"):
		return nil, p.lookahead()
	case p.has("?<="), p.has("?<!"):
		return nil, errors.New("lookbehind is not supported")
	case p.has("?<"), p.has("?P<"):
		end := slices.Index(p.src[p.at:], '>')
		if end < 0 {
			return nil, errors.New("a group's name has no end")
		}
		p.at += end + 1
	case p.has("?"):
		return nil, fmt.Errorf("the group (%s is not supported", string(p.src[p.at:min(len(p.src), p.at+3)]))
	}
	n, err := p.alternation()
	if err != nil {
		return nil, err
	}
	return n, p.close()
}

func (p *parser) close() error {
	if p.peek() != ')' {
		return errors.New("missing )")
	}
	p.at++
	return nil
}

// lookahead reads one that stands right behind the leading ^: it speaks of the
// whole text, and two automata side by side hold it.
func (p *parser) lookahead() error {
	if p.begun || p.depth != 1 || p.src[0] != '^' {
		return errors.New("a lookahead is supported only right behind the leading ^")
	}
	negate := p.src[p.at+1] == '!'
	p.at += 2
	inner := &parser{src: p.src, at: p.at, depth: p.depth, begun: true}
	n, err := inner.alternation()
	if err != nil {
		return err
	}
	p.at = inner.at
	p.ahead = append(p.ahead, lookahead{&node{kind: opConcat, sub: []*node{{kind: opBegin}, n}}, negate})
	return p.close()
}

func (p *parser) repeat(n *node) (*node, error) {
	for first := true; ; first = false {
		low, high := 0, -1
		switch r := p.peek(); r {
		case '*':
			p.at++
		case '+':
			low = 1
			p.at++
		case '?':
			high = 1
			p.at++
		case '{':
			var ok bool
			if low, high, ok = p.counts(); !ok {
				return n, nil // ECMA's annex B: a literal brace
			}
		default:
			return n, nil
		}
		if !first {
			return nil, errors.New("nothing to repeat")
		}
		if high >= 0 && low > high || low > maxRepeat || high > maxRepeat {
			return nil, fmt.Errorf("the repetition {%d,%d} is not supported", low, high)
		}
		if p.peek() == '?' { // lazy: the same language
			p.at++
		}
		n = &node{kind: opRepeat, sub: []*node{n}, min: low, max: high}
	}
}

// counts reads {n}, {n,} or {n,m}.
func (p *parser) counts() (low, high int, ok bool) {
	end := slices.Index(p.src[p.at:], '}')
	if end < 0 {
		return 0, 0, false
	}
	first, second, comma := strings.Cut(string(p.src[p.at+1:p.at+end]), ",")
	low, err := strconv.Atoi(first)
	if err != nil || low < 0 {
		return 0, 0, false
	}
	switch {
	case !comma:
		high = low
	case second == "":
		high = -1
	default:
		if high, err = strconv.Atoi(second); err != nil || high < 0 {
			return 0, 0, false
		}
	}
	p.at += end + 1
	return low, high, true
}

func (p *parser) class() (*node, error) {
	negate := p.peek() == '^'
	if negate {
		p.at++
	}
	var set []rune
	for {
		if p.at >= len(p.src) {
			return nil, errors.New("missing ]")
		}
		if p.peek() == ']' {
			p.at++
			break
		}
		lo, err := p.classAtom()
		if err != nil {
			return nil, err
		}
		if p.peek() == '-' && p.at+1 < len(p.src) && p.src[p.at+1] != ']' && single(lo) {
			p.at++
			hi, err := p.classAtom()
			if err != nil {
				return nil, err
			}
			if !single(hi) || hi[0] < lo[0] {
				return nil, errors.New("a range in [] is out of order")
			}
			set = append(set, lo[0], hi[0])
			continue
		}
		set = append(set, lo...)
	}
	if negate {
		return setNode(invert(set)), nil
	}
	return setNode(set), nil
}

func single(set []rune) bool { return len(set) == 2 && set[0] == set[1] }

func (p *parser) classAtom() ([]rune, error) {
	r := p.peek()
	p.at++
	if r == '\\' {
		return p.escape(true)
	}
	return []rune{r, r}, nil
}

var (
	digits = []rune{'0', '9'}
	word   = []rune{'0', '9', 'A', 'Z', '_', '_', 'a', 'z'}
	blank  = []rune{'\t', '\n', '\f', '\r', ' ', ' '}
	// blankAnywhere is what some engine counts as a blank; \S is none of it.
	blankAnywhere = []rune{'\t', '\r', 0x1c, ' ', 0x85, 0x85, 0xa0, 0xa0, 0x1680, 0x1680, 0x2000, 0x200a,
		0x2028, 0x2029, 0x202f, 0x202f, 0x205f, 0x205f, 0x3000, 0x3000, 0xfeff, 0xfeff}
)

// escape reads what follows a backslash as a set.
func (p *parser) escape(inClass bool) ([]rune, error) {
	r := p.peek()
	if r < 0 {
		return nil, errors.New("a trailing backslash")
	}
	p.at++
	one := func(r rune) ([]rune, error) { return []rune{r, r}, nil }
	switch r {
	case 'd':
		return digits, nil
	case 'D':
		return invert(unicodeSet(unicode.Nd)), nil
	case 'w':
		return word, nil
	case 'W':
		return invert(append(unicodeSet(unicode.L, unicode.N, unicode.M, unicode.Pc), word...)), nil
	case 's':
		return blank, nil
	case 'S':
		return invert(blankAnywhere), nil
	case 't':
		return one('\t')
	case 'n':
		return one('\n')
	case 'v':
		return one('\v')
	case 'f':
		return one('\f')
	case 'r':
		return one('\r')
	case 'x':
		return p.hex(2)
	case 'u':
		if p.peek() == '{' {
			return p.bracedHex()
		}
		return p.hex(4)
	case 'c':
		c := p.peek()
		if c < 'A' || c > 'z' || c > 'Z' && c < 'a' {
			return nil, errors.New(`\c wants a letter`)
		}
		p.at++
		return one(c % 32)
	case 'p', 'P':
		return p.property(r == 'P')
	case '0':
		return one(0)
	case 'b':
		if inClass {
			return one('\b')
		}
		return nil, errors.New(`\b is not supported`)
	}
	if r < 128 && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
		return nil, fmt.Errorf(`\%c is not supported`, r)
	}
	return one(r)
}

func (p *parser) hex(n int) ([]rune, error) {
	if p.at+n > len(p.src) {
		return nil, errors.New("a short hexadecimal escape")
	}
	v, err := strconv.ParseUint(string(p.src[p.at:p.at+n]), 16, 32)
	if err != nil {
		return nil, errors.New("a bad hexadecimal escape")
	}
	p.at += n
	r := rune(v)
	if r >= 0xD800 && r < 0xDC00 && p.has(`\u`) { // a surrogate pair is one character
		p.at += 2
		low, err := p.hex(4)
		if err != nil || low[0] < 0xDC00 || low[0] > 0xDFFF {
			return nil, errors.New("half a surrogate pair")
		}
		r = (r-0xD800)<<10 + (low[0] - 0xDC00) + 0x10000
	}
	return []rune{r, r}, nil
}

func (p *parser) bracedHex() ([]rune, error) {
	end := slices.Index(p.src[p.at:], '}')
	if end < 0 {
		return nil, errors.New(`\u{ has no end`)
	}
	v, err := strconv.ParseUint(string(p.src[p.at+1:p.at+end]), 16, 32)
	if err != nil || v > unicode.MaxRune {
		return nil, errors.New(`a bad \u{} escape`)
	}
	p.at += end + 1
	return []rune{rune(v), rune(v)}, nil
}

// property reads \p{Name}: a general category or a script.
func (p *parser) property(negate bool) ([]rune, error) {
	name := string(p.peek())
	if name == "{" {
		end := slices.Index(p.src[p.at:], '}')
		if end < 0 {
			return nil, errors.New(`\p{ has no end`)
		}
		name = string(p.src[p.at+1 : p.at+end])
		p.at += end
	}
	p.at++
	if _, after, ok := strings.Cut(name, "="); ok {
		name = after
	}
	if long, ok := map[string]string{"Letter": "L", "Lowercase_Letter": "Ll", "Uppercase_Letter": "Lu", "Number": "N",
		"Decimal_Number": "Nd", "Punctuation": "P", "Symbol": "S", "Separator": "Z", "Mark": "M"}[name]; ok {
		name = long
	}
	table, ok := unicode.Categories[name]
	if !ok {
		if table, ok = unicode.Scripts[name]; !ok {
			return nil, fmt.Errorf(`\p{%s} is not supported`, name)
		}
	}
	set := unicodeSet(table)
	if negate {
		set = invert(set)
	}
	return set, nil
}

func unicodeSet(tables ...*unicode.RangeTable) []rune {
	var set []rune
	add := func(lo, hi, stride rune) {
		if stride == 1 {
			set = append(set, lo, hi)
			return
		}
		for r := lo; r <= hi; r += stride {
			set = append(set, r, r)
		}
	}
	for _, t := range tables {
		for _, r := range t.R16 {
			add(rune(r.Lo), rune(r.Hi), rune(r.Stride))
		}
		for _, r := range t.R32 {
			add(rune(r.Lo), rune(r.Hi), rune(r.Stride))
		}
	}
	return set
}

// invert returns the characters that are not in the set.
func invert(set []rune) []rune {
	pairs := make([][2]rune, 0, len(set)/2)
	for i := 0; i < len(set); i += 2 {
		pairs = append(pairs, [2]rune{set[i], set[i+1]})
	}
	slices.SortFunc(pairs, func(a, b [2]rune) int { return int(a[0] - b[0]) })
	var out []rune
	next := rune(0)
	for _, p := range pairs {
		if p[0] > next {
			out = append(out, next, p[0]-1)
		}
		next = max(next, p[1]+1)
	}
	if next <= unicode.MaxRune {
		out = append(out, next, unicode.MaxRune)
	}
	return out
}
