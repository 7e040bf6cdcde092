package python

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// mounted are two folders of the host with a file and links out of them.
func mounted(t *testing.T) (given, open string) {
	t.Helper()
	base := t.TempDir()
	given, open = filepath.Join(base, "given"), filepath.Join(base, "open")
	for _, dir := range []string{given, open} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "in.txt"), []byte("before"), 0o600); err != nil {
			t.Fatal(err)
		}
		for link, target := range map[string]string{"up": "../secret", "root": "/"} {
			if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.WriteFile(filepath.Join(base, "secret"), []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	return given, open
}

func TestMounts(t *testing.T) {
	given, open := mounted(t)
	s := newSession(t, Options{Disk: 1 << 20, Mounts: []Mount{{"given", given, false}, {"to write", open, true}}})
	for _, tt := range []struct{ name, code, text string }{
		{"listed", "import os\nos.listdir('/mnt'), sorted(os.listdir('/mnt/given'))", "(['data', 'given', 'to write'], ['in.txt', 'root', 'up'])"},
		{"read", "open('/mnt/given/in.txt').read(), open('/mnt/to write/in.txt').read()", "('before', 'before')"},
		{"written", "open('/mnt/to write/out.txt', 'w').write('after'), os.replace('/mnt/to write/in.txt', '/mnt/to write/moved.txt')", "(5, None)"},
		{"copied in and out", "import shutil\nshutil.copy('/mnt/given/in.txt', 'mine.txt'), shutil.move('mine.txt', '/mnt/to write/sent.txt')", "('mine.txt', '/mnt/to write/sent.txt')"},
		{"refused", `
def attempt(f, *a):
    try: print(f.__name__, f(*a))
    except OSError as e: print(type(e).__name__)
g = '/mnt/given/'
attempt(open, g + 'new', 'w'); attempt(open, g + 'in.txt', 'r+'); attempt(open, g + 'in.txt', 'a')
attempt(os.remove, g + 'in.txt'); attempt(os.rename, g + 'in.txt', g + 'x'); attempt(os.mkdir, g + 'd')
attempt(os.truncate, g + 'in.txt', 0); attempt(os.utime, g + 'in.txt'); attempt(os.rmdir, '/mnt/to write')
attempt(os.rename, g + 'in.txt', '/mnt/to write/x'); attempt(os.rename, '/mnt/to write/out.txt', g + 'x')
for m in '/mnt/given/', '/mnt/to write/':
    attempt(open, m + 'up'); attempt(open, m + 'root/etc/passwd'); attempt(open, m + '../secret'); attempt(os.listdir, m + 'root')
    attempt(os.symlink, '/', m + 'l')`, ""},
	} {
		out := run(t, s, tt.code)
		if tt.text != "" && out.Text != tt.text {
			t.Errorf("%s: %q, want %q", tt.name, out.Text, tt.text)
		}
		if strings.Contains(out.Text, secret) || tt.name == "refused" && (out.Err != nil || strings.Count(out.Text, "Error\n") != 21) {
			t.Errorf("%s:\n%s", tt.name, out.Text)
		}
	}
	for name, text := range map[string]string{"out.txt": "after", "moved.txt": "before", "sent.txt": "before"} {
		if b, err := os.ReadFile(filepath.Join(open, name)); err != nil || string(b) != text {
			t.Errorf("%s holds %q, %v", name, b, err)
		}
	}
	if entries, err := os.ReadDir(given); err != nil || len(entries) != 3 {
		t.Errorf("a read-only mount has %d entries, %v", len(entries), err)
	}
	out := run(t, s, "open('/mnt/to write/big', 'wb').write(bytes(1 << 21))")
	if out.Err == nil || !strings.Contains(out.Text, "[/mnt/to write: the folder is full") {
		t.Errorf("more than the quota: %s", out.Text)
	}
}

// The quota of a mount is the session's: a new interpreter gets what is left.
func TestMountQuotaOutlivesTheInterpreter(t *testing.T) {
	_, open := mounted(t)
	s := newSession(t, Options{Disk: 1 << 20, Mounts: []Mount{{"out", open, true}}})
	const fill = "import os\nn = len(os.listdir('/mnt/out'))\nopen('/mnt/out/f%d' % n, 'wb').write(bytes(700_000))\n"
	if out := run(t, s, fill+"os._exit(0)"); out.Lost == "" {
		t.Fatalf("the interpreter lives on: %+v", out)
	}
	if out := run(t, s, fill); out.Err == nil || !strings.Contains(out.Text, "[/mnt/out: the folder is full: its files may hold 1048582 bytes") {
		t.Errorf("%+v", out)
	}
}

func TestMountsAreChecked(t *testing.T) {
	for _, tt := range []struct {
		mounts []Mount
		want   string
	}{
		{[]Mount{{"data", ".", false}}, "there is another /mnt/data"},
		{[]Mount{{"a", ".", false}, {"A", ".", false}}, "there is another /mnt/A"},
		{[]Mount{{"", ".", false}}, "no plain folder"},
		{[]Mount{{"..", ".", false}}, "no plain folder"},
		{[]Mount{{"a/b", ".", false}}, "no plain folder"},
	} {
		if err := CheckMounts(tt.mounts); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v: %v, want %q", tt.mounts, err, tt.want)
		}
	}
	said := Namespace(Basic, Mount{"in", "x", false}, Mount{"out", "y", true}).Description
	if !strings.HasSuffix(said, "\n- /mnt/in (read-only)\n- /mnt/out") {
		t.Errorf("the model is told %q", said)
	}
}
