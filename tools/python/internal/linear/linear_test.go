package linear

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func newMemory(t *testing.T, limit int64, im *Image) *Memory {
	t.Helper()
	m, err := New(limit, im)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Release(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func TestGrowthIsBounded(t *testing.T) {
	m := newMemory(t, 4*Page+1, nil)
	for _, tt := range []struct {
		size uint64
		ok   bool
	}{{Page, true}, {4 * Page, true}, {5 * Page, false}} {
		if b := m.Reallocate(tt.size); (b != nil) != tt.ok || tt.ok && uint64(len(b)) != tt.size+Slack {
			t.Errorf("%d bytes: got %d", tt.size, len(b))
		}
	}
	if m.Size() != 4*Page || !m.NearlyFull() {
		t.Errorf("size %d, nearly full %v", m.Size(), m.NearlyFull())
	}
	m.Restrict(2 * Page)
	if m.Reallocate(3*Page) != nil {
		t.Error("grew beyond the restriction")
	}
	m.Restrict(1 << 40)
	if m.Reallocate(5*Page) != nil {
		t.Error("grew beyond what was reserved")
	}
}

// TestSizeFitsItsWord: what wazero is told of the largest memory is less than 2^32.
func TestSizeFitsItsWord(t *testing.T) {
	m := newMemory(t, 1<<40, nil)
	if m.Reallocate(1<<32) != nil {
		t.Error("grew to 2^32 bytes")
	}
	if n := len(m.Reallocate(1<<32 - Page)); n != 1<<32-Page+Slack {
		t.Errorf("%d bytes", n)
	}
}

// TestCopiesArePrivate saves a memory and begins two others with it.
func TestCopiesArePrivate(t *testing.T) {
	first := newMemory(t, 8*Page, nil)
	b := first.Reallocate(3 * Page)[:3*Page]
	copy(b[10:], "early")
	copy(b[3*Page-4:], "late")
	path := filepath.Join(t.TempDir(), "image")
	if err := first.Save(path); err != nil {
		t.Fatal(err)
	}
	if err := first.Save(path); err == nil {
		t.Error("an image was overwritten")
	}
	saved, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(saved, b) {
		t.Fatalf("the image differs from the memory, %v", err)
	}
	im, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	one, two := newMemory(t, 8*Page, im), newMemory(t, 8*Page, im)
	if err := im.Close(); err != nil {
		t.Fatal(err)
	}
	c, d := one.Reallocate(4 * Page)[:4*Page], two.Reallocate(3 * Page)[:3*Page]
	if !bytes.Equal(c[:3*Page], b) || !bytes.Equal(d, b) || !bytes.Equal(c[3*Page:], make([]byte, Page)) {
		t.Error("a copy differs from the image")
	}
	copy(d[:3*Page+Slack][3*Page:], "beyond the end")
	if grown := two.Reallocate(4 * Page); !bytes.Equal(grown[3*Page:4*Page], make([]byte, Page)) {
		t.Error("what grew is not zero")
	}
	copy(c[10:], "other")
	if string(d[10:15]) != "early" {
		t.Error("one copy has changed the other")
	}
	if again, err := os.ReadFile(path); err != nil || !bytes.Equal(again, saved) {
		t.Errorf("a copy has changed the image, %v", err)
	}
}

func TestImagesAreChecked(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "short")
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{path, dir, filepath.Join(dir, "none")} {
		if _, err := Open(bad); err == nil {
			t.Errorf("%s was opened", bad)
		}
	}
	m := newMemory(t, 4*Page, nil)
	m.Reallocate(4 * Page)
	path = filepath.Join(dir, "image")
	if err := m.Save(path); err != nil {
		t.Fatal(err)
	}
	im, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer im.Close()
	if _, err := New(2*Page, im); err == nil {
		t.Error("a memory is smaller than its image")
	}
}
