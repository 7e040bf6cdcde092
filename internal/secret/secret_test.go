package secret

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestExpandAndRedact(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("k/e+y \"quoted\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SECRET_TEST_TOKEN", "tok-123456")
	t.Setenv("SECRET_TEST_PIN", "42")
	sources := map[string]Source{"token": {Env: "SECRET_TEST_TOKEN"}, "key": {File: file}, "pin": {Env: "SECRET_TEST_PIN"}}
	v, err := Read(sources)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := v.Expand("Bearer {{secret.token}} {{ secret.key }} {{other}} {{secret.pin}}"), `Bearer tok-123456 k/e+y "quoted" {{other}} 42`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, said := range []string{
		"you sent tok-123456.", "a=tok-123456&b=k%2Fe%2By+%22quoted%22", `{"got":"k/e+y \"quoted\""}`,
		"Basic dG9rLTEyMzQ1Ng==", "dG9rLTEyMzQ1Ng",
	} {
		got := v.Redact(said)
		if got == said || strings.Contains(got, "tok-123456") || strings.Contains(got, "dG9rLTEyMzQ1Ng") || strings.Contains(got, "quoted") {
			t.Errorf("%q became %q", said, got)
		}
	}
	if got := v.Redact("42 of 42"); got != "42 of 42" {
		t.Errorf("a short value was taken out: %q", got)
	}
	if got := (Values{}).Redact("as it is"); got != "as it is" {
		t.Errorf("got %q", got)
	}
}

func TestRefusals(t *testing.T) {
	for name, s := range map[string]Source{
		"neither": {}, "both": {Env: "A", File: "/a"}, "relative": {File: "key.txt"},
	} {
		if s.Check() == nil {
			t.Errorf("%s: no complaint", name)
		}
	}
	for name, s := range map[string]Source{"unset": {Env: "SECRET_TEST_UNSET"}, "missing": {File: "/no/such/file"}, "folder": {File: t.TempDir()}} {
		if _, err := Read(map[string]Source{"x": s}); err == nil || !strings.Contains(err.Error(), "secret x: ") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if err := CheckTemplate("{{secret.a}} {{secret.b}}", map[string]Source{"a": {Env: "A"}}); err == nil || !strings.Contains(err.Error(), "secret.b") {
		t.Errorf("got %v", err)
	}
}
