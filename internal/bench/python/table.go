package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
)

const (
	begin = "<!-- bench-python: generated from here -->\n"
	end   = "<!-- bench-python: to here -->\n"
)

// writeTable replaces the generated section of the file.
func writeTable(name string, all []measurement, rounds int) error {
	page, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(page), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return fmt.Errorf("%s lacks the lines %q and %q", name, begin, end)
	}
	section := fmt.Sprintf("\n%s, %d cores, %s, %d rounds.\n\n%s\n", cpuModel(), runtime.NumCPU(), runtime.Version(), rounds, rows(all))
	return os.WriteFile(name, []byte(before+begin+section+end+after), 0o644)
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
			bar = figure(m.Bar)
			if m.Worst {
				bar += " at most, ever"
			}
			if m.Worst && most > m.Bar || !m.Worst && mid > m.Bar {
				bar += " **missed**"
			}
		}
		fmt.Fprintf(&b, "| %s | %s | %s | **%s** | %s | %s |\n", m.Name, m.Unit, figure(v[0]), figure(mid), figure(most), bar)
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

// figure prints a number with three digits or so.
func figure(x float64) string {
	switch {
	case x >= 100:
		return fmt.Sprintf("%.0f", x)
	case x >= 10:
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.2f", x)
}

// cpuModel is the processor as the system calls it.
func cpuModel() string {
	data, err := os.ReadFile("/proc/cpuinfo")
	if err == nil {
		for line := range strings.Lines(string(data)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
				return strings.TrimSpace(value)
			}
		}
	}
	return runtime.GOOS + "/" + runtime.GOARCH
}
