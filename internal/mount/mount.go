// Package mount says which files and folders of the machine may be given to the
// programs of a run: a list of folders, each to read or to change, with all that
// lies below. Paths are compared as what they lead to: links and .. are followed
// first, and two spellings of one folder are one folder.
//
// It opens nothing. The zero list permits nothing.
package mount

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"chorale/internal/strictyaml"
)

// Entry permits one folder, or file, and what is below it.
type Entry struct {
	Path string `yaml:"path,required"` // absolute, from the home folder (~/x) or from the task's folder; * and ? stand within a name
	Mode Mode   `yaml:"mode,required"`
}

// Mode is what may be done with a folder. The zero value is reading.
type Mode uint8

// The modes.
const (
	ReadOnly  Mode = iota
	ReadWrite      // may be changed as well
)

func (m Mode) String() string {
	if m == ReadWrite {
		return "rw"
	}
	return "ro"
}

// UnmarshalText reads "ro" or "rw".
func (m *Mode) UnmarshalText(text []byte) error {
	switch string(text) {
	case "ro":
		*m = ReadOnly
	case "rw":
		*m = ReadWrite
	default:
		return fmt.Errorf("must be ro or rw, got %q", text)
	}
	return nil
}

// Check implements strictyaml.Checker.
func (e *Entry) Check() error {
	parts := strings.Split(filepath.ToSlash(e.Path), "/")
	switch {
	case e.Path == "":
		return strictyaml.At("path", errors.New("names no folder"))
	case slices.Contains(parts, ".."):
		return strictyaml.At("path", errors.New("must not contain ..; write where it leads"))
	case slices.Contains(parts, "**"):
		return strictyaml.At("path", errors.New("** is not needed: a folder stands for all that is below it"))
	case strings.HasPrefix(parts[0], "~") && parts[0] != "~":
		return strictyaml.At("path", errors.New("only one's own home folder can be written with ~"))
	}
	if _, err := filepath.Match(e.Path, ""); err != nil {
		return strictyaml.At("path", errors.New("has a [ that does not end"))
	}
	return nil
}

func (e Entry) String() string { return e.Path + " " + e.Mode.String() }

// List is what one policy permits.
type List struct {
	From    string // who says it, as "policy.yaml:7"
	Entries []Entry
}

// Resolve is the path that a path leads to: absolute, from dir if it is
// relative, and without links. Of what does not exist yet, the folder that does
// is resolved.
func Resolve(dir, path string) (string, error) {
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	missing := ""
	for at := path; ; at = filepath.Dir(at) {
		real, err := filepath.EvalSymlinks(at)
		if err == nil {
			return filepath.Join(real, missing), nil
		}
		if _, lerr := os.Lstat(at); lerr == nil || !errors.Is(err, os.ErrNotExist) || at == filepath.Dir(at) {
			return "", fmt.Errorf("%s: %w", path, err) // a link that leads nowhere could lead elsewhere later
		}
		missing = filepath.Join(filepath.Base(at), missing)
	}
}

// Permits reports the entry that permits a path, as Resolve gave it. Relative
// entries start from dir.
func (l List) Permits(dir, resolved string, mode Mode) (Entry, bool) {
	for _, e := range l.Entries {
		if e.Mode >= mode && e.covers(dir, resolved) {
			return e, true
		}
	}
	return Entry{}, false
}

// covers reports whether a path is what the entry means, or lies below it.
func (e Entry) covers(dir, resolved string) bool {
	fixed, names := e.split()
	if rest, ok := strings.CutPrefix(filepath.ToSlash(fixed), "~"); ok {
		home, err := os.UserHomeDir()
		if err != nil {
			return false
		}
		fixed = filepath.Join(home, rest)
	}
	base, err := Resolve(dir, fixed)
	if err != nil {
		return false
	}
	var below []string // names from at down to the path
	for at := resolved; ; at = filepath.Dir(at) {
		if same(at, base) && fits(names, below) {
			return true
		}
		if at == filepath.Dir(at) {
			return false
		}
		below = append([]string{filepath.Base(at)}, below...)
	}
}

// split cuts a path before the first name that has a pattern.
func (e Entry) split() (fixed string, patterns []string) {
	names := strings.Split(filepath.ToSlash(e.Path), "/")
	i := slices.IndexFunc(names, func(n string) bool { return strings.ContainsAny(n, "*?[") })
	if i < 0 {
		return e.Path, nil
	}
	fixed = cmp.Or(strings.Join(names[:i], "/"), ".")
	if names[0] == "" && i == 1 {
		fixed = "/"
	}
	return filepath.FromSlash(fixed), names[i:]
}

// fits reports whether the first names below a folder fit patterns.
func fits(patterns, names []string) bool {
	if len(names) < len(patterns) {
		return false
	}
	for i, p := range patterns {
		name := names[i]
		if caseless {
			p, name = strings.ToLower(p), strings.ToLower(name)
		}
		if ok, err := filepath.Match(p, name); err != nil || !ok {
			return false
		}
	}
	return true
}

// caseless systems usually have one file under both spellings of a name.
const caseless = runtime.GOOS == "windows" || runtime.GOOS == "darwin"

// same reports whether two paths lead to one file. The system knows best; what
// does not exist is compared by its letters.
func same(a, b string) bool {
	if a == b {
		return true
	}
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}
