// Package secret hands secrets to tools by name: a file that a person writes
// says where a secret comes from, a template says where it goes, and the value
// itself stands in neither. What comes back from a tool is searched for the
// values, so that a server that repeats what it was told shows nothing.
//
// It refuses to put a value into anything that is kept: names are written to
// locks and traces, values never.
package secret

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"chorale/internal/strictyaml"
)

// Source says where a secret comes from: a variable of our environment, or a
// file, whose last line ends are not part of it.
type Source struct {
	Env  string `yaml:"env,omitempty"`
	File string `yaml:"file,omitempty"` // absolute, or below the home folder as ~/file
}

// Check implements strictyaml.Checker.
func (s *Source) Check() error {
	if (s.Env == "") == (s.File == "") {
		return errors.New("give exactly one of env and file")
	}
	if s.File != "" && !filepath.IsAbs(s.File) && !strings.HasPrefix(s.File, "~/") {
		return strictyaml.At("file", fmt.Errorf("%q must be absolute or begin with ~/: secrets do not lie beside tasks", s.File))
	}
	return nil
}

// maxSize bounds a secret's file.
const maxSize = 64 << 10

func (s Source) read() (string, error) {
	if s.Env != "" {
		v := os.Getenv(s.Env)
		if v == "" {
			return "", fmt.Errorf("the variable %s is not set", s.Env)
		}
		return v, nil
	}
	path := s.File
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		path = filepath.Join(home, rest)
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || info.Size() > maxSize {
		return "", fmt.Errorf("%s is no file of at most %d bytes", path, maxSize)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	v := strings.TrimRight(string(b), "\r\n")
	if v == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	return v, nil
}

// Values are secrets that were read. The zero value knows none.
type Values struct {
	named map[string]string
	gone  *strings.Replacer // takes them out of a text; nil for none
}

// Read reads all sources by name.
func Read(sources map[string]Source) (Values, error) {
	v := Values{named: map[string]string{}}
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		value, err := sources[name].read()
		if err != nil {
			return Values{}, fmt.Errorf("secret %s: %w", name, err)
		}
		v.named[name] = value
	}
	v.gone = replacer(v.named)
	return v, nil
}

// minRedacted is the length from which a value is looked for in what comes
// back: a shorter one stands in texts by chance, and is no secret.
const minRedacted = 6

// replacer replaces every value, longest first, in the spellings in which a
// server is likely to repeat it.
func replacer(named map[string]string) *strings.Replacer {
	spelt := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(named)) {
		value := named[name]
		if len(value) < minRedacted {
			continue
		}
		quoted, _ := json.Marshal(value) // a string always can be
		for _, s := range []string{
			value, url.QueryEscape(value), url.PathEscape(value), strings.Trim(string(quoted), `"`),
			base64.StdEncoding.EncodeToString([]byte(value)), base64.RawURLEncoding.EncodeToString([]byte(value)),
		} {
			spelt[s] = "[secret " + name + "]"
		}
	}
	var pairs []string
	keys := slices.Collect(maps.Keys(spelt))
	slices.SortFunc(keys, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	for _, s := range keys {
		pairs = append(pairs, s, spelt[s])
	}
	if pairs == nil {
		return nil
	}
	return strings.NewReplacer(pairs...)
}

// Redact takes the values out of a text, and says in their place which they
// were.
func (v Values) Redact(text string) string {
	if v.gone == nil {
		return text
	}
	return v.gone.Replace(text)
}

var reference = regexp.MustCompile(`\{\{\s*secret\.([A-Za-z0-9_-]+)\s*\}\}`)

// CheckTemplate refuses a template that names a secret which is not declared.
func CheckTemplate(text string, declared map[string]Source) error {
	for _, m := range reference.FindAllStringSubmatch(text, -1) {
		if _, ok := declared[m[1]]; !ok {
			return fmt.Errorf("{{secret.%s}} is not among the secrets", m[1])
		}
	}
	return nil
}

// Get is the value of a secret; empty if there is none of the name.
func (v Values) Get(name string) string { return v.named[name] }

// Expand puts the values into a template, in one pass.
func (v Values) Expand(text string) string {
	return reference.ReplaceAllStringFunc(text, func(m string) string {
		return v.named[reference.FindStringSubmatch(m)[1]]
	})
}
