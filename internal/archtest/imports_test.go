package archtest

import (
	"bufio"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module = "chorale"
	root   = "../.."
)

// rawAccess lists the packages that may use unsafe or cgo.
var rawAccess = map[string]bool{
	"inference/internal/kernel":    true, // vector loops over checked lengths
	"inference/internal/vk":        true, // the Vulkan binding
	"inference/internal/weights":   true, // mmap
	"tools/python/internal/linear": true, // a file mapped over a guest's memory
	"internal/sandbox/confine":     true, // Landlock and seccomp take pointers
}

// aloneWith are the packages that someone can take into another program and
// get nothing else with them: the standard library and each other.
var aloneWith = []string{"harmony"}

// alone reports whether the package is one of those or lies below one.
func alone(pkg string) bool {
	return slices.ContainsFunc(aloneWith, func(p string) bool { return pkg == p || strings.HasPrefix(pkg, p+"/") })
}

// TestImports holds every non-test import of every package, for every
// operating system, against the imports block of docs/architecture.md.
func TestImports(t *testing.T) {
	rules := readRules(t)
	seen := map[string]bool{}
	eachImport(t, func(pkg, file, path string) {
		seen[pkg] = true
		allowed, listed := rules[pkg]
		switch {
		case !listed:
			t.Errorf("%s: package %s is not in the imports block of docs/architecture.md", file, pkg)
		case path == "unsafe" || path == "C":
			if !rawAccess[pkg] {
				t.Errorf("%s imports %q: only %v may", file, path, keys(rawAccess))
			}
		case path == module || strings.HasPrefix(path, module+"/"):
			dep := strings.TrimPrefix(path, module+"/")
			if !slices.Contains(allowed, "*") && !slices.Contains(allowed, dep) {
				t.Errorf("%s: %s imports %s, which docs/architecture.md does not allow", file, pkg, dep)
			}
		case alone(pkg) && strings.Contains(strings.Split(path, "/")[0], "."):
			t.Errorf("%s: %s imports %s; it must need nothing but the standard library", file, pkg, path)
		case path == "github.com/vulkan-go/vulkan" && pkg != "inference/internal/vk":
			t.Errorf("%s: only inference/internal/vk may import %s", file, path)
		}
	})
	for pkg := range rules {
		if !seen[pkg] {
			t.Errorf("docs/architecture.md lists %s, which has no Go file", pkg)
		}
	}
}

// readRules returns the allowed imports of every listed package.
func readRules(t *testing.T) map[string][]string {
	t.Helper()
	f, err := os.Open(filepath.Join(root, "docs/architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rules := map[string][]string{}
	inside := false
	for s := bufio.NewScanner(f); s.Scan(); {
		line := strings.TrimSpace(s.Text())
		switch {
		case line == "```imports":
			inside = true
		case line == "```":
			inside = false
		case inside && line != "":
			pkg, deps, ok := strings.Cut(line, ":")
			if !ok {
				t.Fatalf("docs/architecture.md: %q is not «package: imports»", line)
			}
			rules[pkg] = strings.Fields(deps)
		}
	}
	if len(rules) == 0 {
		t.Fatal("docs/architecture.md has no imports block")
	}
	return rules
}

// eachImport calls visit for every import of every non-test Go file. A file
// without imports is visited once with an empty path, so that its package is
// seen.
func eachImport(t *testing.T, visit func(pkg, file, path string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if base := d.Name(); name != root && (strings.HasPrefix(base, ".") || base == "testdata" || base == "bin" || base == "runs" || ownModule(name)) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		src, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, name)
		pkg := filepath.ToSlash(filepath.Dir(rel))
		if ignored(src.Comments, src.Package) {
			return nil
		}
		visit(pkg, rel, "")
		for _, imp := range src.Imports {
			path, _ := strconv.Unquote(imp.Path.Value)
			visit(pkg, rel, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// ownModule reports whether the folder is another module, of which nothing gets
// into this one.
func ownModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

func keys(m map[string]bool) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
