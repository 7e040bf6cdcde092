package mount

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// tree makes a task's folder and one beside it, with links between them.
func tree(t *testing.T) (task, outside string) {
	t.Helper()
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	task, outside = filepath.Join(root, "task"), filepath.Join(root, "outside")
	for _, dir := range []string{"task/in/deep", "task/out", "task/years/2025/bills", "task/years/2026/bills", "outside/secret", "home/notes"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"task/in/away": outside, "task/back": filepath.Join(task, "in"), "outside/here": task, "task/nowhere": filepath.Join(root, "none")} {
		if err := os.Symlink(to, filepath.Join(root, link)); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("HOME", filepath.Join(root, "home"))
	return task, outside
}

func TestPermits(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the cases are written with the paths of Unix")
	}
	task, outside := tree(t)
	for _, c := range []struct {
		entry string
		mode  Mode
		path  string
		want  Mode
		ok    bool
	}{
		{"in", ReadOnly, "in", ReadOnly, true},
		{"in", ReadOnly, "in/deep", ReadOnly, true},
		{"in", ReadOnly, "in/deep/new/file", ReadOnly, true}, // not there yet
		{"in", ReadOnly, "in", ReadWrite, false},
		{"in", ReadWrite, "in", ReadOnly, true},
		{"in", ReadOnly, ".", ReadOnly, false},
		{"in", ReadOnly, "inside", ReadOnly, false},
		{"in", ReadOnly, "in/..", ReadOnly, false},
		{"in", ReadOnly, "in/../out", ReadOnly, false},
		{"in", ReadOnly, "out/../in/deep", ReadOnly, true},
		{"in", ReadOnly, "in/away", ReadOnly, false}, // leads out
		{"in", ReadOnly, "in/away/secret", ReadOnly, false},
		{"in", ReadOnly, "in/away/new", ReadOnly, false},
		{"in", ReadOnly, "back/deep", ReadOnly, true}, // leads in
		{"back", ReadOnly, "in/deep", ReadOnly, true},
		{".", ReadWrite, "in/deep", ReadWrite, true},
		{".", ReadWrite, "../outside", ReadOnly, false},
		{outside, ReadOnly, "in/away/secret", ReadOnly, true},
		{outside, ReadOnly, outside + "/here/in", ReadOnly, false},
		{"~/notes", ReadOnly, "../home/notes/today", ReadOnly, true},
		{"~/notes", ReadOnly, "../home", ReadOnly, false},
		{"~", ReadOnly, "../home/notes", ReadOnly, true},
		{"/", ReadOnly, outside, ReadOnly, true},
		{"years/20*", ReadOnly, "years/2025/bills", ReadOnly, true},
		{"years/20*", ReadOnly, "years", ReadOnly, false},
		{"years/20*/bills", ReadOnly, "years/2025", ReadOnly, false},
		{"years/*/bills", ReadOnly, "years/2026/bills/x", ReadOnly, true},
		{"years/2025", ReadOnly, "years/2026", ReadOnly, false},
		{"*", ReadOnly, "in", ReadOnly, true},
		{"*", ReadOnly, ".", ReadOnly, false},
		{"/*/*", ReadOnly, "/", ReadOnly, false},
		{"none", ReadOnly, "in", ReadOnly, false},
	} {
		path := c.path
		if !filepath.IsAbs(path) {
			path = task + "/" + path // not cleaned
		}
		at, err := Resolve("", path)
		if err != nil {
			t.Fatal(err)
		}
		e := Entry{c.entry, c.mode}
		if err := e.Check(); err != nil {
			t.Errorf("%s: %v", c.entry, err)
		}
		if _, ok := (List{Entries: []Entry{e}}).Permits(task, at, c.want); ok != c.ok {
			t.Errorf("%s permits %s of %s: %v", e, c.want, c.path, ok)
		}
	}
	if at, err := Resolve(task, "nowhere"); err == nil {
		t.Errorf("a link that leads nowhere leads to %s", at)
	}
}
