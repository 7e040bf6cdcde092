//go:build cgo && (amd64 || arm64)

package gpu

import (
	"bufio"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"chorale/inference/internal/drivers"
	"chorale/inference/internal/golden"
	"chorale/inference/synth"
)

// TestLoadMemory loads a checkpoint of 30 MB from its file. Nothing of that size
// passes through Go's heap, and the pages of the file are given back behind the
// reader.
func TestLoadMemory(t *testing.T) {
	drivers.Lavapipe.Use(t)
	m := synth.Model{Hidden: 512, Width: 512, Layers: 2, Experts: 16, TopK: 4, Heads: 8, KVHeads: 2, Window: 128, Vocab: 8192, Seed: 1}
	for _, format := range []synth.Format{synth.HF, synth.GGUF} {
		t.Run(string(format), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "model."+string(format))
			if err := m.Write(t.Context(), path, synth.Output{Format: format}); err != nil {
				t.Fatal(err)
			}
			c, w := golden.Open(t, path)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			highest := 0
			b, err := Open(t.Context(), only(t), c, w, Options{Progress: func(done, total int64) {
				highest = max(highest, resident(t, filepath.Base(path)))
			}})
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			runtime.ReadMemStats(&after)
			_, bytes := w.Size()
			if bytes < 28e6 {
				t.Fatalf("the weights are %d bytes", bytes)
			}
			if heap := after.TotalAlloc - before.TotalAlloc; heap > 2e6 {
				t.Errorf("loading %d bytes took %d of the heap", bytes, heap)
			}
			if highest > 6e6 {
				t.Errorf("%d bytes of the file were in memory at once", highest)
			}
		})
	}
}

// resident is how many bytes of mappings of a file, or of files in a folder, are
// in memory.
func resident(t testing.TB, name string) (bytes int) {
	t.Helper()
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	within := false
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := lines.Text()
		if rss, ok := strings.CutPrefix(line, "Rss:"); ok && within {
			kb, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(rss, "kB")))
			if err != nil {
				t.Fatal(err)
			}
			bytes += 1024 * kb
		}
		if first, _, _ := strings.Cut(line, " "); strings.Contains(first, "-") {
			within = strings.Contains(line, name)
		}
	}
	return bytes
}
