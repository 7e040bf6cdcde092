package policies

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"chorale/harmony"
	"chorale/policies/provenance"
)

// The examples of docs/policy.md are real: a developer's policy, an owner's, a
// user's, and the tests of the first.
func TestDocs(t *testing.T) {
	doc, err := os.ReadFile("../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, part := range strings.Split(string(doc), "```yaml\n")[1:] {
		block, _, _ := strings.Cut(part, "```")
		blocks = append(blocks, block)
	}
	if len(blocks) != 6 {
		t.Fatalf("%d examples", len(blocks))
	}
	for i, from := range []harmony.Role{harmony.Developer, harmony.System, harmony.User, harmony.User} {
		if _, err := Parse("docs/policy.md", []byte(blocks[i]), from); err != nil {
			t.Error(err)
		}
	}
	if _, err := provenance.Parse("docs/policy.md", []byte(blocks[4])); err != nil {
		t.Error(err)
	}
	_, formulas, _ := strings.Cut(string(doc), "```cel\n")
	formulas, _, _ = strings.Cut(formulas, "```")
	for _, line := range strings.Split(strings.TrimSpace(formulas), "\n") {
		if err := new(formula).UnmarshalText([]byte(line)); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
	n, failures, err := RunCases(fstest.MapFS{"policy.yaml": {Data: []byte(blocks[0])}, "tests.yaml": {Data: []byte(blocks[5])}}, ".")
	if err != nil || n != 1 || len(failures) > 0 {
		t.Errorf("%d tests, %q, %v", n, failures, err)
	}
}
