package strictyaml

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"time"
)

var (
	// YAML 1.2 core schema, https://yaml.org/spec/1.2.2/#103-core-schema.
	intPattern   = regexp.MustCompile(`^([-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$`)
	floatPattern = regexp.MustCompile(`^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`)
)

// resolve is the kind of a plain (unquoted) scalar in the core schema. The
// infinities and NaN stay strings: no file of ours has a use for them.
func resolve(text string) Kind {
	switch text {
	case "", "~", "null", "Null", "NULL":
		return Null
	case "true", "True", "TRUE", "false", "False", "FALSE":
		return Bool
	}
	if intPattern.MatchString(text) || floatPattern.MatchString(text) {
		return Number
	}
	return String
}

// jsonNumber writes a number of the core schema as JSON does. Digits are kept.
func jsonNumber(text string) string {
	if strings.HasPrefix(text, "0x") || strings.HasPrefix(text, "0o") {
		n, _ := new(big.Int).SetString(text, 0)
		return n.String()
	}
	if json.Valid([]byte(text)) {
		return text
	}
	sign, digits := "", strings.TrimPrefix(text, "+")
	if rest, ok := strings.CutPrefix(digits, "-"); ok {
		sign, digits = "-", rest
	}
	whole, rest := digits, ""
	if i := strings.IndexAny(digits, ".eE"); i >= 0 {
		whole, rest = digits[:i], digits[i:]
	}
	if whole = strings.TrimLeft(whole, "0"); whole == "" {
		whole = "0"
	}
	if strings.HasPrefix(rest, ".") && (len(rest) == 1 || rest[1] < '0' || rest[1] > '9') {
		rest = ".0" + rest[1:]
	}
	return sign + whole + rest
}

// wholeNumber is a whole number in decimal digits. A leading zero is octal to
// some readers of YAML and decimal to others, so it is refused.
func wholeNumber(text string) (string, error) {
	digits := strings.TrimLeft(text, "+-")
	if len(digits) > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9' {
		return "", fmt.Errorf("number %s has a leading zero", clip(text))
	}
	if !intPattern.MatchString(text) {
		return "", fmt.Errorf("must be a whole number, got %s", clip(text))
	}
	return jsonNumber(text), nil
}

// Duration is a time span written with its unit: "60s", "1h30m".
type Duration time.Duration

// Std is the span as the standard library has it.
func (d Duration) Std() time.Duration { return time.Duration(d) }

func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText writes the span so that UnmarshalText reads it.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads a span that is not negative.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v < 0 {
		return fmt.Errorf("must be a duration such as 60s or 1h30m, got %q", clip(string(text)))
	}
	*d = Duration(v)
	return nil
}

// Size is a number of bytes, written as one or with a unit: "512Mi", "64KiB",
// "10MB". Ki, Mi, Gi, Ti are powers of 1024; k, M, G, T powers of 1000.
type Size int64

var sizePattern = regexp.MustCompile(`^([0-9]+)(k|K|Ki|M|Mi|G|Gi|T|Ti)?(B)?$`)

var sizeUnits = map[string]int64{"": 1, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12,
	"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}

// String is the size in the largest binary unit that divides it.
func (s Size) String() string {
	for _, unit := range []string{"Ti", "Gi", "Mi", "Ki"} {
		if n := int64(s); n != 0 && n%sizeUnits[unit] == 0 {
			return strconv.FormatInt(n/sizeUnits[unit], 10) + unit
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// MarshalText writes the size so that UnmarshalText reads it.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a size.
func (s *Size) UnmarshalText(text []byte) error {
	m := sizePattern.FindStringSubmatch(string(text))
	if m == nil {
		return fmt.Errorf("must be a size such as 512Mi, 64KiB or 1000, got %q", clip(string(text)))
	}
	n, err := strconv.ParseInt(m[1], 10, 64)
	if unit := sizeUnits[m[2]]; err != nil || n > math.MaxInt64/unit {
		return fmt.Errorf("size %s is out of range", clip(string(text)))
	} else {
		*s = Size(n * unit)
	}
	return nil
}
