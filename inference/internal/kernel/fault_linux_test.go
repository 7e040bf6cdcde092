package kernel

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"testing"
)

// TestFault cuts a file short of which weights are mapped. Every kernel that reads them,
// assembly too, ends in a panic that can be recovered from, and works afterwards.
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
				if !faults(func() { k.Tile(&s, &cut, 0, in) }) {
					t.Errorf("%v by %d rows: no fault", f, n)
				}
				same(t, fmt.Sprintf("%v by %d rows, after the fault", f, n), product(k, m, in), product(k, m, in))
			}
		}
	})
}

// faults reports whether f reads what cannot be read.
func faults(f func()) (fault bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		_, fault = recover().(interface{ Addr() uintptr })
	}()
	f()
	return false
}
