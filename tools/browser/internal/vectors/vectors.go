// Package vectors finds the files that the tests of the browser tool are held
// to: the tree in testdata, and those that AGENT_VECTORS names. Only tests use
// it.
package vectors

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Each calls run once per tree, with the tree's folder of browser vectors.
// run returns how many cases it understood; a tree without any fails the test.
func Each(t *testing.T, testdata string, run func(t *testing.T, dir string) int) {
	t.Helper()
	dirs := []string{filepath.Join(testdata, "browser")}
	for _, tree := range filepath.SplitList(os.Getenv("AGENT_VECTORS")) {
		dirs = append(dirs, filepath.Join(tree, "browser"))
	}
	for _, dir := range dirs {
		n := run(t, dir)
		t.Logf("%d cases in %s", n, dir)
		if n == 0 {
			t.Errorf("%s: no cases that this test understands", dir)
		}
	}
}

// Read returns a file, or its gzipped form with .gz appended to the name.
func Read(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return b, err
	}
	f, zerr := os.Open(path + ".gz")
	if zerr != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

// Decode reads a JSON file into v; a missing file leaves v as it is.
func Decode(t *testing.T, path string, v any) {
	t.Helper()
	b, err := Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// Names lists the entries of a folder, without .gz, sorted.
func Names(dir string) []string {
	entries, _ := os.ReadDir(dir)
	var names []string
	for _, e := range entries {
		names = append(names, strings.TrimSuffix(e.Name(), ".gz"))
	}
	slices.Sort(names)
	return slices.Compact(names)
}
