package policies

import (
	"fmt"

	"chorale/internal/mount"
	"chorale/internal/strictyaml"
)

// mountsDoc is a file's `mounts:`: the files and folders of the machine that
// programs may be given. An empty list is none; a file without the key does not
// restrict.
type mountsDoc struct {
	line    int
	entries []mount.Entry
}

func (m *mountsDoc) DecodeNode(n strictyaml.Node) error {
	m.line = n.Line()
	return n.Decode(&m.entries)
}

// Mounts are the lists of folders of all files that have one. What a program is
// given must be permitted by each of them.
func (p *Policy) Mounts() []mount.List {
	var out []mount.List
	if p != nil {
		for _, f := range p.files {
			if f.mounts != nil {
				out = append(out, mount.List{From: fmt.Sprintf("%s:%d", f.name, f.mounts.line), Entries: f.mounts.entries})
			}
		}
	}
	return out
}
