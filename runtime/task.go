package runtime

import (
	"cmp"
	"encoding/json"
	"fmt"
	"time"

	"chorale/internal/strictyaml"
)

// Task is a task file. Keys that it does not name are errors. Paths are
// relative to the file and stay inside its folder.
type Task struct {
	Name        string           `yaml:"name,required"`
	Description string           `yaml:"description,omitempty"`
	Prompt      string           `yaml:"prompt,omitempty"`     // the user's words
	PromptFile  string           `yaml:"promptFile,omitempty"` // or the file that holds them
	Developer   Developer        `yaml:"developer,omitempty"`
	Inputs      map[string]Input `yaml:"inputs,omitempty"`
	Model       ModelSpec        `yaml:"model,omitempty"`
	Tools       ToolSpec         `yaml:"tools,omitempty"`     // the grant: what is not named does not exist for the model
	Policies    []string         `yaml:"policies,omitempty"`  // developer layer; they only narrow
	Manifests   []string         `yaml:"manifests,omitempty"` // what the functions' arguments and outputs mean
	Spotlight   string           `yaml:"spotlight,omitempty"` // how untrusted output is shown to the model: off, delimit, mark
	Approvals   Approvals        `yaml:"approvals,omitempty"`
	Limits      Limits           `yaml:"limits,omitempty"`
	Output      Output           `yaml:"output,omitempty"`
	Checks      []Check          `yaml:"checks,omitempty"` // graded after the run, all of them
}

// Developer is the developer message: instructions above the user's.
type Developer struct {
	Text string `yaml:"text,omitempty"`
	File string `yaml:"file,omitempty"`
}

// Input is a value that whoever starts the run sets; {{name}} stands for it in
// the prompt.
type Input struct {
	Type        string  `yaml:"type,omitempty"` // string (default), integer, number, boolean
	Description string  `yaml:"description,omitempty"`
	Default     *Scalar `yaml:"default,omitempty"` // without one the input must be set
	Pattern     string  `yaml:"pattern,omitempty"` // regular expression that the whole value must match
}

// Scalar is a string, number or boolean, as text.
type Scalar string

// DecodeNode takes any scalar as it is written.
func (s *Scalar) DecodeNode(n strictyaml.Node) error {
	switch n.Kind() {
	case strictyaml.String, strictyaml.Number, strictyaml.Bool:
		*s = Scalar(n.Text())
		return nil
	}
	return fmt.Errorf("must be a string, a number or a boolean, got %s", n.Describe())
}

// ModelSpec chooses the model and how it is sampled. Fields that are nil take
// the checkpoint's own recommendation.
type ModelSpec struct {
	Ref           string   `yaml:"ref,omitempty"`    // "pocket" (embedded), a pulled model, or a path
	Effort        string   `yaml:"effort,omitempty"` // low, medium, high
	Temperature   *float64 `yaml:"temperature,omitempty"`
	TopP          *float64 `yaml:"topP,omitempty"`
	TopK          *int     `yaml:"topK,omitempty"`
	MinP          *float64 `yaml:"minP,omitempty"`
	Seed          *uint64  `yaml:"seed,omitempty"`
	ContextTokens int      `yaml:"contextTokens,omitempty"`
	Device        string   `yaml:"device,omitempty"` // auto, cpu, software, or an id of a device

	// Constrain says whether the model can only say what makes sense in the
	// conversation: auto (default) or off.
	Constrain string `yaml:"constrain,omitempty"`
}

// ToolSpec names the tools of the run.
type ToolSpec struct {
	Browser   *BrowserSpec   `yaml:"browser,omitempty"`
	Python    *PythonSpec    `yaml:"python,omitempty"`
	Functions []FunctionSpec `yaml:"functions,omitempty"`
	MCP       []MCPSpec      `yaml:"mcp,omitempty"`
}

// BrowserSpec grants the browser tool.
type BrowserSpec struct {
	Allow      []string        `yaml:"allow,omitempty"`      // hosts that may be reached, and nothing else
	MaxPages   int             `yaml:"maxPages,omitempty"`   // that the run may open
	Methods    []string        `yaml:"methods,omitempty"`    // of HTTP that pages may use; nil: any
	MaxUpload  strictyaml.Size `yaml:"maxUpload,omitempty"`  // bytes that a page may send
	Downloads  strictyaml.Size `yaml:"downloads,omitempty"`  // bytes of files that are kept as artifacts; 0: none is
	JavaScript bool            `yaml:"javascript,omitempty"` // load pages in Chromium; else as the server sends them
	Search     *SearchSpec     `yaml:"search,omitempty"`     // what it searches with; nil: what is configured
	Functions  []string        `yaml:"functions,omitempty"`  // by which pages may be acted on: page_click
	Uploads    []string        `yaml:"uploads,omitempty"`    // folders whose files may be given to pages, besides the run's own
	Profile    string          `yaml:"profile,omitempty"`    // whose cookies and storage last; empty: none
	HAR        bool            `yaml:"har,omitempty"`        // keep what was requested, as artifact network.har
}

// SearchSpec says what the browser searches with.
type SearchSpec struct {
	Provider string   `yaml:"provider,omitempty"` // auto, index, searxng, brave, exa, tavily, you, duckduckgo, none
	Folder   string   `yaml:"folder,omitempty"`   // to index
	Base     string   `yaml:"base,omitempty"`     // address under which the folder's files are shown
	Sites    []string `yaml:"sites,omitempty"`    // to crawl and index
	MaxPages int      `yaml:"maxPages,omitempty"` // that are crawled
	Address  string   `yaml:"address,omitempty"`  // of an instance of SearXNG
}

// PythonSpec grants the Python tool.
type PythonSpec struct {
	Timeout strictyaml.Duration `yaml:"timeout,omitempty"` // of one call
	Memory  strictyaml.Size     `yaml:"memory,omitempty"`
	Runtime string              `yaml:"runtime,omitempty"` // auto, full or basic
	Read    []string            `yaml:"read,omitempty"`    // folders that it sees below /mnt, under their own names
	Write   []string            `yaml:"write,omitempty"`   // folders that it may change as well
}

// FunctionSpec grants functions of one declaration file.
type FunctionSpec struct {
	Ref  string   `yaml:"ref,required"`
	Only []string `yaml:"only,omitempty"` // empty: all of the file
}

// Approvals says what happens with a call that the policy wants asked.
type Approvals struct {
	Mode string `yaml:"mode,omitempty"` // ask: a person at the terminal; deny: nobody
}

// Limits bound the run. Zero fields take the defaults.
type Limits struct {
	Turns        int                 `yaml:"turns,omitempty"`
	ToolCalls    int                 `yaml:"toolCalls,omitempty"`
	Tokens       int                 `yaml:"tokens,omitempty"`
	WallTime     strictyaml.Duration `yaml:"wallTime,omitempty"`
	RepeatDenied int                 `yaml:"repeatDenied,omitempty"`
}

// Output says where the answer goes besides the terminal and result.json, and
// which form it has.
type Output struct {
	File string `yaml:"file,omitempty"`

	// Schema is the JSON Schema of the answer. The model can say nothing else;
	// what of a schema can't be held to that way is refused when the task is
	// read, or with Validate: after checked once the answer is there.
	Schema   *SchemaSource `yaml:"schema,omitempty"`
	Validate string        `yaml:"validate,omitempty"`
}

// SchemaSource is a JSON Schema: the name of its file, or itself.
type SchemaSource struct {
	File string
	JSON json.RawMessage
}

// DecodeNode takes a string as the file's name and a mapping as the schema.
func (s *SchemaSource) DecodeNode(n strictyaml.Node) error {
	switch n.Kind() {
	case strictyaml.String:
		s.File = n.Text()
		return localPath(cmp.Or(s.File, "."))
	case strictyaml.Mapping:
		return n.Decode(&s.JSON)
	}
	return fmt.Errorf("must be a JSON Schema or the name of its file, got %s", n.Describe())
}

// MarshalYAML writes the schema, which is YAML as it stands.
func (s *SchemaSource) MarshalYAML() ([]byte, error) { return s.JSON, nil }

// Check is one question asked of the finished run. The subject is the answer,
// or with File a file in the run's artifacts folder.
type Check struct {
	File     string `yaml:"file,omitempty"`
	Contains string `yaml:"contains,omitempty"`
	Equals   string `yaml:"equals,omitempty"`
	Matches  string `yaml:"matches,omitempty"` // regular expression
}

// The defaults of what a task file leaves out.
const (
	DefaultEffort        = "medium"
	DefaultTurns         = 40
	DefaultToolCalls     = 60
	DefaultTokens        = 200_000
	DefaultWallTime      = strictyaml.Duration(30 * time.Minute)
	DefaultRepeatDenied  = 3
	DefaultBrowserPages  = 200
	DefaultPythonTimeout = strictyaml.Duration(60 * time.Second)
	DefaultPythonMemory  = strictyaml.Size(512 << 20)
)

// fill puts the defaults where the file says nothing. Model and device are the
// user's to choose, not the program's.
func (t *Task) fill() {
	setDefault(&t.Model.Effort, DefaultEffort)
	setDefault(&t.Model.Constrain, ConstrainAuto)
	setDefault(&t.Approvals.Mode, AskApproval)
	setDefault(&t.Limits.Turns, DefaultTurns)
	setDefault(&t.Limits.ToolCalls, DefaultToolCalls)
	setDefault(&t.Limits.Tokens, DefaultTokens)
	setDefault(&t.Limits.WallTime, DefaultWallTime)
	setDefault(&t.Limits.RepeatDenied, DefaultRepeatDenied)
	if b := t.Tools.Browser; b != nil {
		setDefault(&b.MaxPages, DefaultBrowserPages)
	}
	if p := t.Tools.Python; p != nil {
		setDefault(&p.Timeout, DefaultPythonTimeout)
		setDefault(&p.Memory, DefaultPythonMemory)
	}
}

func setDefault[T comparable](at *T, value T) {
	var zero T
	if *at == zero {
		*at = value
	}
}
