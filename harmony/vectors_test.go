package harmony

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// vectorTrees returns testdata and the trees that AGENT_VECTORS lists.
func vectorTrees() []string { return treesOf("AGENT_VECTORS") }

// treesOf returns testdata and the trees that an environment variable lists, as
// PATH does.
func treesOf(variable string) []string {
	trees := []string{"testdata"}
	for _, dir := range filepath.SplitList(os.Getenv(variable)) {
		if dir != "" {
			trees = append(trees, dir)
		}
	}
	return trees
}

// eachVector runs f on every line of every file that matches the pattern (as in
// "harmony/render*.jsonl") in the trees, plain or gzipped. A tree that holds
// nothing for this package fails the test.
func eachVector[T any](t *testing.T, pattern string, f func(t *testing.T, file string, line int, c T)) {
	t.Helper()
	for _, tree := range vectorTrees() {
		cases := 0
		for _, path := range vectorFiles(t, tree, pattern) {
			file := filepath.Base(path)
			eachLine(t, path, func(line int, c T) {
				f(t, file, line, c)
				cases++
			})
		}
		t.Logf("%s/%s: %d cases", tree, pattern, cases)
		if cases == 0 {
			requireAny(t, tree, "harmony/*.jsonl", "tokenizer/*.jsonl")
		}
	}
}

// requireAny fails the test if the tree has no file of any of the patterns.
func requireAny(t *testing.T, tree string, patterns ...string) {
	t.Helper()
	for _, p := range patterns {
		if len(vectorFiles(t, tree, p)) > 0 {
			return
		}
	}
	t.Errorf("%s holds nothing that this package understands: no %s", tree, strings.Join(patterns, ", no "))
}

func eachLine[T any](t *testing.T, path string, f func(line int, c T)) {
	t.Helper()
	for i, line := range vectorLines(t, path) {
		var c T
		if err := json.Unmarshal(line, &c); err != nil {
			t.Fatalf("%s:%d: %v", path, i+1, err)
		}
		f(i+1, c)
	}
}

// vectorFiles finds the files, plain or gzipped, whose path ends like the
// pattern: in the tree itself and up to three folders below.
func vectorFiles(t *testing.T, tree, pattern string) []string {
	t.Helper()
	var files []string
	for depth := range 4 {
		for _, end := range []string{"", ".gz"} {
			found, err := filepath.Glob(filepath.Join(tree, strings.Repeat("*/", depth), pattern+end))
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, found...)
		}
	}
	return files
}

func vectorLines(t *testing.T, path string) [][]byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	var lines [][]byte
	for line := range bytes.SplitSeq(data, []byte("\n")) {
		if len(line) > 0 {
			lines = append(lines, line)
		}
	}
	return lines
}

// dialectOf tells the dialect of a vector file by its name: the oracle's fork
// answers in the files *_oss.
func dialectOf(file string) Dialect {
	if strings.HasSuffix(strings.TrimSuffix(strings.TrimSuffix(file, ".gz"), ".jsonl"), "_oss") {
		return GptOss
	}
	return Compat
}
