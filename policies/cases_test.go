package policies

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"chorale/harmony"
)

var update = flag.Bool("update", false, "write what the error cases give; look at the difference")

// Every folder of testdata with a tests.yaml is a case.
func TestCases(t *testing.T) {
	files, err := filepath.Glob("testdata/*/tests.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	total := 0
	for _, f := range files {
		dir := filepath.Dir(f)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			n, failures, err := RunCases(os.DirFS("."), dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range failures {
				t.Error(f)
			}
			total += n
		})
	}
	t.Logf("%d tests in %d cases", total, len(files))
}

// A test that does not come out as expected is told, with its place.
func TestCasesCanFail(t *testing.T) {
	fsys := fstest.MapFS{"x/tests.yaml": {Data: []byte("apiVersion: agent/v1\nkind: PolicyTests\ntests:\n" +
		"- {name: n, call: python, expect: ask, rule: a, reason: b, limits: {time: 1s}}\n")}}
	_, failures, err := RunCases(fsys, "x")
	want := []string{
		`x/tests.yaml:4: n: expected ask, got allow (rule "python": )`,
		`x/tests.yaml:4: n: expected rule "a", got "python"`,
		`x/tests.yaml:4: n: expected reason "b", got ""`,
		`x/tests.yaml:4: n: expected limits {Time:1s Output:262144 Memory:2147483648}, got {Time:10m0s Output:262144 Memory:2147483648}`,
	}
	if diff := cmp.Diff(want, failures); diff != "" || err != nil {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
}

// Every folder of testdata/errors holds a policy.yaml that is refused as a
// developer policy, and the message.
func TestErrors(t *testing.T) {
	files, err := filepath.Glob("testdata/errors/*/policy.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, f := range files {
		src, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Parse("policy.yaml", src, harmony.Developer)
		if err == nil {
			t.Errorf("%s is accepted", f)
			continue
		}
		golden := filepath.Join(filepath.Dir(f), "error.txt")
		if *update {
			if err := os.WriteFile(golden, []byte(err.Error()+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, _ := os.ReadFile(golden)
		if diff := cmp.Diff(string(want), err.Error()+"\n"); diff != "" {
			t.Errorf("%s (-want +got)\n%s", f, diff)
		}
	}
}
