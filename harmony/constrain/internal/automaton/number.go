package automaton

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// The automata of numbers read JSON's spelling of a number. What a text is, they
// tell by their label; a text that a condition does not decide (1.0 as an
// integer, an exponent beside a bound) has no label, so that neither the
// condition nor its opposite accepts it.

// Decimal is a number as its digits: sign, and digits·10^-scale without zeros in
// front, or behind the point.
type Decimal struct {
	Negative bool
	Int      string // before the point, "" for 0
	Frac     string // behind the point, without trailing zeros
}

// maxDigits bounds the digits of a number in a schema.
const maxDigits = 400

// ParseDecimal reads a JSON number.
func ParseDecimal(s string) (Decimal, error) {
	d := Decimal{}
	rest, negative := strings.CutPrefix(s, "-")
	mantissa, exponent := rest, 0
	if i := strings.IndexAny(rest, "eE"); i >= 0 {
		e, err := strconv.Atoi(rest[i+1:])
		if err != nil || e > maxDigits || e < -maxDigits {
			return d, fmt.Errorf("the number %s has too large an exponent", s)
		}
		mantissa, exponent = rest[:i], e
	}
	whole, frac, _ := strings.Cut(mantissa, ".")
	digits, point := whole+frac, len(whole)+exponent
	if point < 0 {
		digits, point = strings.Repeat("0", -point)+digits, 0
	}
	if point > len(digits) {
		digits += strings.Repeat("0", point-len(digits))
	}
	if len(digits) > maxDigits {
		return d, fmt.Errorf("the number %s has more than %d digits", s, maxDigits)
	}
	d.Int = strings.TrimLeft(digits[:point], "0")
	d.Frac = strings.TrimRight(digits[point:], "0")
	d.Negative = negative && !d.Zero()
	return d, nil
}

// Zero reports whether the number is 0.
func (d Decimal) Zero() bool { return d.Int == "" && d.Frac == "" }

// Integer reports whether the number has no fraction.
func (d Decimal) Integer() bool { return d.Frac == "" }

// String spells the number without an exponent.
func (d Decimal) String() string {
	s := d.Int
	if s == "" {
		s = "0"
	}
	if d.Frac != "" {
		s += "." + d.Frac
	}
	if d.Negative {
		s = "-" + s
	}
	return s
}

// numberStarts divides the characters of numbers: each digit is of its own.
var numberStarts = []rune{'+', '+' + 1, '-', '.', '.' + 1, '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '9' + 1, 'E', 'E' + 1, 'e', 'e' + 1}

const numberBytes = "+-.0123456789Ee"

// build explores the states that step reaches from start.
func build[S comparable](start S, step func(S, byte) (S, bool), label func(S) int32) (*DFA, error) {
	d := &DFA{alphabet: newAlphabet(slices.Clone(numberStarts)), start: 1, label: []int32{0}}
	d.trans = make([]int32, d.classes)
	seen := map[S]int32{start: 1}
	for queue := []S{start}; len(queue) > 0; queue = queue[1:] {
		row := len(d.trans)
		d.label = append(d.label, label(queue[0]))
		d.trans = append(d.trans, make([]int32, d.classes)...)
		if len(d.label) > maxStates {
			return nil, ErrTooLarge
		}
		for i := range len(numberBytes) {
			next, ok := step(queue[0], numberBytes[i])
			if !ok {
				continue
			}
			id, ok := seen[next]
			if !ok {
				id = int32(len(seen) + 1)
				seen[next] = id
				queue = append(queue, next)
			}
			d.trans[row+int(d.ascii[numberBytes[i]])] = id
		}
	}
	return d.finish(), nil
}

// The labels of the conditions.
const (
	LabelYes int32 = 1 // it holds
	LabelNo  int32 = 2 // it does not

	LabelLess    int32 = 1
	LabelEqual   int32 = 2
	LabelGreater int32 = 3
)

// AnyNumber accepts every JSON number, exponents up to ±299.
var AnyNumber = sync.OnceValue(func() *DFA {
	return must(Pattern(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?([0-9]{1,2}|[12][0-9]{2}))?$`))
})

// plain accepts numbers without an exponent, and no negative zero.
var plain = sync.OnceValue(func() *DFA {
	return must(Pattern(`^(0(\.[0-9]+)?|-?[1-9][0-9]*(\.[0-9]+)?|-0\.0*[1-9][0-9]*)$`))
})

// Integer labels integers, spelled without a fraction, with LabelYes and
// numbers with a fraction that is not zero with LabelNo.
var Integer = sync.OnceValue(func() *DFA {
	yes := must(Pattern(`^(0|-?[1-9][0-9]*)$`))
	no := must(Pattern(`^-?(0|[1-9][0-9]*)\.[0-9]*[1-9][0-9]*$`))
	return must(Combine(yesOrNo, yes, no))
})

// sign compares with zero, where an exponent changes nothing.
var sign = sync.OnceValue(func() *DFA {
	const exp = `([eE][+-]?([0-9]{1,2}|[12][0-9]{2}))?$`
	less := must(Pattern(`^-(0\.0*[1-9][0-9]*|[1-9][0-9]*(\.[0-9]+)?)` + exp))
	equal := must(Pattern(`^0(\.0+)?$`))
	greater := must(Pattern(`^(0\.0*[1-9][0-9]*|[1-9][0-9]*(\.[0-9]+)?)` + exp))
	return must(Combine(func(l []int32) int32 {
		return l[0]*LabelLess + l[1]*LabelEqual + l[2]*LabelGreater
	}, less, equal, greater))
})

func yesOrNo(l []int32) int32 {
	switch {
	case l[0] != 0:
		return LabelYes
	case l[1] != 0:
		return LabelNo
	}
	return 0
}

func must(d *DFA, err error) *DFA {
	if err != nil {
		panic("automaton: " + err.Error()) // a fixed pattern of this package
	}
	return d
}

// comparing is how far a number has been compared with a bound.
type comparing struct {
	phase    byte // 's'tart, '-', '0' (a leading zero), 'i'nteger digits, '.', 'f'raction digits
	negative bool
	nonzero  bool
	digits   int16 // read of the current part, at most one more than the bound has
	cmp      int8  // of the magnitudes, as far as read
}

// Compare labels numbers as less than, equal to or greater than c.
func Compare(c Decimal) (*DFA, error) {
	if c.Zero() {
		return sign(), nil
	}
	return build(comparing{phase: 's'},
		func(s comparing, b byte) (comparing, bool) { return s.step(c, b) },
		func(s comparing) int32 { return s.label(c) })
}

func (s comparing) step(c Decimal, b byte) (comparing, bool) {
	switch {
	case b == '-':
		ok := s.phase == 's'
		return comparing{phase: '-', negative: true}, ok
	case b == '.':
		if s.phase != 'i' && s.phase != '0' {
			return s, false
		}
		s.cmp = s.againstInt(c)
		s.phase, s.digits = '.', 0
		return s, true
	case b < '0' || b > '9' || s.phase == '0':
		return s, false
	}
	s.nonzero = s.nonzero || b != '0'
	switch s.phase {
	case 's', '-':
		s.phase = 'i'
		if b == '0' {
			s.phase = '0'
			return s, true
		}
		return s.digit(c.Int, b), true
	case 'i':
		return s.digit(c.Int, b), true
	}
	s.phase = 'f'
	return s.digit(c.Frac, b), true
}

// digit compares one more digit with that of the bound's part; behind its last
// one the integer part only counts, and the fraction has zeros.
func (s comparing) digit(part string, b byte) comparing {
	i := int(s.digits)
	if i <= len(part) {
		s.digits++
	}
	want := byte('0')
	if i < len(part) {
		want = part[i]
	} else if s.phase == 'i' {
		return s
	}
	if s.cmp == 0 && b != want {
		s.cmp = 1
		if b < want {
			s.cmp = -1
		}
	}
	if s.phase == 'f' && s.cmp != 0 {
		s.digits = 0 // decided: the count no longer matters
	}
	return s
}

// againstInt compares the integer part that has been read with the bound's.
func (s comparing) againstInt(c Decimal) int8 {
	switch n := int(s.digits); {
	case n < len(c.Int):
		return -1
	case n > len(c.Int):
		return 1
	}
	return s.cmp
}

func (s comparing) label(c Decimal) int32 {
	cmp := s.cmp
	switch s.phase {
	case 's', '-', '.':
		return 0
	case 'i', '0':
		cmp = s.againstInt(c)
	}
	if cmp == 0 && s.phase != 'f' && c.Frac != "" {
		cmp = -1
	}
	if cmp == 0 && s.phase == 'f' && int(s.digits) < len(c.Frac) {
		cmp = -1
	}
	switch {
	case s.negative && !s.nonzero:
		return 0 // -0
	case s.negative != c.Negative:
		if s.negative {
			return LabelLess
		}
		return LabelGreater
	case s.negative:
		cmp = -cmp
	}
	return LabelEqual + int32(cmp)
}

// maxModulus bounds the remainders that a multipleOf keeps apart.
const maxModulus = 5_000

// dividing is a number's remainder so far.
type dividing struct {
	phase     byte
	remainder int32
	frac      int16 // digits behind the point, at most the scale
	off       bool  // a digit behind the scale is not zero: no multiple
	nonzero   bool
	negative  bool
}

// Multiple labels the multiples of m, which is above zero, with LabelYes and
// other numbers with LabelNo.
func Multiple(m Decimal) (*DFA, error) {
	scale := len(m.Frac)
	p, ok := new(big.Int).SetString(m.Int+m.Frac, 10)
	if !ok || p.Sign() == 0 || !p.IsInt64() || p.Int64() > maxModulus {
		return nil, fmt.Errorf("%s has more than %d remainders", m, maxModulus)
	}
	modulus := int32(p.Int64())
	label := func(s dividing) int32 {
		if s.phase == 's' || s.phase == '-' || s.phase == '.' || s.negative && !s.nonzero {
			return 0
		}
		r := int64(s.remainder)
		for range scale - int(s.frac) {
			r = r * 10 % int64(modulus)
		}
		if s.off || r != 0 {
			return LabelNo
		}
		return LabelYes
	}
	step := func(s dividing, b byte) (dividing, bool) {
		switch {
		case b == '-':
			return dividing{phase: '-', negative: true}, s.phase == 's'
		case b == '.':
			ok := s.phase == 'i' || s.phase == '0'
			s.phase = '.'
			return s, ok
		case b < '0' || b > '9' || s.phase == '0':
			return s, false
		}
		s.nonzero = s.nonzero || b != '0'
		switch {
		case s.phase == 's' || s.phase == '-':
			s.phase = 'i'
			if b == '0' {
				s.phase = '0'
			}
		case s.phase == '.' || s.phase == 'f':
			s.phase = 'f'
			if int(s.frac) == scale {
				s.off = s.off || b != '0'
				return s, true
			}
			s.frac++
		}
		s.remainder = int32((int64(s.remainder)*10 + int64(b-'0')) % int64(modulus))
		return s, true
	}
	return build(dividing{phase: 's'}, step, label)
}

// OneOf labels the given numbers, in any spelling without an exponent, with
// LabelYes and the others with LabelNo. Yes is given to the plainest spelling
// only.
func OneOf(list []Decimal) (*DFA, error) {
	words, loose := make([]string, len(list)), make([]string, len(list))
	for i, d := range list {
		words[i] = d.String()
		loose[i] = strings.ReplaceAll(words[i], ".", `\.`) + `0*`
		if d.Integer() {
			loose[i] = words[i] + `(\.0+)?`
		}
	}
	yes, err := Words(words)
	if err != nil {
		return nil, err
	}
	equal, err := Pattern(`^(` + strings.Join(loose, "|") + `)$`)
	if err != nil {
		return nil, err
	}
	return Combine(func(l []int32) int32 {
		switch {
		case l[0] != 0:
			return LabelYes
		case l[1] != 0 && l[2] == 0:
			return LabelNo
		}
		return 0
	}, yes, plain(), equal)
}
