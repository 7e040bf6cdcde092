package shape

import "fmt"

// Error is a schema that cannot be compiled.
type Error struct {
	Path    string
	Keyword string
	Reason  string
	Invalid bool // the schema is wrong, not only beyond us
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %s: %s", e.Path, e.Keyword, e.Reason) }

// unsupported is a keyword of the schema v that masks cannot hold.
func unsupported(v *value, keyword, format string, args ...any) *Error {
	return &Error{Path: v.path(), Keyword: keyword, Reason: fmt.Sprintf(format, args...)}
}

// invalid is a keyword of the schema v that is wrong.
func invalid(v *value, keyword, format string, args ...any) *Error {
	return &Error{Path: v.path(), Keyword: keyword, Reason: fmt.Sprintf(format, args...), Invalid: true}
}
