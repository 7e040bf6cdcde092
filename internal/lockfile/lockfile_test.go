package lockfile

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	if _, err := Shared(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a shared lock on no file: got %v", err)
	}
	alone := must(t)(Exclusive(path))
	for name, take := range map[string]func(string) (*Lock, error){"exclusive": Exclusive, "shared": Shared} {
		if _, err := take(path); !errors.Is(err, ErrHeld) {
			t.Errorf("%s beside exclusive: got %v, want ErrHeld", name, err)
		}
	}
	alone.Close()
	a, b := must(t)(Shared(path)), must(t)(Shared(path))
	a.Close()
	if _, err := Exclusive(path); !errors.Is(err, ErrHeld) {
		t.Errorf("exclusive beside shared: got %v, want ErrHeld", err)
	}
	b.Close()
	must(t)(Exclusive(path)).Close()
}

func TestWait(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	held := must(t)(Exclusive(path))
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := Wait(ctx, path, cancel); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled while waiting: got %v", err)
	}
	told := 0
	got := must(t)(Wait(t.Context(), path, func() {
		told++
		time.AfterFunc(time.Millisecond, func() { held.Close() })
	}))
	got.Close()
	if told != 1 {
		t.Errorf("told %d times that it waits, want once", told)
	}
}

func must(t *testing.T) func(*Lock, error) *Lock {
	return func(l *Lock, err error) *Lock {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
}
