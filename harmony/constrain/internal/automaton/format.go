package automaton

import "sync"

// Format is a named form of strings. Its automaton accepts a part of what the
// standard allows: all that people write, and nothing that a validator refuses.
type Format struct {
	DFA *DFA
	Max int // characters at most, or -1
}

const (
	ipv4Octet = `(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])`
	ipv4      = ipv4Octet + `(\.` + ipv4Octet + `){3}`
	h16       = `[0-9A-Fa-f]{1,4}`

	leapYear = `([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)`
	date     = `([0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))|` + leapYear + `-02-29)`
	clock    = `([01][0-9]|2[0-3]):[0-5][0-9]`
	time     = clock + `:[0-5][0-9](\.[0-9]+)?(Z|[+-]` + clock + `)`
	notZero  = `^(?!0000)`

	label    = `[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?`
	hostname = label + `(\.` + label + `)*`
	atext    = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"

	// RFC 3986, without escapes and square brackets in the host but for IPv6.
	pct       = `%[0-9A-Fa-f]{2}`
	pchar     = `([A-Za-z0-9._~!$&'()*+,;=:@-]|` + pct + `)`
	authority = `(([A-Za-z0-9._~!$&'()*+,;=:-]|` + pct + `)*@)?([A-Za-z0-9._~-]+|\[` + ipv6 + `\])(:[0-9]{1,5})?`
	tail      = `(\?(` + pchar + `|[/?])*)?(#(` + pchar + `|[/?])*)?`
	path      = `(/` + pchar + `*)*`
	rootless  = `(/(` + pchar + `+` + path + `)?|` + pchar + `+` + path + `)`
	uri       = `[A-Za-z][A-Za-z0-9+.-]*:(//` + authority + path + `|` + rootless + `)` + tail

	pointer = `(/([^~/]|~[01])*)*`
)

// ipv6 lists the forms by the number of groups behind the double colon.
const ipv6 = `((` + h16 + `:){7}` + h16 +
	`|(` + h16 + `:){6}` + ipv4 +
	`|::(` + h16 + `(:` + h16 + `){0,6})?` +
	`|` + h16 + `::(` + h16 + `(:` + h16 + `){0,5})?` +
	`|` + h16 + `(:` + h16 + `){1}::(` + h16 + `(:` + h16 + `){0,4})?` +
	`|` + h16 + `(:` + h16 + `){2}::(` + h16 + `(:` + h16 + `){0,3})?` +
	`|` + h16 + `(:` + h16 + `){3}::(` + h16 + `(:` + h16 + `){0,2})?` +
	`|` + h16 + `(:` + h16 + `){4}::(` + h16 + `(:` + h16 + `)?)?` +
	`|` + h16 + `(:` + h16 + `){5}::(` + h16 + `)?` +
	`|` + h16 + `(:` + h16 + `){6}::` +
	`|::(ffff:|FFFF:)?` + ipv4 + `)`

// formats holds each format's patterns, all of which must match, and its length.
var formats = map[string]func() Format{
	"date":                  format(-1, notZero+date+`$`),
	"time":                  format(-1, `^`+time+`$`),
	"date-time":             format(-1, notZero+date+`T`+time+`$`),
	"duration":              format(-1, `^P([0-9]+W|([0-9]+Y)?([0-9]+M)?([0-9]+D)?(T([0-9]+H)?([0-9]+M)?([0-9]+S)?)?)$`, `[0-9]`, `[^T]$`),
	"uuid":                  format(-1, `^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`),
	"ipv4":                  format(-1, `^`+ipv4+`$`),
	"ipv6":                  format(-1, `^`+ipv6+`$`),
	"hostname":              format(253, `^`+hostname+`$`, `^(?!(.*\.)?..--)`),
	"email":                 format(254, `^`+atext+`(\.`+atext+`)*@`+hostname+`$`, `^[^@]{1,64}@`, `^(?!.*[@.]..--)`),
	"uri":                   format(-1, `^`+uri+`$`),
	"json-pointer":          format(-1, `^`+pointer+`$`),
	"relative-json-pointer": format(-1, `^(0|[1-9][0-9]*)(#|`+pointer+`)$`),
}

func format(most int, patterns ...string) func() Format {
	return sync.OnceValue(func() Format {
		var all []*DFA
		for _, p := range patterns {
			all = append(all, must(Pattern(p)))
		}
		return Format{must(And(all...)), most}
	})
}

// unsupportedFormats are those of the standard that have no automaton here.
var unsupportedFormats = map[string]bool{
	"idn-email": true, "idn-hostname": true, "iri": true, "iri-reference": true,
	"uri-reference": true, "uri-template": true, "regex": true,
}

// FormatOf returns the form of that name. A name that the standard does not have
// asserts nothing, so it is not known; one that it has may be unsupported.
func FormatOf(name string) (f Format, known, supported bool) {
	if make, ok := formats[name]; ok {
		return make(), true, true
	}
	return Format{}, unsupportedFormats[name], false
}

// Warm builds the automata of all formats, so that no schema pays for them.
func Warm() {
	AnyNumber()
	Integer()
	sign()
	plain()
	for _, f := range formats {
		d := f().DFA
		for k := range Runs {
			d.Survives(d.start, k)
		}
	}
}
