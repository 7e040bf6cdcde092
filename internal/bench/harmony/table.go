package main

import (
	"fmt"
	"runtime"
	"strings"

	"chorale/internal/bench/page"
)

// writeTable replaces the generated section of the file.
func writeTable(name string, r *results, c constrained, in *inputs, missing []string) error {
	return page.Write(name, "bench-harmony", section(r, c, in, missing))
}

func section(r *results, c constrained, in *inputs, missing []string) string {
	base := reference
	if r.median("encode", base) == 0 {
		base = binding
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s, %s, medians of %d rounds.", page.CPU(), runtime.Version(), r.rounds)
	if len(missing) > 0 {
		fmt.Fprintf(&b, " Not built on that machine: %s.", strings.Join(missing, "; "))
	}
	b.WriteString("\n")
	r.encoders(&b, in, base)
	r.codec(&b, in, base)
	c.write(&b)
	return b.String()
}

// encoders writes the table of the libraries that only encode.
func (r *results) encoders(b *strings.Builder, in *inputs, base string) {
	fmt.Fprintf(b, "\n| encode | 1 MiB, MB/s | to `%s` | wrong of %d | 100,000 spaces, ms | 100,000 letters, ms | decode 1 MiB, MB/s | load, ms |\n|---|---|---|---|---|---|---|---|\n", base, in.vectors)
	speed := func(work, library string) string {
		if s := r.median(work, library); s > 0 {
			return page.Figure(float64(in.size["encode"]) / s / 1e6)
		}
		return "–"
	}
	for _, l := range encoders {
		if r.median("encode", l) == 0 {
			continue
		}
		fmt.Fprintf(b, "| `%s` | %s | **%s** | %d | %s | %s | %s | %s |\n", l,
			speed("encode", l), page.Figure(r.ratio("encode", base, l)), r.wrong[l],
			page.Figure(1e3*r.median("spaces", l)), page.Figure(1e3*r.median("letters", l)), speed("decode", l), page.Figure(1e3*r.median("load", l)))
	}
}

// codec writes the table of the libraries that know the Harmony format.
func (r *results) codec(b *strings.Builder, in *inputs, base string) {
	fmt.Fprintf(b, "\n| a token, ns |")
	columns := []string{}
	for _, l := range codecs {
		if r.median("parse", l) > 0 {
			columns = append(columns, l)
			fmt.Fprintf(b, " `%s` |", l)
		}
	}
	fmt.Fprintf(b, " `%s` to `%s` |\n|---%s|---|\n", ours, base, strings.Repeat("|---", len(columns)))
	for _, w := range works {
		if w.unit != "token" || w.name == "decode" {
			continue
		}
		fmt.Fprintf(b, "| %s (%d tokens) |", w.title, in.size[w.name])
		for _, l := range columns {
			cell := "–"
			if s := r.median(w.name, l); s > 0 {
				cell = page.Figure(1e9 * s / float64(in.size[w.name]))
			}
			if r.differs[w.name][l] {
				cell += " (other result)"
			}
			fmt.Fprintf(b, " %s |", cell)
		}
		fmt.Fprintf(b, " **%s** |\n", page.Figure(r.ratio(w.name, base, ours)))
	}
}
