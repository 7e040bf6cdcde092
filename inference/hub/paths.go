package hub

import (
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strings"
	"unicode"
)

// Reserved is the folder among a model's files that is ours: no file of a
// repository may lie in it.
const Reserved = ".chorale"

// CheckPath refuses a name that could leave the folder it is put in, on any
// system, or that a terminal or file system would take for something else.
func CheckPath(name string) error {
	bad := strings.ContainsFunc(name, func(r rune) bool {
		return unicode.IsControl(r) || !unicode.IsPrint(r) || strings.ContainsRune(`\:*?"<>|`, r)
	})
	first, _, _ := strings.Cut(name, "/")
	switch {
	case bad || !fs.ValidPath(name) || name == "." || !filepath.IsLocal(filepath.FromSlash(name)) || len(name) > 1024:
		return fmt.Errorf("a file called %q is refused: it could lie outside its folder", clip(name))
	case strings.EqualFold(first, Reserved):
		return fmt.Errorf("a file called %q is refused: %s is ours", clip(name), Reserved)
	}
	return nil
}

// checkPaths refuses a list of files that cannot all lie in one folder. Names
// that differ in case alone are one name on some systems.
func checkPaths(names []string) error {
	seen := map[string]bool{} // true: a file; false: a folder
	for _, name := range names {
		if err := CheckPath(name); err != nil {
			return err
		}
		key := strings.ToLower(name)
		if _, taken := seen[key]; taken {
			return fmt.Errorf("a file called %q is refused: another one has the name, or lies in a folder of it", clip(name))
		}
		seen[key] = true
		for dir := path.Dir(key); dir != "."; dir = path.Dir(dir) {
			if seen[dir] {
				return fmt.Errorf("a file called %q is refused: %s is a file", clip(name), clip(dir))
			}
			seen[dir] = false
		}
	}
	return nil
}

// clip is a name that a server sent, short enough for a message.
func clip(s string) string {
	if len(s) <= 100 {
		return s
	}
	return strings.ToValidUTF8(s[:100], "") + "…"
}
