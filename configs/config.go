// Package configs holds the configuration of the process: its defaults, where
// they can be overridden, and the JSON Schema of task files. It refuses keys
// that it does not know. Task, policy and function files are no configuration
// and never pass through here.
package configs

import (
	_ "embed"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/pflag"
	"github.com/spf13/viper"

	"chorale/internal/strictyaml"
)

//go:embed default.yaml
var defaults []byte

// TaskSchema is the JSON Schema of task files, for editors.
//
//go:embed task.schema.json
var TaskSchema []byte

// TaskExample is what `agent task init` writes.
//
//go:embed task.example.yaml
var TaskExample []byte

// Config is the configuration of the process. default.yaml documents the keys.
type Config struct {
	Model       string
	Device      string
	KV          string        // type of the KV caches, f16 or f32; empty: the device's own choice
	Memory      int64         // bytes that a model may take of a GPU's memory; 0: what it has
	Kernels     string        // kernel profile of a GPU; empty: the fastest of those that round like the base
	Patience    time.Duration // for each wait for a GPU; 0: a minute, or five for a software driver
	Dense       string        // type that dense matrices are converted to: q8_0, or empty for none
	Guess       string        // on, run or off: whence what the model may say next is guessed
	Runs        string
	Approve     string
	Policies    []Policy
	PythonIndex string
	Models      Models
	Search      Search
}

// Whence what a model may say next is guessed.
const (
	GuessOn  = "on"  // from the run and from earlier runs in the same folder
	GuessRun = "run" // from the run alone
	GuessOff = "off" // not at all
)

// Search says what the browser searches with where a task does not. Keys are no
// part of it: Brave and the like are the variable or the file that holds one.
type Search struct {
	Provider string `yaml:"provider"` // empty: the first that is set up
	Folder   string `yaml:"folder"`   // to index
	SearXNG  string `yaml:"searxng"`  // address of an instance
	Brave    string `yaml:"brave"`
	Exa      string `yaml:"exa"`
	Tavily   string `yaml:"tavily"`
	You      string `yaml:"you"`
}

// Key is where the key of a service is: the name of a variable, or a file.
func (s Search) Key(service string) string {
	return map[string]string{"brave": s.Brave, "exa": s.Exa, "tavily": s.Tavily, "you": s.You}[service]
}

// Models says where models are pulled from and kept.
type Models struct {
	Hub       string `yaml:"hub"`       // address; empty: none is known
	Dir       string `yaml:"dir"`       // empty: among the user's caches
	Proxy     string `yaml:"proxy"`     // empty: as the environment says
	TokenEnv  string `yaml:"tokenEnv"`  // the variable that holds the hub's token
	TokenFile string `yaml:"tokenFile"` // or the file
}

// Check refuses values that no command could use.
func (m *Models) Check() error {
	if m.TokenEnv != "" && m.TokenFile != "" {
		return strictyaml.At("tokenFile", errors.New("the token is in a variable (tokenEnv) or in a file, not in both"))
	}
	return nil
}

// Policy is a policy file that every run obeys.
type Policy struct {
	Path    string
	Project bool // named by the project, which speaks as the developer
}

// file is how a configuration file is written; it holds the keys.
type file struct {
	Model       string   `yaml:"model"`
	Device      string   `yaml:"device"`
	KV          string   `yaml:"kv"`
	Memory      string   `yaml:"memory"`
	Kernels     string   `yaml:"kernels"`
	Patience    string   `yaml:"patience"`
	Dense       string   `yaml:"dense"`
	Guess       string   `yaml:"guess"`
	Runs        string   `yaml:"runs"`
	Approve     string   `yaml:"approve"`
	Policies    []string `yaml:"policies"`
	PythonIndex string   `yaml:"pythonIndex"`
	Models      Models   `yaml:"models"`
	Search      Search   `yaml:"search"`
}

// Check refuses values that no command could use.
func (f *file) Check() error {
	if f.KV != "" && f.KV != "f16" && f.KV != "f32" {
		return strictyaml.At("kv", fmt.Errorf("%q is neither f16 nor f32", f.KV))
	}
	if f.Dense != "" && f.Dense != "q8_0" {
		return strictyaml.At("dense", fmt.Errorf("%q is not q8_0; empty leaves matrices as they are", f.Dense))
	}
	if !slices.Contains([]string{"", GuessOn, GuessRun, GuessOff}, f.Guess) {
		return strictyaml.At("guess", fmt.Errorf("%q is none of %s, %s and %s", f.Guess, GuessOn, GuessRun, GuessOff))
	}
	if _, err := parseSize(f.Memory); err != nil {
		return strictyaml.At("memory", err)
	}
	if _, err := parsePatience(f.Patience); err != nil {
		return strictyaml.At("patience", err)
	}
	switch f.Approve {
	case "", "ask", "deny", ApproveWait:
		return nil
	}
	return strictyaml.At("approve", fmt.Errorf("%q is neither ask nor deny nor wait", f.Approve))
}

// parsePatience reads a duration, as in 90s; nothing is 0.
func parsePatience(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("%q is no time to wait, such as 90s or 5m", text)
	}
	return d, nil
}

// ApproveWait lets questions wait for `agent approve`.
const ApproveWait = "wait"

// IsWebhook reports whether questions go to a server. A flag or the environment
// can say so, and no file: one that comes with a project could name a server
// that always says yes.
func IsWebhook(approve string) bool {
	u, err := url.Parse(approve)
	return err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || u.Hostname() == "127.0.0.1"))
}

// ApproveSecret is the variable with the secret that signs questions to a server.
// It is no key of the configuration: files are read by others.
const ApproveSecret = "AGENT_APPROVE_SECRET"

// Keys are the configuration's keys. Each is also a flag where a command has
// one of that name, and an environment variable: AGENT_MODEL, AGENT_PYTHON_INDEX,
// AGENT_MODELS_HUB.
var Keys = []string{
	"model", "device", "kv", "memory", "kernels", "patience", "dense", "guess", "runs", "approve", "policies", "pythonIndex",
	"models.hub", "models.dir", "models.proxy", "models.tokenEnv", "models.tokenFile",
	"search.provider", "search.folder", "search.searxng", "search.brave", "search.exa", "search.tavily", "search.you",
}

// flagNames are the flags that do not bear their key's name.
var flagNames = map[string]string{"runs": "run-dir", "policies": "policy", "pythonIndex": "index", "models.hub": "hub"}

// Sources are the places that a value can come from, highest first.
type Sources struct {
	flags   *pflag.FlagSet
	merged  *viper.Viper
	project *layer
	user    *layer
}

// layer is one configuration file.
type layer struct {
	path   string // empty: there is none
	values *viper.Viper
	keys   file
}

// Load reads the configuration as seen from the folder dir, with the flags of
// the command that runs.
func Load(dir string, flags *pflag.FlagSet) (Config, *Sources, error) {
	s := &Sources{flags: flags, merged: viper.New()}
	var err error
	if s.project, err = readLayer(filepath.Join(dir, "configs", "agent.yaml"), filepath.Join(dir, ".agent.yaml")); err != nil {
		return Config{}, nil, err
	}
	if s.project.values.IsSet("models") {
		return Config{}, nil, fmt.Errorf("read configuration %s: models: a project cannot say where models and tokens go; set it in %s, or as AGENT_MODELS_HUB and so on", s.project.path, strings.Join(userFile(), ""))
	}
	if s.project.values.IsSet("search") {
		return Config{}, nil, fmt.Errorf("read configuration %s: search: a project cannot say where questions and keys go; set it in %s, or as AGENT_SEARCH_PROVIDER and so on", s.project.path, strings.Join(userFile(), ""))
	}
	if s.user, err = readLayer(userFile()...); err != nil {
		return Config{}, nil, err
	}
	base, err := parseLayer("default.yaml", defaults)
	if err != nil {
		return Config{}, nil, err
	}
	for _, key := range Keys {
		s.merged.SetDefault(key, base.values.Get(key))
	}
	for _, l := range []*layer{s.user, s.project} {
		if err := s.merged.MergeConfigMap(l.values.AllSettings()); err != nil {
			return Config{}, nil, fmt.Errorf("read configuration %s: %w", l.path, err)
		}
	}
	for _, key := range Keys {
		_ = s.merged.BindEnv(key, envName(key)) // errs only without a key
		if f := s.flag(key); f != nil {
			_ = s.merged.BindPFlag(key, f) // errs only without a flag
		}
	}
	c := Config{
		Model: s.merged.GetString("model"), Device: s.merged.GetString("device"), KV: s.merged.GetString("kv"), Kernels: s.merged.GetString("kernels"), Dense: s.merged.GetString("dense"), Guess: s.merged.GetString("guess"), Runs: s.merged.GetString("runs"),
		Approve: s.merged.GetString("approve"), PythonIndex: s.merged.GetString("pythonIndex"), Policies: s.policies(),
		Models: Models{
			Hub: s.merged.GetString("models.hub"), Dir: s.merged.GetString("models.dir"), Proxy: s.merged.GetString("models.proxy"),
			TokenEnv: s.merged.GetString("models.tokenEnv"), TokenFile: s.merged.GetString("models.tokenFile"),
		},
		Search: Search{
			Provider: s.merged.GetString("search.provider"), Folder: s.merged.GetString("search.folder"), SearXNG: s.merged.GetString("search.searxng"),
			Brave: s.merged.GetString("search.brave"), Exa: s.merged.GetString("search.exa"), Tavily: s.merged.GetString("search.tavily"), You: s.merged.GetString("search.you"),
		},
	}
	if c.Runs == "" {
		return Config{}, nil, s.wrong("runs", errors.New("must name the folder that runs are kept in"))
	}
	if err := c.Models.Check(); err != nil {
		return Config{}, nil, fmt.Errorf("models: %w", err)
	}
	if c.Memory, err = parseSize(s.merged.GetString("memory")); err != nil {
		return Config{}, nil, s.wrong("memory", err)
	}
	if f, device := s.flag("memory"), strings.ToLower(c.Device); f != nil && f.Changed && c.Memory > 0 && (device == "cpu" || device == "ref") {
		return Config{}, nil, s.wrong("memory", errors.New("it bounds what is taken of a GPU's memory, and the device is the CPU: leave it out"))
	}
	if c.Patience, err = parsePatience(s.merged.GetString("patience")); err != nil {
		return Config{}, nil, s.wrong("patience", err)
	}
	if err := (&file{KV: c.KV}).Check(); err != nil {
		return Config{}, nil, s.wrong("kv", err)
	}
	if err := (&file{Dense: c.Dense}).Check(); err != nil {
		return Config{}, nil, s.wrong("dense", err)
	}
	if err := (&file{Guess: c.Guess}).Check(); err != nil {
		return Config{}, nil, s.wrong("guess", err)
	}
	if err := (&file{Approve: c.Approve}).Check(); err != nil && !IsWebhook(c.Approve) {
		return Config{}, nil, s.wrong("approve", err)
	}
	return c, s, nil
}

// wrong says where a value comes from that cannot be used.
func (s *Sources) wrong(key string, err error) error {
	_, from := s.Explain(key)
	return fmt.Errorf("%s: %w", from, err)
}

// policies adds up the policy files of all sources. Those of configuration
// files are relative to the file.
func (s *Sources) policies() []Policy {
	var out []Policy
	for _, l := range []*layer{s.project, s.user} {
		for _, p := range l.keys.Policies {
			if !filepath.IsAbs(p) {
				p = filepath.Join(filepath.Dir(l.path), p)
			}
			out = append(out, Policy{Path: p, Project: l == s.project})
		}
	}
	for _, p := range filepath.SplitList(os.Getenv(envName("policies"))) {
		out = append(out, Policy{Path: p})
	}
	if f := s.flag("policies"); f != nil {
		if list, ok := f.Value.(pflag.SliceValue); ok {
			for _, p := range list.GetSlice() {
				out = append(out, Policy{Path: p})
			}
		}
	}
	return out
}

// Explain returns the value of a key and the source that set it.
func (s *Sources) Explain(key string) (value, from string) {
	value = s.merged.GetString(key)
	if key == "policies" {
		var paths []string
		for _, p := range s.policies() {
			paths = append(paths, p.Path)
		}
		return strings.Join(paths, " "), "all sources together"
	}
	switch f := s.flag(key); {
	case f != nil && f.Changed:
		return value, "flag --" + f.Name
	case os.Getenv(envName(key)) != "":
		return value, "environment variable " + envName(key)
	case s.project.values.IsSet(key):
		return value, "project file " + s.project.path
	case s.user.values.IsSet(key):
		return value, "user file " + s.user.path
	}
	return value, "default"
}

// Insists reports whether a flag or an environment variable sets the key. Those
// two go before what a task file says; configuration files go after it.
func (s *Sources) Insists(key string) bool {
	f := s.flag(key)
	return f != nil && f.Changed || os.Getenv(envName(key)) != ""
}

func (s *Sources) flag(key string) *pflag.Flag {
	name := key
	if n, ok := flagNames[key]; ok {
		name = n
	}
	if s.flags == nil {
		return nil
	}
	return s.flags.Lookup(name)
}

// envName is the environment variable of a key: AGENT_PYTHON_INDEX of
// pythonIndex, AGENT_MODELS_HUB of models.hub.
func envName(key string) string {
	var b strings.Builder
	for _, r := range key {
		if r == '.' {
			r = '_'
		}
		if unicode.IsUpper(r) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToUpper(r))
	}
	return "AGENT_" + b.String()
}

func userFile() []string {
	dir, err := os.UserConfigDir()
	if err != nil {
		return nil
	}
	return []string{filepath.Join(dir, "agent", "agent.yaml")}
}

// readLayer reads the one of the files that exists.
func readLayer(paths ...string) (*layer, error) {
	var found []string
	for _, p := range paths {
		if _, err := os.Stat(p); err == nil {
			found = append(found, p)
		}
	}
	switch len(found) {
	case 0:
		return &layer{values: viper.New()}, nil
	case 1:
		src, err := strictyaml.ReadFile(found[0])
		if err != nil {
			return nil, fmt.Errorf("read configuration: %w", err)
		}
		return parseLayer(found[0], src)
	}
	return nil, fmt.Errorf("read configuration: %s are both there; keep one", strings.Join(found, " and "))
}

func parseLayer(path string, src []byte) (*layer, error) {
	l := &layer{path: path, values: viper.New()}
	if empty(src) {
		return l, nil
	}
	if err := strictyaml.Decode(path, src, &l.keys); err != nil {
		return nil, err
	}
	l.values.SetConfigType("yaml")
	if err := l.values.ReadConfig(strings.NewReader(string(src))); err != nil {
		return nil, fmt.Errorf("read configuration %s: %w", path, err)
	}
	return l, nil
}

// empty reports whether a file holds nothing, or comments alone.
func empty(src []byte) bool {
	for line := range strings.Lines(string(src)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return false
		}
	}
	return true
}

// Known reports whether key is one of Keys.
func Known(key string) bool { return slices.Contains(Keys, key) }
