package functions

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"chorale/internal/strictjson"
)

// A line of schemas.jsonl: a schema, and documents that two other validators
// agree on.
type vector struct {
	Name    string
	Class   string
	Schema  json.RawMessage
	Valid   []json.RawMessage
	Invalid []json.RawMessage
}

// The corpus of testdata, and of the trees that AGENT_VECTORS names. A schema
// may be refused, but what is accepted must judge every document rightly.
func TestSchemaVectors(t *testing.T) {
	trees := append([]string{"testdata"}, filepath.SplitList(os.Getenv("AGENT_VECTORS"))...)
	for _, tree := range trees {
		files, err := filepath.Glob(filepath.Join(tree, "schemas", "*.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		schemas, documents := 0, 0
		for _, file := range files {
			for _, v := range readVectors(t, file) {
				schemas++
				documents += v.run(t)
			}
		}
		t.Logf("%s: %d schemas, %d documents", tree, schemas, documents)
		if documents == 0 {
			t.Errorf("%s: schemas/*.jsonl hold no case", tree)
		}
	}
}

func readVectors(t *testing.T, file string) []vector {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []vector
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			continue
		}
		var v vector
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		out = append(out, v)
	}
	if err := lines.Err(); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return out
}

func (v vector) run(t *testing.T) (documents int) {
	t.Helper()
	schema, err := strictjson.Parse(string(v.Schema))
	if err != nil {
		t.Errorf("%s: %v", v.Name, err)
		return 0
	}
	compiled, err := compile(schema)
	if err != nil {
		t.Errorf("%s (%s): refused: %v", v.Name, v.Class, err)
		return 0
	}
	check := func(docs []json.RawMessage, want bool) {
		for _, d := range docs {
			documents++
			doc, err := strictjson.Parse(string(d))
			if err != nil {
				t.Errorf("%s: %.100s: %v", v.Name, d, err)
				continue
			}
			if err := compiled.Validate(doc); (err == nil) != want {
				t.Errorf("%s (%s): %.100s: accepted %v, want %v (%v)", v.Name, v.Class, d, err == nil, want, err)
			}
		}
	}
	check(v.Valid, true)
	check(v.Invalid, false)
	return documents
}
