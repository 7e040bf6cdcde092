package functions_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"chorale/internal/fence"
	"chorale/internal/mount"
	"chorale/internal/sandbox/confine"
	"chorale/tools"
	"chorale/tools/functions"
)

// What policies leave of hosts and folders holds in the program: one with
// network: true reaches their hosts through the proxy that its variables name,
// and nothing by itself; folders that are implied and not left are not there.
func TestCommandWithinPolicies(t *testing.T) {
	if missing := confine.Missing(); len(missing) > 0 {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%q; use a kernel with Landlock and allow user namespaces", missing)
		}
		t.Skip(missing)
	}
	dir, data := t.TempDir(), t.TempDir()
	for _, d := range []string{dir, data} {
		if err := os.WriteFile(filepath.Join(d, "note"), []byte("words"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(data, filepath.Join(dir, "data")); err != nil {
		t.Fatal(err)
	}
	allowed, other := newService(t), newService(t)
	host := func(url string) string { return strings.TrimPrefix(url, "http://") }
	declare := func(text string) *functions.Set {
		t.Helper()
		set, err := functions.Parse("f.yaml", []byte("apiVersion: agent/v1\nkind: Functions\nfunctions:\n"+
			strings.NewReplacer("DATA", data, "ALLOWED", host(allowed.URL), "OTHER", host(other.URL), "PORT", strings.ReplaceAll(host(allowed.URL), ":", "/")).Replace(text)), dir)
		if err != nil {
			t.Fatal(err)
		}
		return set
	}
	const ask = `a=${HTTP_PROXY#http://}; exec 3<>/dev/tcp/${a%:*}/${a#*:}; printf "GET http://%s/echo?text=x HTTP/1.0\r\n\r\n" "$0" >&3; cat <&3 | head -c 40`
	set := declare(`
- {name: allowed, description: x, command: [bash, -c, '` + ask + `', "ALLOWED"], network: true}
- {name: other, description: x, command: [bash, -c, '` + ask + `', "OTHER"], network: true}
- {name: direct, description: x, command: [bash, -c, 'exec 3<>/dev/tcp/PORT && echo connected'], network: true}
- {name: own, description: x, command: [cat, note]}
- {name: data, description: x, command: [cat, data/note], read: [data]}
`)
	policies, err := fence.New([][]string{{host(allowed.URL)}}, []mount.List{{From: "p", Entries: []mount.Entry{{Path: data}}}}, dir)
	if err != nil {
		t.Fatal(err)
	}
	if set, err = set.Within(policies); err != nil {
		t.Fatal(err)
	}
	tool := open(t, set)
	for name, want := range map[string]string{"allowed": "HTTP/1.0 200", "other": "HTTP/1.0 403", "direct": "refused", "own": "ermission denied", "data": "words"} {
		if r := try(t, tool, name, in{}); !strings.Contains(r.Text, want) {
			t.Errorf("%s: %+v, want %q", name, r, want)
		}
	}

	for _, text := range []string{
		"- {name: f, description: x, command: [cat], read: [.]}",
		"- {name: f, description: x, command: [cat], write: [data]}",
		"- {name: f, description: x, command: [cat], read: [data/..]}",
		"- {name: f, description: x, http: {url: 'http://OTHER/x'}}",
	} {
		if _, err := declare(text).Within(policies); err == nil || !slices.ContainsFunc([]string{"not permitted by the mounts", "the hosts of a policy"}, func(s string) bool { return strings.Contains(err.Error(), s) }) {
			t.Errorf("%s: %v", text, err)
		}
	}
	// It is asked again when the program starts: a link may lead elsewhere now.
	if err := os.Remove(filepath.Join(dir, "data")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dir, filepath.Join(dir, "data")); err != nil {
		t.Fatal(err)
	}
	again := call("data", "{}")
	again.Limits = tools.Limits{Time: 20 * time.Second, Output: 1 << 16, Memory: 1 << 30}
	if _, err := tool.Call(t.Context(), again); err == nil || !strings.Contains(err.Error(), "not permitted by the mounts") {
		t.Errorf("got %v", err)
	}
}
