package store

import (
	"fmt"
	"path"
	"regexp"
	"strings"

	"chorale/inference/hub"
)

// aliases are short names of repositories.
var aliases = map[string]string{
	"gpt-oss-20b":  "openai/gpt-oss-20b",
	"gpt-oss-120b": "openai/gpt-oss-120b",
}

// Ref names a pulled model: [OWNER/]NAME[@REVISION][:FILE]. Without an owner it is
// one of the short names, or the only model of that name.
type Ref struct {
	Repo     string // owner/name, or a name
	Revision string // branch, tag, or the beginning of a commit; empty: any
	Path     string // the checkpoint among several in the repository; empty: the usual one
}

var refForm = regexp.MustCompile(`^(?:([A-Za-z0-9_][A-Za-z0-9._-]*)/)?([A-Za-z0-9_][A-Za-z0-9._-]*)(?:@([A-Za-z0-9._/-]+))?(?::(.+))?$`)

// ParseRef reads a reference.
func ParseRef(s string) (Ref, error) {
	m := refForm.FindStringSubmatch(s)
	if m == nil {
		return Ref{}, fmt.Errorf("%q names no model: want gpt-oss-20b, or OWNER/NAME, with @REVISION and :FILE where they are needed", s)
	}
	r := Ref{Repo: m[2], Revision: m[3], Path: m[4]}
	if full, ok := aliases[m[2]]; ok && m[1] == "" {
		r.Repo = full
	} else if m[1] != "" {
		r.Repo = m[1] + "/" + m[2]
	}
	if r.Path != "" {
		if err := hub.CheckPath(r.Path); err != nil {
			return Ref{}, err
		}
	}
	return r, nil
}

// String is the shortest form of the reference.
func (r Ref) String() string {
	s := r.Repo
	for short, full := range aliases {
		if full == r.Repo {
			s = short
		}
	}
	if r.Revision != "" {
		s += "@" + r.Revision
	}
	if r.Path != "" {
		s += ":" + r.Path
	}
	return s
}

// pullable is the reference as `agent model pull` takes it.
func (r Ref) pullable() string {
	r.Path = ""
	if !strings.Contains(r.Repo, "/") {
		r.Repo = "OWNER/" + r.Repo
	}
	return r.String()
}

// names reports whether the reference means the model.
func (r Ref) names(m Model) bool {
	if r.Repo != m.Repo && (strings.Contains(r.Repo, "/") || r.Repo != path.Base(m.Repo)) {
		return false
	}
	return r.Revision == "" || m.hasRevision(r.Revision) || len(r.Revision) >= 7 && strings.HasPrefix(m.Commit, r.Revision)
}
