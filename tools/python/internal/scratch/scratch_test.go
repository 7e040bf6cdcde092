package scratch

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/tetratelabs/wazero/experimental/sys"
	"pgregory.net/rapid"
)

func open(t testing.TB, dir string, l Limits) *FS {
	t.Helper()
	s, err := Open(dir, l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

var wide = Limits{Bytes: 1 << 20, Files: 100, Handles: 20}

const createRW = sys.O_CREAT | sys.O_RDWR

func TestZeroLimitsPermitNothing(t *testing.T) {
	s := open(t, t.TempDir(), Limits{})
	if _, errno := s.OpenFile("f", createRW, 0); errno == 0 {
		t.Error("a file was made")
	}
	if errno := s.Mkdir("d", 0); errno == 0 {
		t.Error("a folder was made")
	}
	if s.Refused() == "" || s.Refused() != "" {
		t.Error("the reason is not told once")
	}
}

func TestPathsStayInside(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "in")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(base, "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"abs": secret, "up": "../secret", "dir": "..", "self": "."} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, dir, wide)
	for _, path := range []string{"abs", "up", "dir", "dir/secret", "self", "../secret", "a/../../secret", "..", "/../secret", "a\x00b"} {
		t.Run(path, func(t *testing.T) {
			for _, flag := range []sys.Oflag{sys.O_RDONLY, createRW, createRW | sys.O_TRUNC, sys.O_DIRECTORY} {
				if f, errno := s.OpenFile(path, flag, 0); errno == 0 {
					f.Close()
					t.Errorf("opened with %b", flag)
				}
			}
			if _, errno := s.Stat(path); errno == 0 {
				t.Error("Stat")
			}
			if _, errno := s.Readlink(path); errno == 0 {
				t.Error("Readlink")
			}
			for name, errno := range map[string]sys.Errno{
				"Unlink": s.Unlink(path), "Rmdir": s.Rmdir(path), "Mkdir": s.Mkdir(path, 0),
				"Rename from": s.Rename(path, "new"), "Utimens": s.Utimens(path, 0, 0),
				"Symlink": s.Symlink(path, "made"), "Link": s.Link(path, "made"),
			} {
				if errno == 0 {
					t.Errorf("%s succeeded", name)
				}
			}
		})
	}
	if b, err := os.ReadFile(secret); err != nil || string(b) != "secret" {
		t.Errorf("the file outside: %q, %v", b, err)
	}
}

// TestExchangedFileIsRefused puts a link in the place of a file after it was
// looked up.
func TestExchangedFileIsRefused(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "f")
	if err := os.WriteFile(name, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir, wide)
	_, info, errno := s.lookup("f")
	if errno != 0 {
		t.Fatal(errno)
	}
	if err := os.WriteFile(filepath.Join(dir, "other"), []byte("other"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("other", name); err != nil {
		t.Fatal(err)
	}
	if f, errno := s.handle("f", sys.O_RDONLY, os.O_RDONLY, info); errno == 0 {
		f.Close()
		t.Error("the link was followed")
	}
}

func TestFiles(t *testing.T) {
	s := open(t, t.TempDir(), wide)
	f, errno := s.OpenFile("a.txt", createRW, 0o600)
	if errno != 0 {
		t.Fatal(errno)
	}
	for _, p := range []string{"hello ", "world"} {
		if n, errno := f.Write([]byte(p)); n != len(p) || errno != 0 {
			t.Fatal(n, errno)
		}
	}
	if _, errno := f.Pwrite([]byte("J"), 0); errno != 0 {
		t.Fatal(errno)
	}
	buf := make([]byte, 20)
	if n, errno := f.Pread(buf, 0); errno != 0 || string(buf[:n]) != "Jello world" {
		t.Errorf("%q, %v", buf[:n], errno)
	}
	if errno := f.SetAppend(true); errno != 0 {
		t.Error(errno)
	}
	if pos, errno := f.Seek(0, 0); pos != 0 || errno != 0 {
		t.Error(pos, errno)
	}
	if _, errno := f.Write([]byte("!")); errno != 0 {
		t.Error(errno)
	}
	if st, errno := f.Stat(); errno != 0 || st.Size != 12 {
		t.Errorf("%+v, %v", st, errno)
	}
	if _, errno := s.OpenFile("a.txt", createRW|sys.O_EXCL, 0); errno != sys.EEXIST {
		t.Errorf("exclusive: %v", errno)
	}
	if _, errno := s.OpenFile("a.txt", sys.O_DIRECTORY, 0); errno != sys.ENOTDIR {
		t.Errorf("a file as a folder: %v", errno)
	}
	if _, errno := s.OpenFile(".", sys.O_RDWR, 0); errno != sys.EISDIR {
		t.Errorf("a folder to write: %v", errno)
	}
	for range 2 {
		if errno := f.Close(); errno != 0 {
			t.Error(errno)
		}
	}
}

func TestFolderCanBeRewound(t *testing.T) {
	s := open(t, t.TempDir(), wide)
	for i := range 5 {
		if errno := s.Mkdir(fmt.Sprint("d", i), 0); errno != 0 {
			t.Fatal(errno)
		}
	}
	f, errno := s.OpenFile(".", sys.O_RDONLY, 0)
	if errno != 0 {
		t.Fatal(errno)
	}
	defer f.Close()
	for range 2 {
		all, errno := f.Readdir(-1)
		if errno != 0 || len(all) != 5 || all[0].Type != fs.ModeDir {
			t.Errorf("%v, %v", all, errno)
		}
		if _, errno := f.Seek(0, 0); errno != 0 {
			t.Error(errno)
		}
	}
}

// TestBooksAreRight does random things and holds the counts against the disk.
// What is removed while it is open counts until it is closed.
func TestBooksAreRight(t *testing.T) {
	parent := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(parent, "")
		if err != nil {
			rt.Fatal(err)
		}
		s := open(t, dir, Limits{Bytes: 1000, Files: 6, Handles: 4})
		names := rapid.SampledFrom([]string{"a", "b", "c", "d/a", "d/b", "d"})
		var handles []sys.File
		rt.Repeat(map[string]func(*rapid.T){
			"open": func(rt *rapid.T) {
				flag := createRW | rapid.SampledFrom([]sys.Oflag{0, sys.O_TRUNC, sys.O_APPEND}).Draw(rt, "flag")
				if f, errno := s.OpenFile(names.Draw(rt, "name"), flag, 0); errno == 0 {
					handles = append(handles, f)
				}
			},
			"write": func(rt *rapid.T) {
				if len(handles) > 0 {
					f := rapid.SampledFrom(handles).Draw(rt, "f")
					f.Pwrite(make([]byte, rapid.IntRange(0, 400).Draw(rt, "n")), rapid.Int64Range(0, 800).Draw(rt, "at"))
					f.Write(make([]byte, rapid.IntRange(0, 100).Draw(rt, "more")))
				}
			},
			"truncate": func(rt *rapid.T) {
				if len(handles) > 0 {
					rapid.SampledFrom(handles).Draw(rt, "f").Truncate(rapid.Int64Range(0, 1200).Draw(rt, "size"))
				}
			},
			"close": func(rt *rapid.T) {
				if n := len(handles); n > 0 {
					i := rapid.IntRange(0, n-1).Draw(rt, "i")
					handles[i].Close()
					handles = append(handles[:i], handles[i+1:]...)
				}
			},
			"mkdir":  func(rt *rapid.T) { s.Mkdir(names.Draw(rt, "name"), 0) },
			"unlink": func(rt *rapid.T) { s.Unlink(names.Draw(rt, "name")) },
			"rmdir":  func(rt *rapid.T) { s.Rmdir(names.Draw(rt, "name")) },
			"rename": func(rt *rapid.T) { s.Rename(names.Draw(rt, "from"), names.Draw(rt, "to")) },
			"": func(rt *rapid.T) {
				if s.bytes > 1000 || s.files > 6 || len(s.open) > 4 {
					rt.Fatalf("over quota: %d bytes, %d files, %d handles", s.bytes, s.files, len(s.open))
				}
			},
		})
		for _, f := range handles {
			f.Close()
		}
		fresh := open(t, dir, wide)
		if s.bytes != fresh.bytes || s.files != fresh.files || len(s.open) != 0 {
			rt.Fatalf("counted %d bytes and %d files with %d open, there are %d and %d", s.bytes, s.files, len(s.open), fresh.bytes, fresh.files)
		}
	})
}
