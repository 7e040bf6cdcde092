package main

import (
	"fmt"
	"runtime"
	"strings"
	"time"

	"chorale/inference/speed"
	"chorale/internal/bench/page"
)

// writeTable replaces what the file says of a case.
func writeTable(name string, c kase, o *outcome) error {
	return page.Write(name, "bench-peer "+c.name, c.section(o))
}

// section is the table of a case.
func (c *kase) section(o *outcome) string {
	var b strings.Builder
	fmt.Fprintf(&b, "**%s**\n\n%s; %s; %s. %d pairs.\n\n", c.title, o.device, machine(), source(), len(o.decode))
	b.WriteString("| | ours, tok/s | llama.cpp, tok/s | ratio: min | median | max |\n|---|---|---|---|---|---|\n")
	row := func(what string, pairs []pair, tokens int, time func(took) float64) {
		rate := func(side func(pair) took) speed.Spread {
			return spread(pairs, func(p pair) float64 { return float64(tokens) / time(side(p)) })
		}
		ours, theirs := rate(func(p pair) took { return p.ours }), rate(func(p pair) took { return p.theirs })
		ratio := spread(pairs, func(p pair) float64 { return time(p.theirs) / time(p.ours) })
		fmt.Fprintf(&b, "| %s | %s | %s | %.2f | **%.2f** | %.2f |\n", what, rates(ours), rates(theirs), ratio.Min, ratio.Median, ratio.Max)
	}
	wall, cpu := func(t took) float64 { return t.wall }, func(t took) float64 { return t.cpu }
	row("decode, by the clock", o.decode, c.decode, wall)
	if o.software {
		row("decode, per CPU second", o.decode, c.decode, cpu)
	}
	row(fmt.Sprintf("prefill %d, by the clock", c.prefill), o.prefill, c.prefill, wall)
	if o.software {
		row(fmt.Sprintf("prefill %d, per CPU second", c.prefill), o.prefill, c.prefill, cpu)
	}
	c.writeBandwidth(&b, o)
	return b.String()
}

// writeBandwidth says what a decode step reads and how near that comes to what
// the memory gives: in CPU time of all threads, where the CPU computes.
func (c *kase) writeBandwidth(b *strings.Builder, o *outcome) {
	reads := float64(o.reads)
	bytes := spread(o.decode, func(p pair) float64 {
		if o.software {
			return float64(c.decode) * reads / p.ours.cpu * float64(runtime.GOMAXPROCS(0))
		}
		return float64(c.decode) * reads / p.ours.wall
	})
	fmt.Fprintf(b, "\nA token reads %.0f MB here: %.1f GB/s, %.0f %% of the memory's %.1f GB/s.\n",
		reads/1e6, bytes.Median/1e9, 100*bytes.Median/o.bandwidth, o.bandwidth/1e9)
}

func spread(pairs []pair, of func(pair) float64) speed.Spread {
	var all []float64
	for _, p := range pairs {
		all = append(all, of(p))
	}
	return speed.SpreadOf(all)
}

// rates writes a median with its spread.
func rates(s speed.Spread) string {
	return fmt.Sprintf("%s (%s–%s)", page.Figure(s.Median), page.Figure(s.Min), page.Figure(s.Max))
}

// machine is what it was measured on.
func machine() string {
	return fmt.Sprintf("%s, %d threads, %s", page.CPU(), runtime.GOMAXPROCS(0), runtime.GOOS)
}

// source is what was measured, and when.
func source() string {
	return runtime.Version() + ", llama.cpp v0.5.0, " + time.Now().Format("2006-01-02")
}
