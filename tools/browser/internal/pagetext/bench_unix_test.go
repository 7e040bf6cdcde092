//go:build unix

package pagetext

import (
	"path/filepath"
	"syscall"
	"testing"

	"chorale/tools/browser/internal/vectors"
)

// BenchmarkFromHTML converts the pages of the vectors as Chromium had them, and
// the largest of them alone. Its MB/cpu-s counts the processor's time of all
// threads, the collector's too.
func BenchmarkFromHTML(b *testing.B) {
	dir := filepath.Join(testdata, "browser", "pages")
	var all []string
	for _, name := range vectors.Names(dir) {
		if src, err := vectors.Read(filepath.Join(dir, name, "dom.html")); err == nil {
			all = append(all, string(src))
		}
	}
	huge, err := vectors.Read(filepath.Join(dir, "09-huge", "dom.html"))
	if err != nil {
		b.Fatal(err)
	}
	for name, pages := range map[string][]string{"pages": all, "huge": {string(huge)}} {
		b.Run(name, func(b *testing.B) {
			size := 0
			for _, src := range pages {
				size += len(src)
			}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			before := processorTime(b)
			for b.Loop() {
				for _, src := range pages {
					FromHTML(src, "https://h.example/", Options{})
				}
			}
			b.ReportMetric(float64(size)*float64(b.N)/1e6/(processorTime(b)-before), "MB/cpu-s")
		})
	}
}

// processorTime is what this process has used, in seconds.
func processorTime(b *testing.B) float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}
