package runtime

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"chorale/internal/strictyaml"
)

// How a call that the policy wants asked is decided.
const (
	AskApproval  = "ask"  // by a person, where there is one
	DenyApproval = "deny" // by nobody: it is denied
)

// Whether the model is constrained to what makes sense in the conversation.
const (
	ConstrainAuto = "auto"
	ConstrainOff  = "off"
)

// ValidateAfter has the answer checked once it is there, and asked for again,
// as far as its schema is none that the model can be constrained to.
const ValidateAfter = "after"

var namePattern = regexp.MustCompile(`^[a-z0-9-]{1,63}$`)

// Check finds what the types alone do not.
func (t *Task) Check() error {
	if !namePattern.MatchString(t.Name) {
		return strictyaml.At("name", fmt.Errorf("%q must be 1 to 63 of a-z, 0-9 and -", t.Name))
	}
	switch {
	case t.Prompt == "" && t.PromptFile == "":
		return errors.New("nothing to do: give prompt or promptFile")
	case t.Prompt != "" && t.PromptFile != "":
		return strictyaml.At("promptFile", errors.New("prompt is given as well; keep one of them"))
	}
	if err := localPath(t.PromptFile); err != nil {
		return strictyaml.At("promptFile", err)
	}
	for _, p := range t.Policies {
		if err := localPath(cmp.Or(p, ".")); err != nil {
			return strictyaml.At("policies", err)
		}
	}
	if err := oneOf(t.Spotlight, SpotlightOff, SpotlightDelimit, SpotlightMark); err != nil {
		return strictyaml.At("spotlight", err)
	}
	for _, p := range t.Manifests {
		if err := localPath(cmp.Or(p, ".")); err != nil {
			return strictyaml.At("manifests", err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.Inputs)) {
		if !inputPattern.MatchString(name) {
			return strictyaml.At("inputs", fmt.Errorf("%q is no name that {{…}} in a prompt can have: letters, digits, _ and -, no digit or - first", name))
		}
	}
	if unknown := t.unknownPlaceholders(); len(unknown) > 0 {
		return strictyaml.At("prompt", fmt.Errorf("{{%s}} is not among the inputs", unknown[0]))
	}
	return nil
}

// Check refuses two sources of one text.
func (d *Developer) Check() error {
	if d.Text != "" && d.File != "" {
		return strictyaml.At("file", errors.New("text is given as well; keep one of them"))
	}
	return atPath("file", d.File)
}

// Check refuses types and patterns that no value can be checked with.
func (in *Input) Check() error {
	if err := oneOf(in.Type, "string", "integer", "number", "boolean"); err != nil {
		return strictyaml.At("type", err)
	}
	if _, err := regexp.Compile(in.Pattern); err != nil {
		return strictyaml.At("pattern", err)
	}
	if in.Default != nil {
		if err := in.check(string(*in.Default)); err != nil {
			return strictyaml.At("default", err)
		}
	}
	return nil
}

// Check refuses sampling that cannot be meant.
func (m *ModelSpec) Check() error {
	if err := oneOf(m.Effort, "low", "medium", "high"); err != nil {
		return strictyaml.At("effort", err)
	}
	if err := oneOf(m.Constrain, ConstrainAuto, ConstrainOff); err != nil {
		return strictyaml.At("constrain", err)
	}
	between := func(key string, v *float64, low, high float64) error {
		if v != nil && !(*v >= low && *v <= high) {
			return strictyaml.At(key, fmt.Errorf("%v is not between %v and %v", *v, low, high))
		}
		return nil
	}
	if err := cmp.Or(
		between("temperature", m.Temperature, 0, 10),
		between("topP", m.TopP, 0, 1),
		between("minP", m.MinP, 0, 1),
	); err != nil {
		return err
	}
	if m.TopK != nil && *m.TopK < 0 {
		return strictyaml.At("topK", errors.New("must not be negative; 0 keeps every token"))
	}
	if m.ContextTokens < 0 {
		return strictyaml.At("contextTokens", errors.New("must not be negative"))
	}
	return nil
}

var profilePattern = regexp.MustCompile(`^[a-z0-9-]{1,32}$`)

// httpMethods are those that pages can use.
var httpMethods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// Check refuses a browser that can reach nothing. What the entries of allow
// mean, and which functions there are, is the tool's to say.
func (b *BrowserSpec) Check() error {
	if len(b.Allow) == 0 && (b.Search == nil || b.Search.Folder == "") {
		return strictyaml.At("allow", errors.New("names no host; a browser that can reach nothing need not be granted"))
	}
	if b.MaxPages < 0 {
		return strictyaml.At("maxPages", errors.New("must be positive"))
	}
	for _, m := range b.Methods {
		if !slices.Contains(httpMethods, m) {
			return strictyaml.At("methods", fmt.Errorf("%q is none of %v", m, httpMethods))
		}
	}
	if !b.JavaScript {
		for key, set := range map[string]bool{"functions": len(b.Functions) > 0, "profile": b.Profile != ""} {
			if set {
				return strictyaml.At(key, errors.New("needs a browser with scripts: set javascript: true"))
			}
		}
	}
	if b.Profile != "" && !profilePattern.MatchString(b.Profile) {
		return strictyaml.At("profile", fmt.Errorf("%q must be 1 to 32 of a-z, 0-9 and -", b.Profile))
	}
	for _, p := range b.Uploads {
		if err := localPath(cmp.Or(p, ".")); err != nil {
			return strictyaml.At("uploads", err)
		}
	}
	return nil
}

// The providers of searches.
const (
	SearchAuto  = "auto" // index, searxng, then the first service whose key is set
	SearchNone  = "none"
	SearchIndex = "index"
	SearXNG     = "searxng"
	DuckDuckGo  = "duckduckgo"
)

// SearchServices are the providers that need a key, in the order in which auto
// looks for one.
var SearchServices = []string{"brave", "exa", "tavily", "you"}

// Check refuses what a provider does not take.
func (s *SearchSpec) Check() error {
	providers := append([]string{SearchAuto, SearchNone, SearchIndex, SearXNG, DuckDuckGo}, SearchServices...)
	if err := oneOf(s.Provider, providers...); err != nil {
		return strictyaml.At("provider", err)
	}
	auto := s.Provider == "" || s.Provider == SearchAuto
	for _, k := range []struct {
		key, provider string
		set           bool
	}{
		{"folder", SearchIndex, s.Folder != ""}, {"base", SearchIndex, s.Base != ""}, {"sites", SearchIndex, len(s.Sites) > 0},
		{"maxPages", SearchIndex, s.MaxPages != 0}, {"address", SearXNG, s.Address != ""},
	} {
		if k.set && !auto && s.Provider != k.provider {
			return strictyaml.At(k.key, fmt.Errorf("is for %s, and the provider is %s", k.provider, s.Provider))
		}
	}
	switch {
	case s.Address != "" && (s.Folder != "" || len(s.Sites) > 0):
		return strictyaml.At("address", errors.New("a folder or sites to index are given as well; keep one of them"))
	case s.Base != "" && s.Folder == "":
		return strictyaml.At("base", errors.New("is the address of a folder's files, and no folder is given"))
	case s.MaxPages < 0:
		return strictyaml.At("maxPages", errors.New("must be positive"))
	case s.MaxPages > 0 && len(s.Sites) == 0:
		return strictyaml.At("maxPages", errors.New("bounds what is crawled, and no sites are given"))
	}
	return atPath("folder", s.Folder)
}

// Check refuses interpreters that do not exist.
func (p *PythonSpec) Check() error {
	if err := oneOf(p.Runtime, "auto", "full", "basic"); err != nil {
		return strictyaml.At("runtime", err)
	}
	return nil
}

// Check refuses a grant from outside the task's folder.
func (f *FunctionSpec) Check() error { return atPath("ref", cmp.Or(f.Ref, ".")) }

// Check refuses modes that do not exist.
func (a *Approvals) Check() error {
	if err := oneOf(a.Mode, AskApproval, DenyApproval); err != nil {
		return strictyaml.At("mode", err)
	}
	return nil
}

// Check refuses negative limits. Zero means the default, never «no limit».
func (l *Limits) Check() error {
	for key, n := range map[string]int{"turns": l.Turns, "toolCalls": l.ToolCalls, "tokens": l.Tokens, "repeatDenied": l.RepeatDenied} {
		if n < 0 {
			return strictyaml.At(key, errors.New("must be positive"))
		}
	}
	return nil
}

// Check refuses an output outside the task's folder.
func (o *Output) Check() error {
	if err := oneOf(o.Validate, ValidateAfter); err != nil {
		return strictyaml.At("validate", err)
	}
	if o.Validate != "" && o.Schema == nil {
		return strictyaml.At("validate", errors.New("there is no schema to validate the answer with"))
	}
	return atPath("file", o.File)
}

// Check refuses a check that asks nothing.
func (c *Check) Check() error {
	asked := 0
	for _, q := range []string{c.Contains, c.Equals, c.Matches} {
		if q != "" {
			asked++
		}
	}
	if asked != 1 {
		return errors.New("give exactly one of contains, equals and matches")
	}
	if _, err := regexp.Compile(c.Matches); err != nil {
		return strictyaml.At("matches", err)
	}
	return atPath("file", c.File)
}

func atPath(key, path string) error {
	if err := localPath(path); err != nil {
		return strictyaml.At(key, err)
	}
	return nil
}

// localPath refuses paths that leave the task's folder, on any system. Links
// that lead out of it are refused when the file is opened.
func localPath(path string) error {
	if path == "" {
		return nil
	}
	if path == "." {
		return errors.New("names no file")
	}
	if !filepath.IsLocal(filepath.FromSlash(path)) || strings.Contains(path, `\`) {
		return fmt.Errorf("%q must be relative to the task file and stay inside its folder", path)
	}
	return nil
}

// oneOf accepts the listed words and, for the default, none.
func oneOf(word string, words ...string) error {
	if word == "" || slices.Contains(words, word) {
		return nil
	}
	hint := ""
	if near := strictyaml.Nearest(word, words); near != "" {
		hint = fmt.Sprintf("; did you mean %q?", near)
	}
	return fmt.Errorf("%q is not one of %s%s", word, strings.Join(words, ", "), hint)
}
