package chrome

import (
	"slices"
	"testing"
	"time"
)

const smallPage = `<title>T</title><h1>A small page</h1><p>Some text with <a href="/x">a link</a>.</p>`

// durations collects how long something took, and reports the middle.
type durations []time.Duration

func (d *durations) time(f func()) {
	start := time.Now()
	f()
	*d = append(*d, time.Since(start))
}

func (d durations) report(b *testing.B, name string) {
	slices.Sort(d)
	b.ReportMetric(float64(d[len(d)/2].Microseconds())/1000, name+"-p50-ms")
}

// BenchmarkStart starts and ends a jailed browser, and one outside of a jail.
func BenchmarkStart(b *testing.B) {
	for name, nojail := range map[string]bool{"jailed": false, "open": true} {
		b.Run(name, func(b *testing.B) {
			var up, down durations
			for b.Loop() {
				var chromium *Browser
				up.time(func() { chromium = startFor(b, nil, nojail) })
				down.time(func() { chromium.Close() })
			}
			up.report(b, "start")
			down.report(b, "close")
		})
	}
}

// BenchmarkLoad opens a small page in a context of its own.
func BenchmarkLoad(b *testing.B) {
	chromium, url := start(b, page(smallPage), false)
	var open, load, close durations
	for b.Loop() {
		var t *tab
		var err error
		open.time(func() { t, err = chromium.newTab(b.Context(), testLimits) })
		if err != nil {
			b.Fatal(err)
		}
		load.time(func() { _, err = t.load(b.Context(), url+"/") })
		close.time(t.dispose)
		if err != nil {
			b.Fatal(err)
		}
	}
	open.report(b, "tab")
	load.report(b, "page")
	close.report(b, "dispose")
}
