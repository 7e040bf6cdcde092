package runtime

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"chorale/internal/atomicfile"
)

// folder is a run's directory:
//
//	task.lock.yaml  the task as it ran, with the hashes of all its files
//	trace.jsonl     everything that happened, one record a line, exact token ids
//	audit.jsonl     each call, its decision and who approved: a chain of hashes
//	artifacts/      files that tools and the answer left
//	result.json     how it ended; written last, at once
type folder struct {
	id   string
	path string
	task string
	made time.Time
}

// newFolder makes an empty run directory under runs. Its name sorts by time.
func newFolder(runs, task string, now time.Time) (folder, error) {
	var tail [3]byte
	_, _ = rand.Read(tail[:]) // never fails, see its doc
	id := fmt.Sprintf("%s-%s-%s", now.UTC().Format("20060102-150405"), task, hex.EncodeToString(tail[:]))
	path, err := filepath.Abs(filepath.Join(runs, id))
	if err != nil {
		return folder{}, err
	}
	if err := os.MkdirAll(filepath.Join(path, "artifacts"), 0o700); err != nil {
		return folder{}, fmt.Errorf("make run directory: %w", err)
	}
	return folder{id: id, path: path, task: task, made: now}, nil
}

func (f folder) artifacts() string       { return filepath.Join(f.path, "artifacts") }
func (f folder) file(name string) string { return filepath.Join(f.path, name) }

// Lock is task.lock.yaml: what a run depended on.
type Lock struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Agent      string `yaml:"agent"`             // version of the program
	Model      string `yaml:"model"`             // what the engine says it opened
	Weights    string `yaml:"weights,omitempty"` // hash of the model's files, where it is known
	Task       Task   `yaml:"task"`              // inputs set, texts loaded, defaults filled in
	Files      []File `yaml:"files"`
}

func (f folder) writeLock(l Lock) error {
	node, err := yaml.ValueToNode(l)
	if err != nil {
		return fmt.Errorf("write task.lock.yaml: %w", err)
	}
	ast.Walk(quoter{}, node)
	return writeFile(f.file("task.lock.yaml"), []byte(node.String()+"\n"))
}

// quoter puts texts into quotes that the library would write bare, or as lines below
// each other, and that would then be read as others.
type quoter struct{}

// Visit implements ast.Visitor.
func (q quoter) Visit(n ast.Node) ast.Visitor {
	if s, ok := n.(*ast.StringNode); ok && !meansItself(s.Value) {
		s.Token = token.DoubleQuote(s.Value, s.Value, s.Token.Position)
	}
	return q
}

// meansItself reports whether a text is read as it stands, or in the quotes that it
// has already.
func meansItself(s string) bool {
	block := strings.Contains(s, "\n") // in which a tab is itself
	odd := func(r rune) bool { return r != '\n' && !(block && r == '\t') && !unicode.IsPrint(r) }
	lines := strings.TrimRight(s, "\n")
	return strings.TrimSpace(lines) == lines && lines != "" && !strings.ContainsAny(lines[:1], "?.") && !strings.ContainsFunc(s, odd)
}

// describe says of a result which run it ends, what that left and how long it took.
func (f folder) describe(res *Result, now time.Time) {
	res.Task, res.Run, res.Dir, res.ExitCode = f.task, f.id, f.path, ExitCode(res.Status)
	res.Artifacts, _ = list(f.artifacts()) // what cannot be read is not listed
	res.Seconds = math.Round(now.Sub(f.made).Seconds()*1000) / 1000
}

// keep writes the result of a run that ended with err.
func (f folder) keep(res Result, err error) (Result, error) {
	if e := f.writeResult(res); e != nil && err == nil {
		res.breaks(e)
		err = e
	}
	return res, err
}

func (f folder) writeResult(r Result) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("write result.json: %w", err)
	}
	return writeFile(f.file("result.json"), append(b, '\n'))
}

// writeFile writes a file that is there wholly or not at all.
func writeFile(path string, b []byte) error { return atomicfile.Write(path, b, 0o600) }
