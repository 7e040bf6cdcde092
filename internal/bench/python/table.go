package main

import (
	"fmt"
	"runtime"
	"slices"
	"strings"

	"chorale/internal/bench/page"
)

// writeTable replaces the generated section of the file.
func writeTable(name string, all []measurement, rounds int) error {
	return page.Write(name, "bench-python", fmt.Sprintf("%s, %d cores, %s, %d rounds.\n\n%s", page.CPU(), runtime.NumCPU(), runtime.Version(), rounds, rows(all)))
}

// rows is the table. What misses its bar is marked.
func rows(all []measurement) string {
	var b strings.Builder
	b.WriteString("| | unit | min | median | max | bar |\n|---|---|---|---|---|---|\n")
	for _, m := range all {
		v := slices.Sorted(slices.Values(m.Values))
		mid, most := median(v), v[len(v)-1]
		bar := "–"
		if m.Bar > 0 {
			bar = page.Figure(m.Bar)
			if m.Worst {
				bar += " at most, ever"
			}
			if m.Worst && most > m.Bar || !m.Worst && mid > m.Bar {
				bar += " **missed**"
			}
		}
		fmt.Fprintf(&b, "| %s | %s | %s | **%s** | %s | %s |\n", m.Name, m.Unit, page.Figure(v[0]), page.Figure(mid), page.Figure(most), bar)
	}
	return b.String()
}

func median(sorted []float64) float64 {
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// percentile is the value that p of 100 do not exceed.
func percentile(values []float64, p int) float64 {
	v := slices.Sorted(slices.Values(values))
	return v[min(len(v)-1, len(v)*p/100)]
}
