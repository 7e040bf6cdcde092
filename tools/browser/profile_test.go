package browser

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// member is a site that knows its visitors by a cookie, and greets them by what
// their browser keeps.
func member(w http.ResponseWriter, r *http.Request) {
	switch c, _ := r.Cookie("sid"); {
	case r.URL.Path == "/login":
		http.SetCookie(w, &http.Cookie{Name: "sid", Value: "42", Path: "/", HttpOnly: true})
		http.SetCookie(w, &http.Cookie{Name: "kept", Value: "long", Path: "/", MaxAge: 3600})
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, `<title>In</title><p>logged in</p><script>localStorage.name = "Ann \u2028 </script"</script>`)
	default:
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<title>Home</title><p>member: %v</p><p id=n></p><script>n.textContent = "name: " + localStorage.name + ", seen: " + document.cookie; localStorage.removeItem("gone")</script>`, c)
	}
}

// TestProfile: what one run leaves in a profile the next one has, and a run
// without it has nothing of it.
func TestProfile(t *testing.T) {
	needChromium(t)
	srv := httptest.NewServer(http.HandlerFunc(member))
	defer srv.Close()
	dir := filepath.Join(t.TempDir(), "profiles", "shop")
	visit := func(path, profile, har string) string {
		t.Helper()
		b, err := Open(t.Context(), Options{Allow: []string{srv.Listener.Addr().String(), "https://*.example"}, JavaScript: true, Tokens: o200k, Profile: profile, HAR: har})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		if profile != "" {
			if _, err := Open(t.Context(), b.options); err == nil || !strings.Contains(err.Error(), "is in use by another run") {
				t.Errorf("a second browser with the profile: %v", err)
			}
		}
		return open(t, b, srv.URL+path).Text
	}
	har := filepath.Join(t.TempDir(), "network.har")
	visit("/login", dir, har)
	// Origins that a run does not open stay as they are, allowed or not.
	far := `"https://never.example":{"a":"b"},"https://no.invalid":{"c":"d"}`
	file := filepath.Join(dir, "state.json")
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	os.WriteFile(file, []byte(strings.Replace(string(src), `"storage":{`, `"storage":{`+far+",", 1)), 0o600)
	if got := visit("/", dir, ""); !strings.Contains(got, "member: sid=42") || !strings.Contains(got, "name: Ann") || !strings.Contains(got, "kept=long") || strings.Contains(got, "seen: sid") {
		t.Errorf("the second run: %s", got)
	}
	if src, err := os.ReadFile(file); err != nil || !strings.Contains(string(src), far) {
		t.Errorf("%s, %v", src, err)
	}
	if got := visit("/", "", ""); !strings.Contains(got, "member: \n") && !strings.Contains(got, "member: <nil>") || !strings.Contains(got, "name: undefined") {
		t.Errorf("a run without the profile: %s", got)
	}
	if runtime.GOOS != "windows" {
		for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "state.json"): 0o600} {
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
				t.Errorf("%s: %v, %v; want %v", path, info.Mode(), err, want)
			}
		}
	}
	checkHAR(t, har, srv.URL+"/login")
	os.WriteFile(filepath.Join(dir, "state.json"), []byte("{"), 0o600)
	if _, err := openProfile(dir); err == nil || !strings.Contains(err.Error(), "state.json") {
		t.Errorf("a damaged profile: %v", err)
	}
}

// checkHAR holds a record against what HAR 1.2 demands, and looks for what must
// not be in it.
func checkHAR(t *testing.T, path, address string) {
	t.Helper()
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Log struct {
			Version string
			Creator struct{ Name, Version string }
			Entries []map[string]json.RawMessage
		}
	}
	if err := json.Unmarshal(src, &doc); err != nil || doc.Log.Version != "1.2" || doc.Log.Creator.Name == "" || len(doc.Log.Entries) == 0 {
		t.Fatalf("%v, %+v", err, doc)
	}
	for _, key := range []string{"startedDateTime", "time", "request", "response", "cache", "timings"} {
		if doc.Log.Entries[0][key] == nil {
			t.Errorf("an entry without %s", key)
		}
	}
	if !strings.Contains(string(src), `"url": "`+address+`"`) || !strings.Contains(string(src), `"status": 200`) {
		t.Errorf("the page is not in %s", src)
	}
	if strings.Contains(string(src), "sid=42") {
		t.Errorf("a cookie is in %s", src)
	}
}

// TestHAROfDocuments: what our own client reads is recorded too, and failures.
func TestHAROfDocuments(t *testing.T) {
	srv := site(documents)
	defer srv.Close()
	path := filepath.Join(t.TempDir(), "network.har")
	b, err := Open(t.Context(), Options{Allow: []string{srv.Listener.Addr().String(), "127.0.0.1:1"}, Tokens: o200k, HAR: path})
	if err != nil {
		t.Fatal(err)
	}
	open(t, b, srv.URL+"/text?a=1&a=2")
	open(t, b, "http://127.0.0.1:1/none")
	b.Close()
	checkHAR(t, path, srv.URL+"/text?a=1\\u0026a=2")
	if src, _ := os.ReadFile(path); strings.Count(string(src), `"_error"`) != 1 {
		t.Errorf("want one failure in %s", src)
	}
}
