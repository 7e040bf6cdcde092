package store

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"chorale/inference/hub"
	"chorale/inference/hub/hubtest"
	"chorale/internal/lockfile"
)

func random(seed byte, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

// oss is a repository with the files of OpenAI's.
func oss() []hubtest.File {
	var out []hubtest.File
	for i, name := range []string{
		".gitattributes", "LICENSE", "README.md", "USAGE_POLICY", "chat_template.jinja", "config.json", "generation_config.json",
		"metal/model.bin", "model-00000-of-00001.safetensors", "model-00001-of-00001.safetensors", "model.safetensors.index.json",
		"original/config.json", "original/dtypes.json", "original/model.safetensors", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json",
	} {
		large := strings.HasSuffix(name, ".safetensors") || strings.HasSuffix(name, ".bin")
		out = append(out, hubtest.File{Path: name, Data: random(byte(i), 1000+i), Large: large})
	}
	return out
}

type fixture struct {
	hub    *hubtest.Server
	client *hub.Client
	store  *Store
}

func setUp(t *testing.T, files ...hubtest.File) *fixture {
	t.Helper()
	if files == nil {
		files = oss()
	}
	f := &fixture{hub: hubtest.New(t, "openai/gpt-oss-20b", files...)}
	var err error
	if f.client, err = hub.New(hub.Options{Address: f.hub.URL, TLS: f.hub.TLS()}); err != nil {
		t.Fatal(err)
	}
	if f.store, err = Open(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	return f
}

// pull pulls and counts the ways in which files came.
func (f *fixture) pull(t *testing.T, o PullOptions) (Model, map[string]int, error) {
	t.Helper()
	how := map[string]int{}
	o.Repo, o.Revision = f.hub.Repo, "main"
	o.Tell = func(e hub.Event) {
		if e, ok := e.(Done); ok {
			how[e.How]++
		}
	}
	m, err := f.store.Pull(t.Context(), f.client, o)
	return m, how, err
}

func (f *fixture) pulled(t *testing.T, o PullOptions) (Model, map[string]int) {
	t.Helper()
	m, how, err := f.pull(t, o)
	if err != nil {
		t.Fatal(err)
	}
	return m, how
}

func ref(t *testing.T, s string) Ref {
	t.Helper()
	r, err := ParseRef(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestPull: what is needed comes, private and complete; again it costs nothing.
func TestPull(t *testing.T) {
	f := setUp(t)
	m, how := f.pulled(t, PullOptions{})
	if len(m.Files) != 12 || how[Fetched] != 12 {
		t.Errorf("pulled %s (%v), want 12 files", fileNames(m.Files), how)
	}
	for _, file := range m.Files {
		if strings.Contains(file.Path, "/") || file.Path == ".gitattributes" {
			t.Errorf("pulled %s, which nobody reads", file.Path)
		}
	}
	err := filepath.WalkDir(f.store.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || path == f.store.dir {
			return err
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		if st.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, st.Mode())
		}
		if strings.Contains(path, "partial") || strings.HasSuffix(path, pullFile) {
			t.Errorf("left behind: %s", path)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	lease, err := f.store.Use(ref(t, "gpt-oss-20b"))
	if err != nil {
		t.Fatal(err)
	}
	if lease.Path != m.Dir {
		t.Errorf("the checkpoint is %s, want %s", lease.Path, m.Dir)
	}
	if err := f.store.Remove(m); !errors.Is(err, ErrInUse) {
		t.Errorf("removed while in use: %v", err)
	}
	before := len(f.hub.Requests())
	if _, how = f.pulled(t, PullOptions{}); how[Kept] != 12 {
		t.Error("the model is in use and complete, and a pull did not keep it")
	}
	if n := len(f.hub.Requests()) - before; n != 1 {
		t.Errorf("to keep everything took %d requests, want the list", n)
	}
	lease.Close()
	if err := f.store.Remove(m); err != nil {
		t.Fatal(err)
	}
	if _, err := f.store.Use(ref(t, "gpt-oss-20b")); !errors.Is(err, ErrNotPulled) || !strings.Contains(err.Error(), "agent model pull gpt-oss-20b") {
		t.Errorf("after it was removed: %v", err)
	}
}

// TestChoice: which files are wanted, for the forms that repositories have.
func TestChoice(t *testing.T) {
	list := func(names ...string) (out []hub.File) {
		for i, n := range names {
			out = append(out, hub.File{Path: n, Size: int64(i)})
		}
		return out
	}
	var full []string
	for _, f := range oss() {
		full = append(full, f.Path)
	}
	for name, tc := range map[string]struct {
		files []hub.File
		s     Selection
		want  string // all paths, or of the error
	}{
		"original asked for":    {list(full...), Selection{Include: []string{"original/*"}}, "original/config.json original/dtypes.json original/model.safetensors"},
		"a folder":              {list(full...), Selection{Include: []string{"metal/"}}, "metal/model.bin"},
		"stars go over slashes": {list(full...), Selection{Include: []string{"*.safetensors"}, Exclude: []string{"model-*"}}, "original/model.safetensors"},
		"less":                  {list("config.json", "a.safetensors", "README.md"), Selection{Exclude: []string{"*.md"}}, "config.json a.safetensors"},
		"original alone":        {list("README.md", "original/config.json", "original/a.safetensors", "x/y.safetensors"), Selection{}, "README.md original/config.json original/a.safetensors"},
		"one GGUF":              {list("config.json", "m-Q8_0.gguf", "imatrix.dat"), Selection{}, "config.json m-Q8_0.gguf"},
		"one GGUF in parts":     {list("m-00001-of-00002.gguf", "m-00002-of-00002.gguf"), Selection{}, "m-00001-of-00002.gguf m-00002-of-00002.gguf"},
		"several GGUF":          {list("m-Q8_0.gguf", "m-F16.gguf"), Selection{}, "say which with --include: m-Q8_0.gguf, m-F16.gguf"},
		"pickles":               {list("pytorch_model.bin", "config.json"), Selection{}, "no weights that this program reads"},
		"no match":              {list("a.gguf"), Selection{Include: []string{"b*"}}, `no file matches "b*"; there are a.gguf`},
		"nothing left":          {list("a.gguf"), Selection{Exclude: []string{"*"}}, "no file is left"},
		"a dot is a dot":        {list("a.gguf", "axgguf"), Selection{Include: []string{"a.ggu?"}}, "a.gguf"},
	} {
		got, err := tc.s.Choose(tc.files)
		if err != nil {
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: %v, want %q", name, err, tc.want)
			}
			continue
		}
		var paths []string
		for _, f := range got {
			paths = append(paths, f.Path)
		}
		if s := strings.Join(paths, " "); s != tc.want {
			t.Errorf("%s: chose %s, want %s", name, s, tc.want)
		}
	}
}

// TestVerify: damage is found, keeps the model from being used, and the next pull
// mends it and fetches nothing else.
func TestVerify(t *testing.T) {
	f := setUp(t)
	m, _ := f.pulled(t, PullOptions{})
	quiet := func(hub.Event) {}
	if wrong, err := m.Verify(t.Context(), quiet); err != nil || len(wrong) > 0 {
		t.Fatalf("fresh: %v, %v", wrong, err)
	}
	at := func(name string) string { return filepath.Join(m.Dir, name) }
	flipped := append([]byte{1}, f.hub.Files[8].Data[1:]...)
	flipped[0] ^= f.hub.Files[8].Data[0] | 1
	put(t, at("model-00000-of-00001.safetensors"), flipped)
	put(t, at("config.json"), []byte("short"))
	remove(t, at("tokenizer.json"))
	remove(t, at("README.md"))
	if err := os.Symlink(at("LICENSE"), at("README.md")); err != nil {
		t.Fatal(err)
	}
	wrong, err := m.Verify(t.Context(), quiet)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"model-00000-of-00001.safetensors": "its content has sha256", "config.json": "has 5 bytes, want", "tokenizer.json": "is missing", "README.md": "is not a regular file",
	} {
		if !strings.Contains(wrong[name], want) {
			t.Errorf("%s: %q, want %q", name, wrong[name], want)
		}
	}
	if len(wrong) != 4 {
		t.Errorf("wrong are %v, want 4", wrong)
	}
	if _, err := f.store.Use(ref(t, "gpt-oss-20b")); err == nil || !strings.Contains(err.Error(), "agent model pull openai/gpt-oss-20b@"+hubtest.Commit) {
		t.Errorf("a damaged model is used: %v", err)
	}
	if _, how := f.pulled(t, PullOptions{}); how[Fetched] != 4 || how[Kept] != 8 {
		t.Errorf("mending: %v, want 4 fetched and 8 kept", how)
	}
	if l, err := f.store.Use(ref(t, "openai/gpt-oss-20b@0123456")); err != nil {
		t.Error(err)
	} else {
		l.Close()
	}
}

// TestMissingIsSeenAtOnce: a file that is gone or cut short needs no hash to be
// noticed.
func TestMissingIsSeenAtOnce(t *testing.T) {
	f := setUp(t)
	m, _ := f.pulled(t, PullOptions{})
	put(t, filepath.Join(m.Dir, "config.json"), []byte("{}"))
	if _, err := f.store.Use(ref(t, "gpt-oss-20b")); err == nil || !strings.Contains(err.Error(), "config.json has 2 bytes") {
		t.Errorf("got %v", err)
	}
}

// TestInterrupted: an interrupted pull is listed as such, is not used, can be
// removed, and goes on where it was.
func TestInterrupted(t *testing.T) {
	f := setUp(t)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := f.store.Pull(ctx, f.client, PullOptions{Repo: f.hub.Repo, Revision: "main", Tell: func(e hub.Event) {
		if e, ok := e.(Done); ok && e.Path == "config.json" {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("interrupted: %v", err)
	}
	all, err := f.store.List()
	if err != nil || len(all) != 1 || all[0].Complete {
		t.Fatalf("listed: %+v, %v", all, err)
	}
	if _, err := f.store.Use(ref(t, "gpt-oss-20b")); err == nil || !strings.Contains(err.Error(), "it has not been pulled to the end") {
		t.Errorf("used: %v", err)
	}
	if _, how := f.pulled(t, PullOptions{}); how[Kept] == 0 || how[Kept]+how[Fetched] != 12 {
		t.Errorf("went on: %v", how)
	}
}

// TestRevisions: weights that another revision has are linked, not fetched, and
// names lead to the newest.
func TestRevisions(t *testing.T) {
	f := setUp(t)
	old, _ := f.pulled(t, PullOptions{})
	second := strings.Repeat("ab", 20)
	f.hub.Relist(func(l map[string]any) { l["sha"] = second })
	f.hub.Break(func(large bool, w http.ResponseWriter, r *http.Request) bool {
		r.URL.Path = strings.ReplaceAll(r.URL.Path, second, hubtest.Commit)
		return false
	})
	m, how := f.pulled(t, PullOptions{})
	if m.Dir == old.Dir || how[Linked] != 2 || how[Fetched] != 10 {
		t.Errorf("%v, want the two files of weights linked", how)
	}
	put(t, filepath.Join(m.Dir, "..", "stray"), nil)
	for _, tc := range []struct{ ref, commit string }{
		{"gpt-oss-20b", second}, {"gpt-oss-20b@main", second}, {"gpt-oss-20b@" + hubtest.Commit, hubtest.Commit}, {"gpt-oss-20b@abababa", second},
	} {
		// Both were pulled in the same second perhaps: the order is then not said.
		if got, err := f.store.Find(ref(t, tc.ref)); err != nil || got.Commit != tc.commit && !got.Pulled.Equal(old.Pulled) {
			t.Errorf("%s is %s, %v; want %s", tc.ref, got.Commit, err, tc.commit)
		}
	}
	if err := f.store.Remove(old); err != nil {
		t.Fatal(err)
	}
	if wrong, err := m.Verify(t.Context(), func(hub.Event) {}); err != nil || len(wrong) > 0 {
		t.Errorf("the other revision suffered: %v, %v", wrong, err)
	}
}

// TestMore: files can be added to what was pulled, and are of use by their path.
func TestMore(t *testing.T) {
	f := setUp(t)
	f.pulled(t, PullOptions{})
	m, how := f.pulled(t, PullOptions{Selection: Selection{Include: []string{"original/*"}}})
	if len(m.Files) != 15 || how[Fetched] != 3 {
		t.Errorf("%d files, %v; want 15 of which 3 fetched", len(m.Files), how)
	}
	if got := m.Formats(); !slices.Equal(got, []string{HuggingFace, Original}) {
		t.Errorf("formats %v", got)
	}
	whole, err := f.store.Use(ref(t, "gpt-oss-20b"))
	if err != nil {
		t.Fatal(err)
	}
	defer whole.Close()
	part, err := f.store.Use(ref(t, "gpt-oss-20b:original"))
	if err != nil {
		t.Fatal(err)
	}
	defer part.Close()
	if part.Path != filepath.Join(m.Dir, "original") || part.Digest == whole.Digest {
		t.Errorf("got %+v beside %+v", part, whole)
	}
	if _, err := f.store.Use(ref(t, "gpt-oss-20b:metal")); err == nil || !strings.Contains(err.Error(), "gpt-oss-20b:original") {
		t.Errorf("a checkpoint that is not there: %v", err)
	}
}

// TestTwoAtOnce: two pulls of one model, each with its own lock, fetch it once.
func TestTwoAtOnce(t *testing.T) {
	f := setUp(t)
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() {
			if _, err := f.store.Pull(t.Context(), f.client, PullOptions{Repo: f.hub.Repo, Revision: "main", Tell: func(hub.Event) {}}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	for _, file := range f.hub.Files {
		if file.Large && f.hub.Asked("/blobs/"+file.Path) > 1 {
			t.Errorf("%s was fetched twice", file.Path)
		}
	}
}

// TestHeld: a model that is being pulled is neither used nor removed.
func TestHeld(t *testing.T) {
	f := setUp(t)
	m, _ := f.pulled(t, PullOptions{})
	held, err := lockfile.Exclusive(f.store.lockPath(m.Repo, m.Commit))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if err := f.store.Remove(m); !errors.Is(err, ErrInUse) {
		t.Errorf("removed: %v", err)
	}
	if _, err := f.store.Use(ref(t, "gpt-oss-20b")); err == nil || !strings.Contains(err.Error(), "being pulled") {
		t.Errorf("used: %v", err)
	}
}

// TestOwnFolder: --to keeps what is the hub's, touches nothing else, and refuses
// what it would have to overwrite.
func TestOwnFolder(t *testing.T) {
	f := setUp(t)
	dir := t.TempDir()
	put(t, filepath.Join(dir, "LICENSE"), f.hub.Files[1].Data)
	put(t, filepath.Join(dir, "notes.txt"), []byte("mine"))
	m, how := f.pulled(t, PullOptions{To: dir})
	if m.Dir != dir || how[Kept] != 1 || how[Fetched] != 11 {
		t.Errorf("%s, %v", m.Dir, how)
	}
	again, err := Folder(dir)
	if err != nil || len(again.Files) != 12 {
		t.Errorf("the folder is %+v, %v", again, err)
	}
	if err := f.store.Remove(again); err == nil {
		t.Error("a user's folder was removed")
	}
	if _, err := Folder(t.TempDir()); !errors.Is(err, ErrNotPulled) {
		t.Errorf("another folder: %v", err)
	}
	other := t.TempDir()
	put(t, filepath.Join(other, "config.json"), []byte("mine"))
	if _, _, err := f.pull(t, PullOptions{To: other}); err == nil || !strings.Contains(err.Error(), "is not the hub's") {
		t.Errorf("a file of the user's: %v", err)
	}
	if b, err := os.ReadFile(filepath.Join(other, "config.json")); err != nil || string(b) != "mine" {
		t.Errorf("it is now %q, %v", b, err)
	}
	outside := t.TempDir()
	linked := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(linked, "original")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.pull(t, PullOptions{To: linked, Selection: Selection{Include: []string{"original/*"}}}); err == nil {
		t.Error("a link out of the folder was followed")
	}
	if left, _ := os.ReadDir(outside); len(left) > 0 {
		t.Errorf("written through a link: %v", left)
	}
}

// TestNoRoom: what does not fit is known before anything is fetched.
func TestNoRoom(t *testing.T) {
	f := setUp(t)
	f.hub.Relist(func(l map[string]any) {
		l["siblings"].([]any)[8].(map[string]any)["lfs"].(map[string]any)["size"] = int64(1) << 60
	})
	_, _, err := f.pull(t, PullOptions{})
	if err == nil || !strings.Contains(err.Error(), "make room for") {
		t.Errorf("got %v", err)
	}
	if f.hub.Asked("/resolve/") > 0 {
		t.Error("something was fetched all the same")
	}
}

func TestRefs(t *testing.T) {
	for in, want := range map[string]Ref{
		"gpt-oss-20b":            {Repo: "openai/gpt-oss-20b"},
		"gpt-oss-120b@main":      {Repo: "openai/gpt-oss-120b", Revision: "main"},
		"other":                  {Repo: "other"},
		"a/b@refs/pr/1:c/d.gguf": {"a/b", "refs/pr/1", "c/d.gguf"},
		"me/gpt-oss-20b":         {Repo: "me/gpt-oss-20b"},
	} {
		if got, err := ParseRef(in); err != nil || got != want {
			t.Errorf("%s is %+v, %v; want %+v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "a/b/c", "../x", "/abs", "./x", "a b", "a@", "a/b:../c", "a/b:/c"} {
		if got, err := ParseRef(in); err == nil {
			t.Errorf("%q was taken for %+v", in, got)
		}
	}
	if s := ref(t, "openai/gpt-oss-20b@x:original").String(); s != "gpt-oss-20b@x:original" {
		t.Errorf("shortest form: %s", s)
	}
}

// TestWrongManifest: a manifest that leads elsewhere is not believed.
func TestWrongManifest(t *testing.T) {
	for name, text := range map[string]string{
		"path":    `{"version":1,"repo":"a/b","files":[{"path":"../x"}]}`,
		"repo":    `{"version":1,"repo":"../b"}`,
		"version": `{"version":2,"repo":"a/b"}`,
		"rubbish": `{`,
	} {
		s, err := Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		put(t, filepath.Join(s.modelDir("a/b", hubtest.Commit), hub.Reserved, manifestFile), []byte(text))
		if all, err := s.List(); err == nil || len(all) > 0 {
			t.Errorf("%s: listed %v, %v", name, all, err)
		}
	}
}

// TestDigest is what sha256sum would say of its own output.
func TestDigest(t *testing.T) {
	got := Digest([]File{{Path: "b", SHA256: strings.Repeat("0", 64)}, {Path: "a", SHA256: strings.Repeat("1", 64)}})
	const want = "sha256:fabf5fb920fd68145afed1df81fa19a8d9eeeab6b7511e9e8e96cf77f3a1a12f"
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func put(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}
