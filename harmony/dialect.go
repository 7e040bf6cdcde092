package harmony

import "fmt"

// Dialect is a way to write a message header. The two dialects differ in the
// order of channel and recipient, in the content type, and in how a header with
// more than one channel is read.
type Dialect uint8

const (
	// GptOss is the order that the models themselves emit on the commentary
	// channel, channel before recipient, and the one that the maintained fork
	// of openai-harmony (oss-harmony 0.0.11) renders:
	//	<|start|>assistant<|channel|>commentary to=functions.f <|constrain|>json<|message|>
	GptOss Dialect = iota
	// Compat is openai-harmony 0.0.8, token for token:
	//	<|start|>assistant to=functions.f<|channel|>commentary <|constrain|>json<|message|>
	Compat
)

var dialectNames = [...]string{"gptoss", "compat"}

// String returns the name that ParseDialect reads.
func (d Dialect) String() string {
	if int(d) < len(dialectNames) {
		return dialectNames[d]
	}
	return fmt.Sprintf("dialect(%d)", uint8(d))
}

// ParseDialect reads "gptoss" or "compat".
func ParseDialect(name string) (Dialect, error) {
	for i, n := range dialectNames {
		if n == name {
			return Dialect(i), nil
		}
	}
	return 0, fmt.Errorf("harmony dialect %q: want gptoss or compat", name)
}
