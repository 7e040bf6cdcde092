package policies

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"chorale/internal/strictyaml"
)

// match says which calls a rule is about: those that meet all of its keys.
type match struct {
	tool, except patterns
	args         []condition
	code         *matcher
}

// condition is a matcher on the argument at a path.
type condition struct {
	path []step
	want *matcher
}

// matchDoc is a match as it is written.
type matchDoc struct {
	Tool   patterns            `yaml:"tool,required"`
	Except patterns            `yaml:"except"`
	Args   map[string]*matcher `yaml:"args"`
	Code   *matcher            `yaml:"code"`
}

// Check refuses a path that cannot be read, and a match that fits no call.
func (d *matchDoc) Check() error {
	if d.Code != nil && len(d.Args) > 0 {
		return strictyaml.At("code", errors.New("stands beside args; no call has both source text and arguments"))
	}
	for _, path := range slices.Sorted(maps.Keys(d.Args)) {
		if _, err := parsePath(path); err != nil {
			return strictyaml.At("args", strictyaml.At(path, err))
		}
	}
	return nil
}

func (d *matchDoc) compile() match {
	m := match{tool: d.Tool, except: d.Except, code: d.Code}
	for path, want := range d.Args {
		steps, _ := parsePath(path) // Check has read it
		m.args = append(m.args, condition{steps, want})
	}
	return m
}

// errArguments denies a call that a rule about arguments cannot be applied to.
var errArguments = errors.New("arguments cannot be read")

// applies reports whether the rule is about the call. Where several values lie
// at a path, one that matches is enough to restrict a call, but all of them
// must match to allow it (all).
func (m *match) applies(a *arguments, all bool) (bool, error) {
	if !m.tool.match(a.call.Tool, a.name) || m.except.match(a.call.Tool, a.name) {
		return false, nil
	}
	// A call of the namespace itself has source text, a function's has JSON.
	isCode := a.call.Function == ""
	if (m.code != nil && !isCode) || (len(m.args) > 0 && isCode) {
		return false, nil
	}
	hit := true
	if m.code != nil {
		if ok, err := m.code.matches(a.call.Args); !ok || err != nil {
			return false, err
		}
	}
	for _, c := range m.args { // all of them, as an error outweighs a miss
		values, err := a.at(c.path)
		if err != nil {
			return false, err
		}
		ok, err := c.want.over(values, all)
		if err != nil {
			return false, err
		}
		hit = hit && ok
	}
	return hit, nil
}

// patterns are globs on tool names. One without a dot is about a whole
// namespace: "functions" matches "functions.pay".
type patterns []string

var patternCharset = regexp.MustCompile(`^[A-Za-z0-9_.*?-]+$`)

func (p *patterns) DecodeNode(n strictyaml.Node) error {
	var list []string
	if n.Kind() == strictyaml.Sequence {
		if err := n.Decode(&list); err != nil {
			return err
		}
	} else {
		list = make([]string, 1)
		if err := n.Decode(&list[0]); err != nil {
			return err
		}
	}
	if len(list) == 0 {
		return errors.New("names no tool; write \"*\" for all")
	}
	for _, s := range list {
		if !patternCharset.MatchString(s) {
			return fmt.Errorf("%q is no tool pattern: letters, digits, . _ - and the wildcards * and ? only", s)
		}
	}
	*p = list
	return nil
}

func (p patterns) match(namespace, name string) bool {
	for _, pattern := range p {
		subject := name
		if !strings.Contains(pattern, ".") {
			subject = namespace
		}
		if glob(pattern, subject) {
			return true
		}
	}
	return false
}

// matcher is a condition on one value. All keys that are set must hold.
type matcher struct {
	glob   *string
	regexp *regexp.Regexp
	oneOf  []scalar
	bounds []bound
	not    *matcher
}

type bound struct {
	holds func(v, limit float64) bool
	limit float64
}

// matcherDoc is the long form of a matcher.
type matcherDoc struct {
	Glob   *string     `yaml:"glob"`
	Regexp *expression `yaml:"regexp"`
	Equals *scalar     `yaml:"equals"`
	OneOf  *[]scalar   `yaml:"oneOf"`
	Min    *float64    `yaml:"min"`
	Max    *float64    `yaml:"max"`
	Above  *float64    `yaml:"above"`
	Below  *float64    `yaml:"below"`
	Not    *matcher    `yaml:"not"`
}

// DecodeNode reads a matcher: a string is a glob, a list is one of its
// entries, another scalar is equality, a mapping is the long form.
func (m *matcher) DecodeNode(n strictyaml.Node) error {
	switch n.Kind() {
	case strictyaml.String:
		text := n.Text()
		m.glob = &text
		return nil
	case strictyaml.Sequence:
		return n.Decode(&m.oneOf)
	case strictyaml.Number, strictyaml.Bool:
		m.oneOf = make([]scalar, 1)
		return n.Decode(&m.oneOf[0])
	}
	var doc matcherDoc
	if err := n.Decode(&doc); err != nil {
		return err
	}
	m.glob, m.not = doc.Glob, doc.Not
	if doc.Regexp != nil {
		m.regexp = doc.Regexp.re
	}
	if doc.OneOf != nil {
		m.oneOf = *doc.OneOf
	}
	if doc.Equals != nil {
		m.oneOf = []scalar{*doc.Equals}
	}
	for _, b := range []struct {
		limit *float64
		holds func(v, limit float64) bool
	}{
		{doc.Min, func(v, l float64) bool { return v >= l }},
		{doc.Max, func(v, l float64) bool { return v <= l }},
		{doc.Above, func(v, l float64) bool { return v > l }},
		{doc.Below, func(v, l float64) bool { return v < l }},
	} {
		if b.limit != nil {
			m.bounds = append(m.bounds, bound{b.holds, *b.limit})
		}
	}
	return nil
}

// Check refuses a matcher that says nothing, and two keys that mean the same.
func (d *matcherDoc) Check() error {
	if *d == (matcherDoc{}) {
		return errors.New("says nothing; give glob, regexp, equals, oneOf, min, max, above, below or not")
	}
	if d.Equals != nil && d.OneOf != nil {
		return strictyaml.At("equals", errors.New("stands beside oneOf; one of them is enough"))
	}
	return nil
}

// over applies the matcher to several values.
func (m *matcher) over(values []any, all bool) (bool, error) {
	hits := 0
	for _, v := range values {
		hit, err := m.matches(v)
		if err != nil {
			return false, err
		}
		if hit {
			hits++
		}
	}
	if all {
		return hits > 0 && hits == len(values), nil
	}
	return hits > 0, nil
}

// matches applies the matcher to a scalar. A bound on what is no number cannot
// be applied, which is an error.
func (m *matcher) matches(v any) (bool, error) {
	text := textOf(v)
	if m.glob != nil && !glob(*m.glob, text) || m.regexp != nil && !m.regexp.MatchString(text) {
		return false, nil
	}
	if m.oneOf != nil && !contains(m.oneOf, v) {
		return false, nil
	}
	for _, b := range m.bounds {
		f, ok := floatOf(v)
		if !ok {
			return false, errArguments
		}
		if !b.holds(f, b.limit) {
			return false, nil
		}
	}
	if m.not != nil {
		hit, err := m.not.matches(v)
		return !hit, err
	}
	return true, nil
}

func contains(list []scalar, v any) bool {
	for _, s := range list {
		if s.equal(v) {
			return true
		}
	}
	return false
}

// expression is a regular expression in RE2 syntax, found anywhere in a value.
type expression struct{ re *regexp.Regexp }

func (e *expression) UnmarshalText(text []byte) (err error) {
	if e.re, err = regexp.Compile(string(text)); err != nil {
		return fmt.Errorf("no regular expression: %w", err)
	}
	return nil
}

// scalar is a string, number or bool of a policy file.
type scalar struct {
	kind strictyaml.Kind
	text string
	num  float64
}

func (s *scalar) DecodeNode(n strictyaml.Node) error {
	s.kind, s.text = n.Kind(), n.Text()
	switch n.Kind() {
	case strictyaml.String:
		return nil
	case strictyaml.Bool:
		s.text = strings.ToLower(s.text)
		return nil
	case strictyaml.Number:
		return n.Decode(&s.num)
	}
	return fmt.Errorf("must be a string, number or bool, got %s", n.Describe())
}

func (s scalar) equal(v any) bool {
	switch v := v.(type) {
	case string:
		return s.kind == strictyaml.String && s.text == v
	case bool:
		return s.kind == strictyaml.Bool && s.text == strconv.FormatBool(v)
	}
	f, ok := floatOf(v)
	return ok && s.kind == strictyaml.Number && s.num == f && !math.IsInf(f, 0)
}

// glob matches a whole string: * stands for any characters, ? for one. It
// takes time proportional to the product of the lengths at most.
func glob(pattern, s string) bool {
	i, j, star, mark := 0, 0, -1, 0
	for j < len(s) {
		_, size := utf8.DecodeRuneInString(s[j:])
		switch {
		case i < len(pattern) && pattern[i] == '*':
			star, mark = i, j
			i++
		case i < len(pattern) && pattern[i] == '?':
			i, j = i+1, j+size
		case i < len(pattern) && pattern[i] == s[j]:
			i, j = i+1, j+1
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[i:], "*") == ""
}
