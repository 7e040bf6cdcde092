package harmony

import "fmt"

// Effort is how much the model should reason before it answers. The zero value
// leaves the line out.
type Effort uint8

// The three efforts that gpt-oss was trained with.
const (
	LowEffort Effort = iota + 1
	MediumEffort
	HighEffort
)

var effortNames = [...]string{"", "low", "medium", "high"}

// String returns the word that stands in the system message.
func (e Effort) String() string {
	if int(e) < len(effortNames) {
		return effortNames[e]
	}
	return fmt.Sprintf("effort(%d)", uint8(e))
}

// ParseEffort reads low, medium or high.
func ParseEffort(word string) (Effort, error) {
	for e := LowEffort; e <= HighEffort; e++ {
		if effortNames[e] == word {
			return e, nil
		}
	}
	return 0, fmt.Errorf("reasoning effort %q: want low, medium or high", word)
}

// What the models were trained with (openai-harmony's defaults).
const (
	DefaultIdentity = "You are ChatGPT, a large language model trained by OpenAI."
	DefaultCutoff   = "2024-06"
)

// Tools maps a key to the namespace declared under it. Namespaces are rendered
// in byte order of their keys; usually a key is the namespace's own name. The
// key "functions" of a developer message adds a note to the system message.
type Tools map[string]Namespace

// NewTools returns the namespaces under their own names.
func NewTools(namespaces ...Namespace) Tools {
	t := make(Tools, len(namespaces))
	for _, ns := range namespaces {
		t[ns.Name] = ns
	}
	return t
}

// SystemContent is the system message in the form that the models know. Absent
// fields are not rendered; NewSystemContent fills in the usual ones.
type SystemContent struct {
	Identity        string
	KnowledgeCutoff string
	// CurrentDate is the day of the conversation, as 2025-06-28.
	CurrentDate string
	Effort      Effort
	Tools       Tools
	// Channels are those that the model may use; without any, the line is left
	// out, and with it the note on function calls.
	Channels []string
	// ChannelRequired says that every message must have a channel.
	ChannelRequired bool
	// Blank lists the fields that are present but empty.
	Blank Blank
}

// NewSystemContent returns the system message that the models were trained on:
// identity, knowledge cutoff and the three channels, at the given effort, with
// the given built-in tools.
func NewSystemContent(e Effort, date string, builtin ...Namespace) *SystemContent {
	return &SystemContent{
		Identity:        DefaultIdentity,
		KnowledgeCutoff: DefaultCutoff,
		CurrentDate:     date,
		Effort:          e,
		Tools:           NewTools(builtin...),
		Channels:        []string{Analysis, Commentary, Final},
		ChannelRequired: true,
	}
}

// Message wraps the content into the system message.
func (s *SystemContent) Message() Message {
	return Message{Role: System, Content: []Part{s}}
}

// DeveloperContent is the developer message: instructions and the developer's
// own tools.
type DeveloperContent struct {
	Instructions string
	Tools        Tools
	// Blank tells empty instructions from absent ones.
	Blank Blank
}

// NewDeveloperContent returns the instructions together with the functions,
// which go into the namespace "functions". Without functions no namespace is
// declared.
func NewDeveloperContent(instructions string, functions ...Function) *DeveloperContent {
	d := &DeveloperContent{Instructions: instructions}
	if len(functions) > 0 {
		d.Tools = NewTools(Namespace{Name: FunctionsNamespace, Functions: functions})
	}
	return d
}

// Message wraps the content into the developer message.
func (d *DeveloperContent) Message() Message {
	return Message{Role: Developer, Content: []Part{d}}
}
