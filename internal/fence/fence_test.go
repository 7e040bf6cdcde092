package fence

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"chorale/internal/mount"
)

// A list of folders that is added, in any place, only takes away.
func TestAddedListOnlyNarrows(t *testing.T) {
	root, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"a", "b"}
	paths := []string{"."}
	for _, x := range names {
		for _, y := range names {
			if err := os.MkdirAll(filepath.Join(root, x, y), 0o700); err != nil {
				t.Fatal(err)
			}
			paths = append(paths, x, x+"/"+y, x+"/../"+y, x+"/link/"+y, x+"/*", "*/"+y)
		}
		if err := os.Symlink(filepath.Join(root, "b"), filepath.Join(root, x, "link")); err != nil {
			t.Fatal(err)
		}
	}
	modes := rapid.SampledFrom([]mount.Mode{mount.ReadOnly, mount.ReadWrite})
	entry := rapid.Custom(func(t *rapid.T) mount.Entry {
		for {
			e := mount.Entry{Path: rapid.SampledFrom(paths).Draw(t, "path"), Mode: modes.Draw(t, "mode")}
			if e.Check() == nil {
				return e
			}
		}
	})
	list := rapid.Custom(func(t *rapid.T) mount.List {
		return mount.List{From: "p", Entries: rapid.SliceOfN(entry, 0, 3).Draw(t, "entries")}
	})
	rapid.Check(t, func(t *rapid.T) {
		lists := rapid.SliceOfN(list, 0, 3).Draw(t, "lists")
		at := rapid.IntRange(0, len(lists)).Draw(t, "at")
		more := append(append(append([]mount.List{}, lists[:at]...), list.Draw(t, "added")), lists[at:]...)
		few, err := New(nil, lists, root)
		if err != nil {
			t.Fatal(err)
		}
		many, err := New(nil, more, root)
		if err != nil {
			t.Fatal(err)
		}
		path := root + "/" + rapid.SampledFrom(paths).Filter(func(p string) bool { return !strings.Contains(p, "*") }).Draw(t, "asked")
		mode := modes.Draw(t, "as")
		_, before := few.Folder(path, mode)
		at2, after := many.Folder(path, mode)
		if before != nil && after == nil {
			t.Fatalf("%s %s: %v, and with one list more it is permitted", path, mode, before)
		}
		if after == nil {
			if want, _ := filepath.EvalSymlinks(path); at2 != want {
				t.Fatalf("%s leads to %s, not to %s", path, at2, want)
			}
			if _, err := many.Folder(path, mount.ReadOnly); err != nil {
				t.Fatalf("%s may be changed and not read: %v", path, err)
			}
		}
	})
}

func TestReach(t *testing.T) {
	f, err := New([][]string{{"*"}, {"shop.example", "*.acme.example"}}, nil, ".")
	if err != nil {
		t.Fatal(err)
	}
	for origin, ok := range map[string]bool{"https://shop.example": true, "https://erp.acme.example": true, "https://acme.example": false, "http://shop.example:8080": false, "::": false} {
		if err := f.Reach(origin); (err == nil) != ok {
			t.Errorf("%s: %v", origin, err)
		}
	}
	var none *Fence
	if err := none.Reach(Any); err != nil {
		t.Error(err)
	}
	if at, err := none.Folder("x/../y", mount.ReadWrite); at != "x/../y" || err != nil {
		t.Errorf("%s, %v", at, err)
	}
	if _, err := New([][]string{{"ftp://x"}}, nil, "."); err == nil {
		t.Error("a list that cannot be read is taken")
	}
}
