package kernel

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"chorale/inference/internal/weights"
)

// TestFault cuts a file short of which weights are mapped. Every kernel that reads them,
// assembly too, ends in an error, and works afterwards.
func TestFault(t *testing.T) {
	eachSet(t, func(t *testing.T, k *Set) {
		for f := range Format(formats) {
			m := packed(f, TileRows, 2880, 1)
			file, err := os.Create(filepath.Join(t.TempDir(), "weights"))
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			if _, err := file.Write(m.Data); err != nil {
				t.Fatal(err)
			}
			mapped, err := syscall.Mmap(int(file.Fd()), 0, len(m.Data), syscall.PROT_READ, syscall.MAP_SHARED)
			if err != nil {
				t.Fatal(err)
			}
			defer syscall.Munmap(mapped)
			if err := file.Truncate(4096); err != nil {
				t.Fatal(err)
			}
			cut := *m
			cut.Data = mapped
			for _, n := range []int{1, 2, 3, 4, 20} {
				var s Scratch
				_, in := inputs(n, m.Cols, 3)
				err := weights.Guard(func() error { k.Tile(&s, &cut, 0, in); return nil })
				if !errors.Is(err, weights.ErrFault) {
					t.Errorf("%v by %d rows: %v", f, n, err)
				}
				same(t, fmt.Sprintf("%v by %d rows, after the fault", f, n), product(k, m, in), product(k, m, in))
			}
		}
	})
}
